// SPDX-License-Identifier: MIT
#pragma once

#include <utility>

#include "filigree/core/check.hpp"
#include "filigree/core/concepts.hpp"

namespace filigree::detail {

/// Sum over samples of |x - mean x|^2: N times the variances of the features, summed.
template <class Matrix>
double variation(const Matrix& x) {
  const Later<Eigen::RowVectorXd, Matrix> mean = x.colwise().mean();
  return (x.rowwise() - mean).squaredNorm();
}

/// What reconstructions leave, and what there was to reconstruct, in double.
template <class Matrix>
struct Residual {
  Matrix values;  // x - x_hat
  double variation_of_x;
};

template <DenseExpression X, DenseExpression Y>
Residual<Later<Eigen::MatrixXd, X>> residual(const char* call, const X& x, const Y& x_hat) {
  require(x.rows() == x_hat.rows() && x.cols() == x_hat.cols(), call, ": x_hat is ", x_hat.rows(), "x", x_hat.cols(),
          " and must have the shape of x, ", x.rows(), "x", x.cols());
  require(x.size() > 0, call, ": x must have at least one sample and one feature, got ", x.rows(), "x", x.cols());
  Later<Eigen::MatrixXd, X> values = x.matrix().template cast<double>();
  const bool alike = ((values.rowwise() - values.row(0)).array() == 0).all();
  require(!alike, call, ": the samples of x must differ, and these ", x.rows(), " are all alike");
  const double whole = variation(values);
  values -= x_hat.matrix().template cast<double>();
  return {std::move(values), whole};
}

}  // namespace filigree::detail
