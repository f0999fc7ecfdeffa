// SPDX-License-Identifier: MIT
#pragma once

// Needs stb_image_write.h (see io/png.hpp), so filigree.hpp does not include this header.

#include <algorithm>
#include <cstddef>
#include <string>
#include <vector>

#include "filigree/core/check.hpp"
#include "filigree/io/png.hpp"
#include "filigree/pattern/density_map.hpp"

namespace filigree {

/// Draws a pattern as a grayscale PNG: one row of pixels per query and one column per key, dark for a kept pair. The
/// queries have the positions of scores(Q, K).
///
/// With more than 512 queries or keys, a pixel represents a cell of pairs. It is darker the more pairs are kept, and
/// white only if no pair is kept.
/// Cost       plans each query, and calls keeps() for each key in covers() but not in contains(). If that takes more
///            than about 10^8 steps, each cell is estimated from a sample of 16 queries and 16 keys
/// Throws     Error if n < 1 or m < 1, the pattern does not fit, or the file cannot be written
template <PatternStage P>
void draw(const P& pattern, Index n, Index m, const std::string& path) {
  detail::require(n >= 1, "draw(pattern, n, m, path): n must be at least 1, got ", n);
  detail::require(m >= 1, "draw(pattern, n, m, path): m must be at least 1, got ", m);
  const Grid grid{.n = n, .m = m, .query_at = m - n, .key_at = 0};
  detail::check(pattern, grid);
  const detail::DensityMap map(pattern, grid, 512);

  constexpr double white = 255, lightest = 225, darkest = 25;  // lightest and darkest: cells with kept pairs
  std::vector<unsigned char> pixels;
  pixels.reserve(static_cast<std::size_t>(map.rows() * map.cols()));
  for (Index a = 0; a < map.rows(); ++a)
    for (Index b = 0; b < map.cols(); ++b) {
      const double fraction = map.fraction(a, b);
      const double gray = fraction <= 0 ? white : lightest + (darkest - lightest) * (std::min)(fraction, 1.0);
      pixels.push_back(static_cast<unsigned char>(gray));
    }
  detail::write_png(path, map.rows(), map.cols(), pixels, "draw(pattern, n, m, path)");
}

}  // namespace filigree
