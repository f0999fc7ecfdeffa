// SPDX-License-Identifier: MIT
// How does a sparse encoder learn to find documents by an inverted index? The head is that of SPLADE. A query and its
// document have the same topic among 40, in one of their four tokens, and different noise.
#include <filigree/filigree.hpp>
#include <iostream>
#include <vector>

namespace fg = filigree;
using Eigen::Index;
using Matrix = Eigen::Matrix<float, Eigen::Dynamic, Eigen::Dynamic, Eigen::RowMajor>;
using Sparse = Eigen::SparseMatrix<float, Eigen::RowMajor>;

Matrix normal(fg::Generator& generator, Index rows, Index cols) {
  return Matrix::NullaryExpr(rows, cols, [&](Index, Index) { return static_cast<float>(generator.normal()); });
}

int main() {
  constexpr Index pairs = 40, d = 16, length = 4, vocabulary = 200;
  fg::Generator generator(34);
  const Matrix topics = normal(generator, pairs, d);
  Matrix tokens = 0.6F * normal(generator, 2 * pairs * length, d);  // of the queries, then of the documents
  for (Index s = 0; s < 2 * pairs; ++s) tokens.row(s * length + s % length) += topics.row(s % pairs);
  const fg::Batch batch{tokens, std::vector<Index>(2 * pairs, length)};

  auto net = fg::network(
      fg::linear(d, 32) | fg::tanh() | fg::linear(32, vocabulary) | fg::log1p_relu() | fg::pool_max() | fg::top_k(32),
      3);
  fg::Predictor encode(net);
  const auto found = [&] {
    const Sparse codes = encode.sparse(batch);
    const fg::SparseIndex index = fg::sparse_index(codes.bottomRows(pairs));
    const Sparse queries = codes.topRows(pairs);
    const auto best = fg::selected(fg::sparse_scores(queries, index) | fg::top_k(1));
    Index right = 0;
    for (Index i = 0; i < pairs; ++i) right += best.columns(i, 0) == i ? 1 : 0;
    return right;
  };
  std::cout << "before training: more than 36 of " << pairs << " documents found: " << (found() > 36 ? "yes" : "no")
            << '\n';

  fg::Pass pass(net);
  const fg::adam adam = {.rate = 0.01};
  Eigen::VectorXf gradient, moments = Eigen::VectorXf::Zero(2 * net.parameters().size());
  const auto objective =
      fg::in_batch_negatives(pairs) + 1e-3 * fg::query_flops(pairs) + 1e-3 * fg::document_flops(pairs);
  for (Index step = 1; step <= 150; ++step) {
    pass.gradient(net, batch, objective, gradient);
    adam.step(fg::Parameters<float>{.values = net.parameters().data(),
                                    .gradient = gradient.data(),
                                    .moments = moments.data(),
                                    .count = gradient.size(),
                                    .weights = true},
              step, 1);
  }
  std::cout << "after training: more than 38 of " << pairs << " documents found: " << (found() > 38 ? "yes" : "no")
            << '\n';
}
