// SPDX-License-Identifier: MIT
#pragma once

#include <cmath>
#include <limits>

#include "filigree/core/check.hpp"
#include "filigree/kernel/kernels.hpp"
#include "filigree/pipe/stage.hpp"

namespace filigree {

/// What drop_lowest(fraction) returns.
struct DropLowest {
  using Category = Selector;
  double fraction;

  template <Real S>
  void apply(Row<S>& row) const {
    const auto dropped = static_cast<Index>(std::floor(fraction * static_cast<double>(row.count)));
    if (dropped >= row.count) return row.filter([&](Index i) { return row.values[i] != row.values[i]; });
    S bound = -std::numeric_limits<S>::infinity();
    row.count = kernel::kernels<S>().keep_top_k_of(row.values, row.columns, row.count, row.count - dropped, 0, &bound);
  }
};

/// Drops the lowest scores of each row, a fraction of the count that is present.
///
/// Formula    drops ⌊fraction · count⌋
/// Cost       O(m) per row
/// Edge case  the product is that of doubles, so 0.7 of 10 is 7 and 0.29 of 100 is 28; among equals the lowest keys
/// stay;
///            NaN ranks highest, and stays when everything else goes
/// Throws     Error unless 0 <= fraction <= 1
inline DropLowest drop_lowest(double fraction) {
  detail::require(fraction >= 0 && fraction <= 1, "drop_lowest(fraction): fraction must be within 0 and 1, got ",
                  fraction);
  return {.fraction = fraction};
}

}  // namespace filigree
