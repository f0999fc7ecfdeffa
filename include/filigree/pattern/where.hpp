// SPDX-License-Identifier: MIT
#pragma once

#include <type_traits>
#include <utility>

#include "filigree/pattern/algebra.hpp"

namespace filigree {

/// A pattern defined by a function of the positions.
template <class F>
struct Where {
  using Category = Pattern;
  F f;

  bool keeps(Index p, Index j) const { return static_cast<bool>(f(p, j)); }
};

/// Keeps the pairs for which f returns true. f must be safe to call from several threads at once.
///
/// Formula    f(p, j)
/// Cost       calls f for every pair, since no pair can be excluded in advance
template <class F>
Where<std::decay_t<F>> where(F&& f) {
  static_assert(std::is_invocable_r_v<bool, const std::decay_t<F>&, Index, Index>,
                "filigree: where(f): f must be callable as bool f(Eigen::Index p, Eigen::Index j), and const");
  return {.f = std::forward<F>(f)};
}

}  // namespace filigree
