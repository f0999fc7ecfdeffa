// SPDX-License-Identifier: MIT
#pragma once

#include <Eigen/Core>
#include <Eigen/SparseCore>
#include <filigree/filigree.hpp>

#include "data.hpp"

namespace bench {

using SparseRows = Eigen::SparseMatrix<float, Eigen::RowMajor>;

/// Returns samples in which about one of `every` numbers is nonzero.
inline SparseRows sparse_samples(Index n, Index d, Index every) {
  fg::Generator generator(2026, 7);
  SparseRows x(n, d);
  for (Index i = 0; i < n; ++i)
    for (Index j = 0; j < d; ++j)
      if (generator.below(every) == 0) x.insert(i, j) = static_cast<float>(generator.uniform());
  x.makeCompressed();
  return x;
}

/// Forward and backward pass of linear(d, m), up to the gradient of its parameters. X is the type of the samples.
template <class X>
class LinearLayer {
 public:
  LinearLayer(const SparseRows& x, Index m)
      : sparse_(x), x_(x), y_(normal(x.rows(), m, 8)), net_(fg::network(fg::linear(x.cols(), m), 3)), pass_(net_) {}

  void run() {
    pass_.gradient(net_, x_, y_, fg::squared_error(), gradient_);
    keep(gradient_.data());
  }

  /// Returns true if the gradient agrees with its formula in double precision.
  [[nodiscard]] bool is_right() {
    run();
    using Dense = Eigen::Matrix<double, Eigen::Dynamic, Eigen::Dynamic, Eigen::RowMajor>;
    const Eigen::SparseMatrix<double, Eigen::RowMajor> x = sparse_.cast<double>();
    const Dense w = net_.weights<0>().template cast<double>();
    const Dense dy = 2 / static_cast<double>(x.rows()) * (x * w - y_.cast<double>());
    const Dense exact = x.transpose() * dy;
    const Eigen::Map<const Matrix> got(gradient_.data(), w.rows(), w.cols());
    return (got.cast<double>() - exact).cwiseAbs().maxCoeff() <= 1e-5 * exact.cwiseAbs().maxCoeff();
  }

 private:
  using Net = fg::Network<float, fg::Linear<float>>;

  const SparseRows& sparse_;
  X x_;
  Matrix y_;
  Net net_;
  fg::Pass<Net> pass_;
  Net::Vector gradient_;
};

}  // namespace bench
