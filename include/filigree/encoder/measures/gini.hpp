// SPDX-License-Identifier: MIT
#pragma once

#include <algorithm>
#include <cmath>

#include "filigree/encoder/measures/magnitudes.hpp"

namespace filigree {

/// Returns the Gini index of the magnitudes of a vector: 0 for equal magnitudes, 1 − 1/n for a single nonzero entry.
///
/// Formula    1 − 2 Σ_k |v|_(k) / ‖v‖₁ · (n − k + ½) / n, |v|_(1) ≤ … ≤ |v|_(n)
/// Cost       O(n log n)
/// Edge case  0 for a vector of zeros; NaN or an infinite value makes it NaN
/// Throws     Error if v is empty
/// Reference  Hurley and Rickard, arXiv:0811.4706
template <DenseExpression V>
double gini(const V& v) {
  auto size = detail::magnitudes("gini(v)", v);
  const double sum = size.sum(), n = static_cast<double>(size.size());
  if (std::isnan(sum)) return sum;  // std::sort needs values without NaN
  std::sort(size.data(), size.data() + size.size());
  using Values = decltype(size);
  const Values ranks = Values::LinSpaced(size.size(), 1, n);
  return (size * (2 * ranks - n - 1)).sum() / (n * sum);
}

}  // namespace filigree
