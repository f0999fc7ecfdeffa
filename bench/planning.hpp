// SPDX-License-Identifier: MIT
#pragma once

#include <algorithm>
#include <filigree/filigree.hpp>
#include <optional>
#include <utility>

#include "data.hpp"

namespace bench {

/// plan(pattern, n, n), for comparison with one evaluation of attention.
template <fg::PatternStage Pattern>
class Planning {
 public:
  Planning(Index n, Pattern pattern) : n_(n), pattern_(std::move(pattern)) {}

  void run() {
    plan_.emplace(fg::plan(pattern_, n_, n_));
    keep(&plan_);
  }

  /// Returns true if the plan and the pattern agree on every group of six queries.
  bool is_right() {
    run();
    fg::detail::Coverage planned, expected;
    for (Index p = 0; p < n_; p += 6) {
      fg::detail::plan_rows(*plan_, p, std::min(p + 6, n_), plan_->grid(), planned);
      fg::detail::plan_rows(pattern_, p, std::min(p + 6, n_), plan_->grid(), expected);
      if (!std::ranges::equal(planned.maybe, expected.maybe) || !std::ranges::equal(planned.sure, expected.sure))
        return false;
    }
    return true;
  }

 private:
  Index n_;
  Pattern pattern_;
  std::optional<fg::Plan<Pattern>> plan_;
};

}  // namespace bench
