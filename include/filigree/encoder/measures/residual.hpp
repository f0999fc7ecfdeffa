// SPDX-License-Identifier: MIT
#pragma once

#include <Eigen/Core>

#include "filigree/core/check.hpp"
#include "filigree/core/concepts.hpp"

namespace filigree::detail {

/// Sums over samples and features of reconstructions, in double.
struct ResidualSums {
  double variation_of_x;         // |x - mean x|^2, N times the summed variances of the features
  double variation_of_residual;  // the same of x - x_hat
  double squared_residual;       // |x - x_hat|^2
};

/// Returns the sums of reconstructions. Reads the samples twice, a few rows at a time: first for the means.
///
/// Throws     Error if the shapes differ, x is empty, or all samples of x are equal
template <DenseExpression X, DenseExpression Y>
ResidualSums residual_sums(const char* call, const X& x, const Y& x_hat) {
  using Block = Dependent<Eigen::Matrix<double, Eigen::Dynamic, Eigen::Dynamic, Eigen::RowMajor>, X>;
  require(x.rows() == x_hat.rows() && x.cols() == x_hat.cols(), call, ": x_hat is ", x_hat.rows(), "x", x_hat.cols(),
          " and must have the shape of x, ", x.rows(), "x", x.cols());
  require(x.size() > 0, call, ": x must have at least one sample and one feature, got ", x.rows(), "x", x.cols());
  const typename X::PlainObject& samples = x.eval();
  const typename Y::PlainObject& outputs = x_hat.eval();
  const Index n = samples.rows(), rows = 16;
  Block values, residual;
  const auto each = [&](auto&& f) {
    for (Index first = 0; first < n; first += rows) {
      const Index count = first + rows < n ? rows : n - first;
      values = samples.middleRows(first, count).matrix().template cast<double>();
      residual = values - outputs.middleRows(first, count).matrix().template cast<double>();
      f();
    }
  };

  Dependent<Eigen::RowVectorXd, X> mean, residual_mean;
  mean.setZero(samples.cols());
  residual_mean.setZero(samples.cols());
  bool all_equal = true;
  const Dependent<Eigen::RowVectorXd, X> first = samples.row(0).matrix().template cast<double>();
  each([&] {
    mean += values.colwise().sum();
    residual_mean += residual.colwise().sum();
    for (Index i = 0; i < values.rows() && all_equal; ++i) all_equal = ((values.row(i) - first).array() == 0).all();
  });
  require(!all_equal, call, ": the samples of x must differ, and these ", n, " are all equal");
  mean /= static_cast<double>(n);
  residual_mean /= static_cast<double>(n);

  ResidualSums sums{0, 0, 0};
  each([&] {
    sums.squared_residual += residual.squaredNorm();
    values.rowwise() -= mean;
    residual.rowwise() -= residual_mean;
    sums.variation_of_x += values.squaredNorm();
    sums.variation_of_residual += residual.squaredNorm();
  });
  return sums;
}

}  // namespace filigree::detail
