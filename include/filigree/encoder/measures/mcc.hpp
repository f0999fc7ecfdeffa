// SPDX-License-Identifier: MIT
#pragma once

#include <algorithm>
#include <cstddef>
#include <limits>
#include <vector>

#include "filigree/core/check.hpp"
#include "filigree/core/concepts.hpp"
#include "filigree/encoder/measures/best_assignment.hpp"

namespace filigree {

namespace detail {

/// Returns a matrix with its rows scaled to length 1.
template <DenseExpression X>
Dependent<Eigen::MatrixXd, X> unit_rows(const X& x) {
  Dependent<Eigen::MatrixXd, X> units = x.matrix().template cast<double>();
  for (Index i = 0; i < units.rows(); ++i) units.row(i).stableNormalize();
  return units;
}

}  // namespace detail

/// Returns the mean absolute cosine between true atoms and learned atoms under the best one-to-one matching.
///
/// It is between 0 and 1. The order, sign and length of atoms do not matter.
/// Formula    max over matchings of mean |cos(true, learned)|
/// Shapes     learned: L x d, truth: T x d, atoms as rows
/// Cost       O(min(L, T)^2 max(L, T) + L T d) time, L T numbers of memory
/// Edge case  if L < T, true atoms without a match count as 0; if L > T, learned atoms without a match do not count; an
///            atom of zeros has cosine 0 with every atom; NaN or an infinite value makes it NaN
/// Throws     Error if the atoms differ in length, or a dictionary is empty
/// Reference  O'Neill et al., arXiv:2411.13117
template <DenseExpression L, DenseExpression T>
double mcc(const L& learned, const T& truth) {
  detail::require(learned.cols() == truth.cols(), "mcc(learned, truth): learned.cols() = ", learned.cols(),
                  " must equal truth.cols() = ", truth.cols());
  detail::require(learned.size() > 0 && truth.size() > 0,
                  "mcc(learned, truth): the dictionaries must not be empty, got ", learned.rows(), "x", learned.cols(),
                  " and ", truth.rows(), "x", truth.cols());
  const auto a = detail::unit_rows(learned), b = detail::unit_rows(truth);
  const bool fewer = a.rows() < b.rows();
  using Cosines = Eigen::Matrix<double, Eigen::Dynamic, Eigen::Dynamic, Eigen::RowMajor>;
  const detail::Dependent<Cosines, L> cosines = ((fewer ? a : b) * (fewer ? b : a).transpose()).cwiseAbs();
  if (!cosines.allFinite()) return std::numeric_limits<double>::quiet_NaN();
  const std::vector<Index> match = detail::best_assignment(cosines);
  double sum = 0;
  for (Index i = 0; i < cosines.rows(); ++i)
    sum += (std::min)(cosines(i, match[static_cast<std::size_t>(i)]), 1.0);  // a rounded cosine may exceed 1
  return sum / static_cast<double>(truth.rows());
}

}  // namespace filigree
