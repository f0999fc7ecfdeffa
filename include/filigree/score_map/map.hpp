// SPDX-License-Identifier: MIT
#pragma once

#include <algorithm>
#include <limits>
#include <type_traits>
#include <utility>

#include "filigree/kernel/kernels.hpp"
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
  template <Real S>
  void map_tile(const ScoreTile<S>& tile) const {
    const bool any_absent = kernel::kernels<S>().any_absent({tile.values, tile.stride}, tile.queries, tile.keys);
    for (Index r = 0; r < tile.queries; ++r) {
      S* scores = tile.row(r);
      Index c = 0;
      for (; !any_absent && c + batch <= tile.keys; c += batch)
        map_batch(scores + c, tile.p + r, tile.j + c, tile.grid);
      for (; c < tile.keys; ++c)
        if (scores[c] != -std::numeric_limits<S>::infinity())
          scores[c] = map(scores[c], tile.p + r, tile.j + c, tile.grid);
    }
  }

 private:
  /// A multiple of the size of a vector: g++ -O2 vectorizes loops of a constant number of steps without a remainder.
  static constexpr Index batch = 32;

  /// Maps `batch` scores. f may read memory that the compiler cannot distinguish from the scores, so the results are
  /// written to a local array.
  template <Real S>
  void map_batch(S* scores, Index p, Index j, const Grid& grid) const {
    S results[batch];
    for (Index e = 0; e < batch; ++e) results[e] = map(scores[e], p, j + e, grid);
    std::copy_n(results, batch, scores);
  }
};

/// Score map that calls a user's function, and a user's function for its derivative.
template <class F, class Df>
struct DifferentiableMapWith : MapWith<F> {
  Df df;

  template <Real S>
  S derivative(S x, S, Index p, Index j, const Grid&) const {
    static_assert(std::is_invocable_r_v<S, const Df&, S, Index, Index>,
                  "filigree: map(f, df): df must be callable as d = df(s, Eigen::Index p, Eigen::Index j), and const");
    return static_cast<S>(df(x, p, j));
  }
};

/// Replaces each score by the value of a function, cast to the scalar of the scores.
///
/// Several threads call f concurrently. The map has no derivative: gradients need map(f, df).
/// Formula    f(s, p, j)
/// Edge case  a result of -inf masks the score
template <class F>
MapWith<std::decay_t<F>> map(F&& f) {
  return {.f = std::forward<F>(f)};
}

/// Replaces each score by the value of a function whose derivative with respect to the score is known.
///
/// Several threads call f and df concurrently.
/// Formula    f(s, p, j), with derivative df(s, p, j)
/// Edge case  a result of -inf masks the score, which then has gradient 0
template <class F, class Df>
DifferentiableMapWith<std::decay_t<F>, std::decay_t<Df>> map(F&& f, Df&& df) {
  return {{std::forward<F>(f)}, std::forward<Df>(df)};
}

}  // namespace filigree
