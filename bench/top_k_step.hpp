// SPDX-License-Identifier: MIT
#pragma once

#include <Eigen/Core>
#include <Eigen/SparseCore>
#include <cmath>
#include <filigree/filigree.hpp>

#include "data.hpp"

namespace bench {

inline auto top_k_autoencoder(Index d, Index m, Index k) {
  return fg::autoencoder(fg::pre_bias() | fg::linear(d, m) | fg::top_k(k) | fg::relu(), fg::linear(m, d));
}

/// A TopK autoencoder forward and backward: loss and gradient by all parameters, without an optimizer.
class TopKStep {
 public:
  TopKStep(const Matrix& x, const Matrix& w, Index k)
      : x_(x), net_(top_k_autoencoder(w.rows(), w.cols(), k)), pass_(net_) {
    net_.weights<encoder>() = w;
    net_.weights<decoder>() = w.transpose();
    net_.biases<encoder>() = 0.1F * normal(w.cols(), 1, 2);
    net_.biases<decoder>() = 0.1F * normal(w.rows(), 1, 3);
  }

  void run() {
    loss_ = pass_.gradient(net_, x_, x_, fg::squared_error(), gradient_);
    keep(gradient_.data());
  }

  /// Compared with the formulas on the library's codes, which EncodeTopK checks, in double precision.
  [[nodiscard]] bool is_right() {
    run();
    const Sparse codes = net_.encode(x_).cast<double>().sparseView();
    if (codes.nonZeros() != x_.rows() * net_.stage<2>().k) return false;
    const Dense w = net_.weights<encoder>().cast<double>(), v = net_.weights<decoder>().cast<double>(),
                b = net_.biases<decoder>().transpose().cast<double>(), x = x_.cast<double>();
    const double n = static_cast<double>(x.rows());
    Dense error = codes * v - x;
    error.rowwise() += b.row(0);
    const Dense by_y = 2 / n * error;
    Sparse by_z = codes;
    for (Index i = 0; i < by_z.rows(); ++i)
      for (Sparse::InnerIterator entry(by_z, i); entry; ++entry) entry.valueRef() = by_y.row(i).dot(v.row(entry.col()));
    const Dense by_v = codes.transpose() * by_y, by_w = by_z.transpose() * (x.rowwise() - b.row(0)).eval(),
                by_bias = by_z.transpose() * Dense::Ones(x.rows(), 1),
                by_b = by_y.colwise().sum().transpose() - w * by_bias;
    return is_close(loss_, error.squaredNorm() / n) && is_part(encoder, 0, by_w.transpose()) &&
           is_part(encoder, w.size(), by_bias) && is_part(decoder, 0, by_v) && is_part(decoder, v.size(), by_b);
  }

 private:
  static constexpr std::size_t encoder = 1, decoder = 4;
  using Dense = Eigen::Matrix<double, Eigen::Dynamic, Eigen::Dynamic, Eigen::RowMajor>;
  using Sparse = Eigen::SparseMatrix<double, Eigen::RowMajor>;
  using Net = decltype(top_k_autoencoder(1, 1, 1));

  static bool is_close(double got, double exact) { return std::abs(got - exact) <= 1e-5 * exact; }

  /// Whether the gradient of layer l, from its number `begin` on, is this up to 1e-5 of the largest value.
  [[nodiscard]] bool is_part(std::size_t l, Index begin, const Dense& exact) const {
    const Eigen::Map<const Matrix> got(gradient_.data() + net_.offset(l) + begin, exact.rows(), exact.cols());
    return (got.cast<double>() - exact).cwiseAbs().maxCoeff() <= 1e-5 * exact.cwiseAbs().maxCoeff();
  }

  const Matrix& x_;
  Net net_;
  fg::Pass<Net> pass_;
  Net::Vector gradient_;
  double loss_ = 0;
};

}  // namespace bench
