// SPDX-License-Identifier: MIT
#pragma once

#include <cmath>

#include "filigree/core/check.hpp"
#include "filigree/select/keep_best.hpp"
#include "filigree/stage/stage.hpp"

namespace filigree {

/// Matrix stage that drops a fraction of the smallest magnitudes.
struct PruneMagnitude {
  using Category = MatrixStage;
  static constexpr bool passes_gradient = true;
  double fraction;

  template <Real S>
  void apply(RowList<S>& list) const {
    const auto dropped = static_cast<Index>(std::floor(fraction * static_cast<double>(list.count())));
    if (dropped >= list.count())
      return list.filter([&](Index e) { return std::isnan(list.values[static_cast<std::size_t>(e)]); });
    detail::keep_best(list, list.count() - dropped, [](S x) { return std::abs(x); });
  }
};

/// Drops a fraction of the present entries of a whole matrix, the entries of smallest magnitude.
///
/// Formula    drops ⌊fraction · count⌋
/// Cost       O(entries)
/// Edge case  of equal magnitudes, the first in row-major order are kept; NaN ranks highest and is kept even for
///            fraction = 1
/// Throws     Error unless 0 <= fraction <= 1
/// Reference  Han et al., arXiv:1506.02626, section 3
inline PruneMagnitude prune_magnitude(double fraction) {
  detail::require(fraction >= 0 && fraction <= 1, "prune_magnitude(fraction): fraction must be between 0 and 1, got ",
                  fraction);
  return {.fraction = fraction};
}

}  // namespace filigree
