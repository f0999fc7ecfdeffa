// SPDX-License-Identifier: MIT
#pragma once

#include <cmath>

#include "filigree/encoder/measures/magnitudes.hpp"

namespace filigree {

/// Returns Hoyer's sparseness of a vector: 0 for equal magnitudes, 1 for a single nonzero entry.
///
/// Formula    (√n − ‖v‖₁ / ‖v‖₂) / (√n − 1)
/// Edge case  0 for a vector of zeros and for a vector of one entry; NaN or an infinite value makes it NaN
/// Throws     Error if v is empty
/// Reference  Hoyer, JMLR 5 (2004); Hurley and Rickard, arXiv:0811.4706
template <DenseExpression V>
double hoyer(const V& v) {
  const double count = detail::effective_count("hoyer(v)", v);
  const double root = std::sqrt(static_cast<double>(v.size()));
  return v.size() == 1 ? count - 1 : (root - std::sqrt(count)) / (root - 1);
}

}  // namespace filigree
