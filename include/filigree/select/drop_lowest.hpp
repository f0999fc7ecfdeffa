// SPDX-License-Identifier: MIT
#pragma once

#include <cmath>
#include <limits>

#include "filigree/core/check.hpp"
#include "filigree/kernel/kernels.hpp"
#include "filigree/stage/stage.hpp"

namespace filigree {

/// Selector that drops a fraction of the lowest scores.
struct DropLowest {
  using Category = Selector;
  static constexpr bool passes_gradient = true;
  double fraction;

  template <Real S>
  void apply(Row<S>& row) const {
    const Index kept = kept_of(row.count);
    if (kept == 0) return row.filter([&](Index i) { return row.values[i] != row.values[i]; });
    S bound = -std::numeric_limits<S>::infinity();
    row.count = kernel::kernels<S>().keep_top_k_of(row.values, row.columns, row.count, kept, 0, &bound);
  }
  template <Real S>
  Index list_kept(const S* values, Index m, S* kept, Column* columns) const {
    constexpr S infinity = std::numeric_limits<S>::infinity();
    const auto& kernels = kernel::kernels<S>();
    const Index k = kept_of(kernels.count_in(values, m, -infinity));
    if (k == 0) return kernels.copy_above(values, m, infinity, kept, columns);  // only NaN
    return kernels.copy_top_k(values, m, k, kept, columns);
  }

 private:
  [[nodiscard]] Index kept_of(Index count) const {
    return count - static_cast<Index>(std::floor(fraction * static_cast<double>(count)));
  }
};

/// Drops a fraction of the present scores of each row, the lowest ones.
///
/// Formula    drops ⌊fraction · count⌋
/// Cost       O(m) per row
/// Edge case  the product is computed in double: 0.7 · 10 drops 7, and 0.29 · 100 drops 28; of equal scores, the lowest
///            keys are kept; NaN ranks highest and is kept even for fraction = 1
/// Throws     Error unless 0 <= fraction <= 1
inline DropLowest drop_lowest(double fraction) {
  detail::require(fraction >= 0 && fraction <= 1, "drop_lowest(fraction): fraction must be between 0 and 1, got ",
                  fraction);
  return {.fraction = fraction};
}

}  // namespace filigree
