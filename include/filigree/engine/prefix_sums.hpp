// SPDX-License-Identifier: MIT
#pragma once

#include <algorithm>
#include <cmath>
#include <limits>

#include "filigree/core/list.hpp"
#include "filigree/pipe/sinks.hpp"

namespace filigree::detail {

/// Sums of the rows of V over any range of columns, in a time that does not grow with the range.
///
/// Rows come in chunks; between chunks stands the sum of all rows before, in twice the precision of double, so that the
/// difference of two of them is as good as a sum, and what lies outside leaves no trace. Rows that are not finite, or
/// whose sum might not be, are left out and named.
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
    const Index tasks = (chunks + batch - 1) / batch;
    List<List<Index>> apart(tasks);
    session.run(tasks, [&](Index task, Index) {
      const Index end = (std::min)((task + 1) * batch, chunks);
      for (Index c = task * batch; c < end; ++c) add_chunk(v, c, apart[task]);
    });
    apart_.clear();
    for (const auto& rows : apart) apart_.append(rows.begin(), rows.end());
    std::fill_n(high_, dv, 0.0);
    std::fill_n(low_, dv, 0.0);
    for (Index c = 0; c < chunks; ++c)
      for (Index f = 0; f < dv; ++f) {  // Knuth's two-sum
        const double a = high_[c * dv + f], b = high_[(c + 1) * dv + f], sum = a + b, part = sum - a;
        high_[(c + 1) * dv + f] = sum;
        low_[(c + 1) * dv + f] = low_[c * dv + f] + ((a - (sum - part)) + (b - part));
      }
  }

  /// Adds the rows of columns [begin, end) to `sum`, except those that it calls apart(column) for, in ascending order.
  template <class Apart>
  void add(Index begin, Index end, double* sum, Apart&& apart) const {
    const Index first = (begin + chunk - 1) / chunk, last = end / chunk;
    if (first >= last) {
      for (Index c = begin; c < end; ++c) apart(c);
      return;
    }
    for (Index c = begin; c < first * chunk; ++c) apart(c);
    const double *high = high_ + first * dv_, *low = low_ + first * dv_;
    const Index to = (last - first) * dv_;
    for (Index f = 0; f < dv_; ++f) sum[f] += (high[to + f] - high[f]) + (low[to + f] - low[f]);
    for (auto at = std::lower_bound(apart_.begin(), apart_.end(), first * chunk);
         at != apart_.end() && *at < last * chunk; ++at)
      apart(*at);
    for (Index c = last * chunk; c < end; ++c) apart(c);
  }
  /// The most rows that a range is apart for, beside those that are not finite.
  [[nodiscard]] Index most_apart() const { return 2 * chunk + static_cast<Index>(apart_.size()); }

 private:
  void add_chunk(const ValueRows<S>& v, Index c, List<Index>& apart) {
    constexpr double most = std::is_same_v<S, double> ? 1e290 : (std::numeric_limits<float>::max)();
    double* sum = high_ + (c + 1) * dv_;
    std::fill_n(sum, dv_, 0.0);
    for (Index r = c * chunk; r < (c + 1) * chunk; ++r) {
      const Eigen::Map<const Eigen::Array<S, Eigen::Dynamic, 1>> row(v.data + r * v.stride, dv_);
      if (dv_ > 0 && !(static_cast<double>(row.abs().template maxCoeff<Eigen::PropagateNaN>()) <= most))
        apart.push_back(r);
      else
        Eigen::Map<Later<Eigen::ArrayXd, S>>(sum, dv_) += row.template cast<double>();
    }
  }

  Buffer memory_;
  double *high_ = nullptr, *low_ = nullptr;  // [chunks + 1][dv]
  Index dv_ = 0;
  List<Index> apart_;
};

}  // namespace filigree::detail
