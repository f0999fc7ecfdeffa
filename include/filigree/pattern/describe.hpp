// SPDX-License-Identifier: MIT
#pragma once

#include <string>

#include "filigree/core/check.hpp"
#include "filigree/core/digits.hpp"
#include "filigree/pattern/density_map.hpp"

namespace filigree {

/// Returns a pattern as text: a line with its shape and density, then a row for each query and a column for each key,
/// `█` for a pair that is kept and `·` for the others. Queries stand where those of scores(Q, K) do.
///
/// More than 64 queries or keys share the characters: `█` all pairs are kept, `▓` half of them or more, `▒` a quarter,
/// `░` fewer, `·` none.
/// Cost       the ranges of each query by itself; keys in neither covers nor contains are asked for. Where that is more
///            than some 10^8 steps, a sample of 16 queries and 16 keys stands for those of a character, and the first
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
      const double share = map.share(a, b);
      text += share <= 0 ? "·" : share < 0.25 ? "░" : share < 0.5 ? "▒" : share < 1 ? "▓" : "█";
    }
    text += '\n';
  }
  return text;
}

}  // namespace filigree
