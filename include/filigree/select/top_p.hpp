// SPDX-License-Identifier: MIT
#pragma once

#include <algorithm>
#include <cmath>
#include <limits>

#include "filigree/core/check.hpp"
#include "filigree/kernel/kernels.hpp"
#include "filigree/select/rank.hpp"
#include "filigree/stage/dense_row.hpp"
#include "filigree/stage/stage.hpp"

namespace filigree {

/// Selector that keeps the largest scores up to a total probability.
///
/// Definition: the weights exp(s - maximum) are computed and summed in double, in the order of the ranking, and scores
/// are kept until their sum reaches p times the sum of all. A search by vector sums finds the last kept score. Its sums
/// differ from those of the definition by rounding only, so the result is that of the definition unless a sum is within
/// the rounding error of the bound; then the definition is followed literally.
struct TopP {
  using Category = Selector;
  static constexpr bool passes_gradient = true;
  double p;

  template <Real S>
  void apply(Row<S>& row) const {
    if (p == 1 || row.count == 0) return;  // every probability is positive, even if exp() underflows
    cut(row.values, row.count, row.scratch);
    row.count = kernel::kernels<S>().keep_above(row.values, row.columns, row.count, DenseRow<S>::absent);
  }
  template <Real S>
  void apply_dense(DenseRow<S>& row) const {
    if (p < 1) cut(row.values, row.size(), row.scratch);
  }

 private:
  /// Scores above `bound` are kept, and the first `ties` of those equal to it.
  template <Real S>
  struct Bound {
    S bound;
    Index ties;
  };

  /// Replaces the scores that are not kept by -inf. Writes -inf after the list, up to a whole vector.
  template <Real S>
  void cut(S* values, Index count, RowScratch& scratch) const {
    constexpr S infinity = std::numeric_limits<S>::infinity();
    const auto& kernels = kernel::kernels<S>();
    bool nan = false;
    const S highest = kernels.largest_of(values, count, &nan);
    if (nan) return kernels.cut(values, count, infinity, 0);
    if (highest == -infinity) return;
    Bound<S> last{};
    if (highest == infinity || !search(values, count, highest, scratch, last))
      last = follow_definition(values, count, highest, scratch);
    kernels.cut(values, count, last.bound, last.ties);
  }

  /// Finds the last kept score. Returns false if it depends on rounding.
  template <Real S>
  bool search(const S* values, Index count, S highest, RowScratch& scratch, Bound<S>& last) const {
    constexpr Index few = 12, padding = Row<S>::padding;
    auto* w = scratch.values.template get<double>(count + padding);
    auto* at = scratch.columns.template get<Column>(2 * (count + padding));
    Column* order = at + count + padding;
    const double total = kernel::kernels<S>().weights_of(values, count, highest, w), target = p * total;
    // The dropped scores have the sum (1 - p) total, so the largest of them, and the last kept one, has at least the
    // mean of that over all scores.
    kernel::SumBounds<double> bounds{0.999 * (1 - p) * total / static_cast<double>(count), 1 + 0x1p-30, 0};
    const Index size = kernel::kernels<double>().narrow_sum(w, at, count, target, total, few, &bounds);

    bool tied = true;
    for (Index i = 0; i < size; ++i) {
      order[i] = static_cast<Column>(i);
      tied &= values[at[i]] == values[at[0]];
    }
    if (!tied) std::sort(order, order + size, detail::by_rank([&](Column i) { return values[at[i]]; }));
    Index kept = 0;
    double before = 0, sum = bounds.above;
    while (kept < size && sum < target) {
      before = sum;
      sum += w[order[kept++]];
    }
    if (kept == 0) return false;
    // Bounds on the rounding errors of sums, and of a weight: neighbors may have weights in the wrong order.
    const double margin = 0x1p-49 * static_cast<double>(count + 64) * total, close = 0x1p-44;
    const double weight = w[order[kept - 1]];
    if (!(sum >= target + margin) || !(before <= target - margin || before == 0)) return false;
    if (!(weight > bounds.low * (1 + close) && weight < bounds.high * (1 - close))) return false;
    last.bound = values[at[order[kept - 1]]];
    last.ties = std::count_if(order, order + kept, [&](Column i) { return values[at[i]] == last.bound; });
    return true;
  }

  template <Real S>
  Bound<S> follow_definition(const S* values, Index count, S highest, RowScratch& scratch) const {
    auto* order = scratch.columns.template get<Column>(count);
    Index size = 0;
    for (Index i = 0; i < count; ++i) {
      order[size] = static_cast<Column>(i);
      size += values[i] != DenseRow<S>::absent ? 1 : 0;
    }
    const auto by_rank = detail::by_rank([&](Column i) { return values[i]; });
    if (!std::is_sorted(order, order + size, by_rank)) std::sort(order, order + size, by_rank);
    auto* weights = scratch.values.template get<double>(size);
    const auto top = static_cast<double>(highest);
    double total = 0;
    for (Index r = 0; r < size; ++r) {
      const auto value = static_cast<double>(values[order[r]]);
      weights[r] = value == top ? 1.0 : std::exp(value - top);  // +inf - +inf would be NaN
      total += weights[r];
    }
    Index kept = 0;
    double sum = 0;
    do sum += weights[kept++];
    while (kept < size && sum < p * total);
    Bound<S> last{values[order[kept - 1]], 0};
    last.ties = std::count_if(order, order + kept, [&](Column i) { return values[i] == last.bound; });
    return last;
  }
};

/// Keeps the smallest set of largest scores whose softmax probabilities sum to at least p. The scores do not change.
///
/// Formula    fewest with Σ softmax(s) ≥ p
/// Cost       O(m) per row, one exponential each; O(m log m) for a row of which a sum is within rounding of p.
///            Probabilities and their sum in double
/// Edge case  keeps at least one score; ties go to the lowest key; p = 1 keeps all; a row with NaN keeps only its NaN
/// Throws     Error unless 0 < p <= 1
/// Reference  Holtzman et al., arXiv:1904.09751, section 3.1
inline TopP top_p(double p) {
  detail::require(p > 0 && p <= 1, "top_p(p): p must be above 0 and at most 1, got ", p);
  return {.p = p};
}

}  // namespace filigree
