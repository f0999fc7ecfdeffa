// SPDX-License-Identifier: MIT
#pragma once

#include <cmath>

#include "filigree/core/check.hpp"
#include "filigree/select/rank.hpp"
#include "filigree/stage/stage.hpp"

namespace filigree {

/// Selector that keeps the largest scores up to a total probability.
struct TopP {
  using Category = Selector;
  static constexpr bool passes_gradient = true;
  double p;

  template <Real S>
  void apply(Row<S>& row) const {
    if (p == 1 || row.count == 0) return;  // every probability is positive, even if exp() underflows
    if (row.has_nan()) return row.filter([&](Index i) { return row.values[i] != row.values[i]; });
    auto* order = row.scratch.columns.template get<Column>(row.count);
    for (Index i = 0; i < row.count; ++i) order[i] = static_cast<Column>(i);
    std::sort(order, order + row.count, detail::by_rank([&](Column i) { return row.values[i]; }));

    const auto highest = static_cast<double>(row.values[order[0]]);
    auto* weights = row.scratch.values.template get<double>(row.count);
    double total = 0;
    for (Index r = 0; r < row.count; ++r) {
      const auto value = static_cast<double>(row.values[order[r]]);
      weights[r] = value == highest ? 1.0 : std::exp(value - highest);  // +inf - +inf would be NaN
      total += weights[r];
    }
    Index kept = 0;
    for (double sum = 0; kept < row.count && sum < p * total;) sum += weights[kept++];

    std::sort(order, order + kept);
    for (Index i = 0; i < kept; ++i) {
      row.values[i] = row.values[order[i]];
      row.columns[i] = row.columns[order[i]];
    }
    row.count = kept;
  }
};

/// Keeps the smallest set of largest scores whose softmax probabilities sum to at least p. The scores do not change.
///
/// Formula    fewest with Σ softmax(s) ≥ p
/// Cost       O(m log m) per row; probabilities and their sum in double
/// Edge case  keeps at least one score; ties go to the lowest key; p = 1 keeps all; a row with NaN keeps only its NaN
/// Throws     Error unless 0 < p <= 1
/// Reference  Holtzman et al., arXiv:1904.09751, section 3.1
inline TopP top_p(double p) {
  detail::require(p > 0 && p <= 1, "top_p(p): p must be above 0 and at most 1, got ", p);
  return {.p = p};
}

}  // namespace filigree
