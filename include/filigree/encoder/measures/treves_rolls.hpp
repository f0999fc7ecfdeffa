// SPDX-License-Identifier: MIT
#pragma once

#include "filigree/encoder/measures/magnitudes.hpp"

namespace filigree {

/// Returns the activity ratio of Treves and Rolls: 1 for equal magnitudes, 1/n for a single nonzero entry. Sparser
/// vectors have smaller ratios.
///
/// Formula    (mean |v|)² / mean v²
/// Edge case  1 for a vector of zeros; NaN or an infinite value makes it NaN
/// Throws     Error if v is empty
/// Reference  Treves and Rolls, Network 2 (1991), for nonnegative rates; here for magnitudes
template <DenseExpression V>
double treves_rolls(const V& v) {
  return detail::effective_count("treves_rolls(v)", v) / static_cast<double>(v.size());
}

}  // namespace filigree
