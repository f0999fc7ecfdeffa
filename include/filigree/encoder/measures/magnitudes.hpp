// SPDX-License-Identifier: MIT
#pragma once

#include <Eigen/Core>

#include "filigree/core/check.hpp"
#include "filigree/core/concepts.hpp"

namespace filigree::detail {

/// Returns |v| divided by its largest entry, for scale-invariant measures: the squares can neither overflow nor all
/// underflow.
///
/// Edge case  a vector of zeros becomes a vector of ones; if an entry is NaN or infinite, the result has a NaN
template <DenseExpression V>
Dependent<Eigen::ArrayXd, V> magnitudes(const char* call, const V& v) {
  static_assert(V::IsVectorAtCompileTime,
                "filigree: measure(v): v must be a vector at compile time, such as X.row(i) or X.col(j)");
  require(v.size() > 0, call, ": v must have at least one entry");
  Dependent<Eigen::ArrayXd, V> size = v.matrix().template cast<double>().cwiseAbs().reshaped().array();
  const double largest = size.template maxCoeff<Eigen::PropagateNaN>();
  if (largest == 0)
    size.setOnes();
  else
    size /= largest;
  return size;
}

/// Returns (sum |v|)^2 / sum v^2: 1 for a single nonzero entry, n for n entries of equal magnitude. Divides by the
/// largest magnitude, as magnitudes(), but stores no copy.
template <DenseExpression V>
double effective_count(const char* call, const V& v) {
  static_assert(V::IsVectorAtCompileTime,
                "filigree: measure(v): v must be a vector at compile time, such as X.row(i) or X.col(j)");
  require(v.size() > 0, call, ": v must have at least one entry");
  const typename V::PlainObject& values = v.eval();
  const auto largest = static_cast<double>(values.array().abs().template maxCoeff<Eigen::PropagateNaN>());
  if (largest == 0) return static_cast<double>(values.size());
  const auto size = values.array().abs().template cast<double>() / largest;
  const double sum = size.sum();
  return sum * sum / size.square().sum();
}

}  // namespace filigree::detail
