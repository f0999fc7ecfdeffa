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

/// Forward and backward pass of a TopK autoencoder: loss and gradient of all parameters, without an optimizer.
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

  /// Returns true if loss and gradient agree with their formulas in double precision, given the library's codes. The
  /// codes are checked by EncodeTopK.
  [[nodiscard]] bool is_right() {
    run();
    const Sparse codes = net_.encode(x_).cast<double>().sparseView();
    if (codes.nonZeros() != x_.rows() * net_.stage<2>().k) return false;
    const Dense w = net_.weights<encoder>().cast<double>(), v = net_.weights<decoder>().cast<double>(),
                b = net_.biases<decoder>().transpose().cast<double>(), x = x_.cast<double>();
    const double n = static_cast<double>(x.rows());
    Dense error = codes * v - x;
    error.rowwise() += b.row(0);
    const Dense dy = 2 / n * error;
    Sparse dz = codes;
    for (Index i = 0; i < dz.rows(); ++i)
      for (Sparse::InnerIterator entry(dz, i); entry; ++entry) entry.valueRef() = dy.row(i).dot(v.row(entry.col()));
    const Dense dv = codes.transpose() * dy, dw = dz.transpose() * (x.rowwise() - b.row(0)).eval(),
                d_bias = dz.transpose() * Dense::Ones(x.rows(), 1), db = dy.colwise().sum().transpose() - w * d_bias;
    return is_close(loss_, error.squaredNorm() / n) && is_part(encoder, 0, dw.transpose()) &&
           is_part(encoder, w.size(), d_bias) && is_part(decoder, 0, dv) && is_part(decoder, v.size(), db);
  }

 private:
  static constexpr std::size_t encoder = 1, decoder = 4;
  using Dense = Eigen::Matrix<double, Eigen::Dynamic, Eigen::Dynamic, Eigen::RowMajor>;
  using Sparse = Eigen::SparseMatrix<double, Eigen::RowMajor>;
  using Net = decltype(top_k_autoencoder(1, 1, 1));

  static bool is_close(double got, double exact) { return std::abs(got - exact) <= 1e-5 * exact; }

  /// Returns true if the gradient of layer l, from its parameter `begin` on, is `exact` within 1e-5 of its maximum.
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
