// SPDX-License-Identifier: MIT
#pragma once

#include <Eigen/Core>

/// Enlarges a picture: every pixel becomes a square of side x side pixels.
inline Eigen::MatrixXd enlarge(const Eigen::MatrixXd& picture, Eigen::Index side) {
  return Eigen::MatrixXd::NullaryExpr(picture.rows() * side, picture.cols() * side,
                                      [&](Eigen::Index i, Eigen::Index j) { return picture(i / side, j / side); });
}
