// SPDX-License-Identifier: MIT
#pragma once

#include <string>

#include "filigree/core/check.hpp"
#include "filigree/core/digits.hpp"
#include "filigree/pattern/density_map.hpp"

namespace filigree {

/// Returns a pattern as text: a line with its shape and density, then one row per query and one column per key, `█` for
/// a kept pair and `·` for others. The queries have the positions of scores(Q, K).
///
/// With more than 64 queries or keys, a character represents a cell of pairs: `█` all pairs are kept, `▓` at least
/// half, `▒` at least a quarter, `░` fewer, `·` none.
/// Cost       plans each query, and calls keeps() for each key in covers() but not in contains(). If that takes more
///            than about 10^8 steps, each cell is estimated from a sample of 16 queries and 16 keys, and the first
///            line says "about"
/// Throws     Error if n < 1 or m < 1, or the pattern does not fit
template <PatternStage P>
std::string describe(const P& pattern, Index n, Index m) {
  detail::require(n >= 1, "describe(pattern, n, m): n must be at least 1, got ", n);
  detail::require(m >= 1, "describe(pattern, n, m): m must be at least 1, got ", m);
  const Grid grid{.n = n, .m = m, .query_at = m - n, .key_at = 0};
  detail::check(pattern, grid);
  const detail::DensityMap map(pattern, grid, 64);

  const auto number = [](Index i) { return std::to_string(i); };
  std::string text = number(n) + " x " + number(m) + ", ";
  if (!map.exact()) text += "about ";
  text += detail::percent(map.pairs() / (static_cast<double>(n) * static_cast<double>(m)));
  if (map.height() > 1 || map.width() > 1)
    text += "; a character is " + number(map.height()) + " x " + number(map.width()) + " pairs";
  text += '\n';
  for (Index a = 0; a < map.rows(); ++a) {
    for (Index b = 0; b < map.cols(); ++b) {
      const double fraction = map.fraction(a, b);
      text += fraction <= 0 ? "·" : fraction < 0.25 ? "░" : fraction < 0.5 ? "▒" : fraction < 1 ? "▓" : "█";
    }
    text += '\n';
  }
  return text;
}

}  // namespace filigree
