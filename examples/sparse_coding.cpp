// SPDX-License-Identifier: MIT
// How are samples coded by few atoms of a dictionary, and how is a dictionary learned?
#include <cstdio>
#include <filigree/filigree.hpp>

namespace fg = filigree;
using Matrix = Eigen::Matrix<double, Eigen::Dynamic, Eigen::Dynamic, Eigen::RowMajor>;
using Sparse = Eigen::SparseMatrix<double, Eigen::RowMajor>;

int main() {
  // Samples are sums of 3 of 40 hidden atoms, with noise.
  fg::Generator generator(1);
  Matrix hidden(40, 30), X = Matrix::Zero(2000, 30), noise(2000, 30);
  fg::fill_normal(hidden, generator);
  fg::fill_normal(noise, generator);
  hidden.rowwise().normalize();
  for (Eigen::Index i = 0; i < X.rows(); ++i)
    for (int use = 0; use < 3; ++use) X.row(i) += generator.uniform(1, 2) * hidden.row(generator.below(40));
  X += 0.02 * noise;

  // Codes of known atoms.
  const Sparse lasso = fg::encode(X, hidden, fg::coordinate_descent{.alpha = 0.1});
  const Sparse pursuit = fg::encode(X, hidden, fg::omp{.k = 3});
  const Matrix largest = fg::encode(X, hidden, fg::coordinate_descent{.alpha = 0.1}) | fg::top_k(1);
  std::printf("codes per sample: lasso %.1f, omp %.1f, top_k(1) %.1f\n", double(lasso.nonZeros()) / 2000,
              double(pursuit.nonZeros()) / 2000, double((largest.array() != 0).count()) / 2000);

  // Learned atoms.
  const auto learned = fg::k_svd(X, fg::omp{.k = 3}, {.atoms = 40, .iterations = 30});
  std::printf("mean cosine of hidden and learned atoms > %.1f\n", 0.1 * int(10 * fg::mcc(learned.atoms, hidden)));

  // Atoms that learn from a stream of batches.
  fg::OnlineDictionary<double, fg::omp> online(X.topRows(40), fg::omp{.k = 3});
  const double first = online.step(X.bottomRows(100));
  for (int step = 0; step < 400; ++step) online.step(X.middleRows(step % 19 * 100, 100));
  const double last = online.step(X.bottomRows(100));
  std::printf("objective of a batch after 400 steps < %.1f of the first\n", 0.1 * (1 + int(10 * last / first)));

  // An autoencoder whose encoder is matching pursuit by the atoms of the decoder.
  auto sae =
      fg::autoencoder(fg::pre_bias() | fg::pursuit(30, 40, {.k = 3}), fg::linear<double>(40, 30).unit_norm_rows());
  fg::fit(sae, X, fg::squared_error(), fg::adam{.rate = 0.01}, {.epochs = 40, .batch = 100, .progress = false});
  // The same with an encoder of one layer.
  auto plain = fg::autoencoder(fg::pre_bias() | fg::linear<double>(30, 40) | fg::top_k(3),
                               fg::linear<double>(40, 30).unit_norm_rows());
  fg::tie(plain);
  fg::fit(plain, X, fg::squared_error(), fg::adam{.rate = 0.01}, {.epochs = 40, .batch = 100, .progress = false});
  const double ratio = (sae(X) - X).squaredNorm() / (plain(X) - X).squaredNorm();
  std::printf("mean cosine of hidden and learned atoms: pursuit > %.1f, top_k > %.1f\n",
              0.1 * int(10 * fg::mcc(sae.weights<2>(), hidden)), 0.1 * int(10 * fg::mcc(plain.weights<3>(), hidden)));
  std::printf("the error with pursuit is below half of that with top_k: %s  │ %.2f\n", ratio < 0.5 ? "yes" : "no",
              ratio);
}
