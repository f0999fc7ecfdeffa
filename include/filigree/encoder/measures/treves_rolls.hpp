// SPDX-License-Identifier: MIT
#pragma once

#include "filigree/encoder/measures/magnitudes.hpp"

namespace filigree {

/// Returns the activity ratio of Treves and Rolls: 1 for equal magnitudes, 1/n for a single entry that is not 0. The
/// sparser v, the smaller it is.
///
/// Formula    (mean |v|)² / mean v²
/// Edge case  zeros are equal entries: 1; NaN or an infinite value makes it NaN
/// Throws     Error if v is empty
/// Reference  Treves and Rolls, Network 2 (1991): rates, to which this adds magnitudes of what is below 0
template <DenseExpression V>
double treves_rolls(const V& v) {
  return detail::effective_count("treves_rolls(v)", v) / static_cast<double>(v.size());
}

}  // namespace filigree
