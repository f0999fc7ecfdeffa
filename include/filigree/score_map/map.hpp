// SPDX-License-Identifier: MIT
#pragma once

#include <type_traits>
#include <utility>

#include "filigree/stage/stage.hpp"

namespace filigree {

/// Score map that calls a user's function.
template <class F>
struct MapWith {
  using Category = ScoreMap;
  F f;

  template <Real S>
  S map(S s, Index p, Index j, const Grid&) const {
    static_assert(std::is_invocable_r_v<S, const F&, S, Index, Index>,
                  "filigree: map(f): f must be callable as s = f(s, Eigen::Index p, Eigen::Index j), and const");
    return static_cast<S>(f(s, p, j));
  }
};

/// Replaces each score by the value of a function, cast to the scalar of the scores.
///
/// Several threads call f concurrently.
/// Formula    f(s, p, j)
/// Edge case  a result of -inf masks the score
template <class F>
MapWith<std::remove_cvref_t<F>> map(F&& f) {
  return {.f = std::forward<F>(f)};
}

}  // namespace filigree
