// SPDX-License-Identifier: MIT
#pragma once

#include <algorithm>
#include <limits>

#include "filigree/core/integers.hpp"
#include "filigree/core/list.hpp"
#include "filigree/engine/values.hpp"

namespace filigree::detail {

/// Sums of the rows of V over any range of keys, in a time that is independent of the length of the range.
///
/// Rows are divided into chunks. For each chunk, the sum of all preceding rows is stored in twice the precision of
/// double, so the difference of two such sums is as accurate as a direct sum. Rows that are non-finite, or so large
/// that a sum could overflow, are excluded and listed.
template <Real S>
class PrefixSums {
 public:
  static constexpr Index chunk = 16;

  void compute(const ValueRows<S>& v, Index m, const Session& session) {
    const Index dv = v.dv, chunks = m / chunk;
    dv_ = dv;
    high_ = memory_.get<double>(2 * (chunks + 1) * dv);
    low_ = high_ + (chunks + 1) * dv;
    constexpr Index batch = 256;
    const Index tasks = ceil_div(chunks, batch);
    List<List<Index>> excluded(tasks);
    session.run(tasks, [&](Index task, Index) {
      const Index end = (std::min)((task + 1) * batch, chunks);
      for (Index c = task * batch; c < end; ++c) add_chunk(v, c, excluded[task]);
    });
    excluded_.clear();
    for (const auto& rows : excluded) excluded_.append(rows.begin(), rows.end());
    std::fill_n(high_, dv, 0.0);
    std::fill_n(low_, dv, 0.0);
    for (Index c = 0; c < chunks; ++c)
      for (Index f = 0; f < dv; ++f) {  // Knuth's two-sum: low_ accumulates the rounding errors
        const double a = high_[c * dv + f], b = high_[(c + 1) * dv + f], sum = a + b, part = sum - a;
        high_[(c + 1) * dv + f] = sum;
        low_[(c + 1) * dv + f] = low_[c * dv + f] + ((a - (sum - part)) + (b - part));
      }
  }

  /// Adds the rows of the keys [begin, end) to `sum`, except for rows for which it calls separate(key), in ascending
  /// order.
  template <class Separate>
  void add(Index begin, Index end, double* sum, Separate&& separate) const {
    const Index first = ceil_div(begin, chunk), last = end / chunk;
    if (first >= last) {
      for (Index c = begin; c < end; ++c) separate(c);
      return;
    }
    for (Index c = begin; c < first * chunk; ++c) separate(c);
    const double *high = high_ + first * dv_, *low = low_ + first * dv_;
    const Index to = (last - first) * dv_;
    for (Index f = 0; f < dv_; ++f) sum[f] += (high[to + f] - high[f]) + (low[to + f] - low[f]);
    auto at = std::lower_bound(excluded_.begin(), excluded_.end(), first * chunk);
    while (at != excluded_.end() && *at < last * chunk) separate(*at++);
    for (Index c = last * chunk; c < end; ++c) separate(c);
  }
  /// Returns an upper bound on the number of calls of separate() for one range.
  [[nodiscard]] Index max_separate() const { return 2 * chunk + static_cast<Index>(excluded_.size()); }

 private:
  void add_chunk(const ValueRows<S>& v, Index c, List<Index>& excluded) {
    constexpr double max_summand = std::is_same_v<S, double> ? 1e290 : (std::numeric_limits<float>::max)();
    double* sum = high_ + (c + 1) * dv_;
    std::fill_n(sum, dv_, 0.0);
    for (Index r = c * chunk; r < (c + 1) * chunk; ++r) {
      const Eigen::Map<const Eigen::Array<S, Eigen::Dynamic, 1>> row(v.data + r * v.stride, dv_);
      if (dv_ > 0 && !(static_cast<double>(row.abs().template maxCoeff<Eigen::PropagateNaN>()) <= max_summand))
        excluded.push_back(r);
      else
        Eigen::Map<Dependent<Eigen::ArrayXd, S>>(sum, dv_) += row.template cast<double>();
    }
  }

  Buffer memory_;
  double *high_ = nullptr, *low_ = nullptr;  // [chunks + 1][dv]
  Index dv_ = 0;
  List<Index> excluded_;
};

}  // namespace filigree::detail
