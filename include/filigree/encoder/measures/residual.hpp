// SPDX-License-Identifier: MIT
#pragma once

#include <utility>

#include "filigree/core/check.hpp"
#include "filigree/core/concepts.hpp"

namespace filigree::detail {

/// Returns the sum over samples of |x - mean x|^2, which is N times the summed variances of the features.
template <class Matrix>
double variation(const Matrix& x) {
  const Dependent<Eigen::RowVectorXd, Matrix> mean = x.colwise().mean();
  return (x.rowwise() - mean).squaredNorm();
}

/// The residual of reconstructions and the variation of the samples, in double.
template <class Matrix>
struct Residual {
  Matrix values;  // x - x_hat
  double variation_of_x;
};

/// Returns the residual of reconstructions.
///
/// Throws     Error if the shapes differ, x is empty, or all samples of x are equal
template <DenseExpression X, DenseExpression Y>
Residual<Dependent<Eigen::MatrixXd, X>> residual(const char* call, const X& x, const Y& x_hat) {
  require(x.rows() == x_hat.rows() && x.cols() == x_hat.cols(), call, ": x_hat is ", x_hat.rows(), "x", x_hat.cols(),
          " and must have the shape of x, ", x.rows(), "x", x.cols());
  require(x.size() > 0, call, ": x must have at least one sample and one feature, got ", x.rows(), "x", x.cols());
  Dependent<Eigen::MatrixXd, X> values = x.matrix().template cast<double>();
  const bool all_equal = ((values.rowwise() - values.row(0)).array() == 0).all();
  require(!all_equal, call, ": the samples of x must differ, and these ", x.rows(), " are all equal");
  const double variation_of_x = variation(values);
  values -= x_hat.matrix().template cast<double>();
  return {std::move(values), variation_of_x};
}

}  // namespace filigree::detail
