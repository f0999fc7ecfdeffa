// SPDX-License-Identifier: MIT
#pragma once

#include <algorithm>
#include <filigree/filigree.hpp>
#include <optional>
#include <utility>

#include "data.hpp"

namespace bench {

/// plan(pattern, n, n), to be compared with one evaluation of attention.
template <fg::PatternStage Pattern>
class Planning {
 public:
  Planning(Index n, Pattern pattern) : n_(n), pattern_(std::move(pattern)) {}

  void run() {
    plan_.emplace(fg::plan(pattern_, n_, n_));
    keep(&plan_);
  }

  /// Every group of six says what the pattern says itself.
  bool is_right() {
    run();
    fg::detail::Coverage planned, own;
    for (Index p = 0; p < n_; p += 6) {
      fg::detail::plan_rows(*plan_, p, std::min(p + 6, n_), plan_->grid(), planned);
      fg::detail::plan_rows(pattern_, p, std::min(p + 6, n_), plan_->grid(), own);
      if (!std::ranges::equal(planned.maybe, own.maybe) || !std::ranges::equal(planned.sure, own.sure)) return false;
    }
    return true;
  }

 private:
  Index n_;
  Pattern pattern_;
  std::optional<fg::Plan<Pattern>> plan_;
};

}  // namespace bench
