// SPDX-License-Identifier: MIT
#pragma once

// Needs stb_image_write.h, as io/png.hpp says, so filigree.hpp does not include this header.

#include <algorithm>
#include <string>
#include <vector>

#include "filigree/core/check.hpp"
#include "filigree/io/png.hpp"
#include "filigree/pattern/density_map.hpp"

namespace filigree {

/// Draws a pattern into a PNG in shades of gray: a row of pixels for each query, a column for each key, dark where the
/// pair is kept. Queries stand where those of scores(Q, K) do.
///
/// More than 512 queries or keys share pixels, which are the darker the more of their pairs are kept, and never white
/// if one is.
/// Cost       the ranges of each query by itself; keys in neither covers nor contains are asked for. Where that is more
///            than some 10^8 steps, a sample of 16 queries and 16 keys stands for those of a pixel
/// Throws     Error if n < 1 or m < 1, the pattern does not fit, or the file cannot be written
template <PatternStage P>
void draw(const P& pattern, Index n, Index m, const std::string& path) {
  detail::require(n >= 1, "draw(pattern, n, m, path): n must be at least 1, got ", n);
  detail::require(m >= 1, "draw(pattern, n, m, path): m must be at least 1, got ", m);
  const Grid grid{.n = n, .m = m, .query_at = m - n, .key_at = 0};
  detail::check(pattern, grid);
  const detail::DensityMap map(pattern, grid, 512);

  constexpr double paper = 255, faint = 225, ink = 25;
  std::vector<unsigned char> pixels;
  pixels.reserve(static_cast<std::size_t>(map.rows() * map.cols()));
  for (Index a = 0; a < map.rows(); ++a)
    for (Index b = 0; b < map.cols(); ++b) {
      const double share = map.share(a, b);
      pixels.push_back(static_cast<unsigned char>(share <= 0 ? paper : faint + (ink - faint) * (std::min)(share, 1.0)));
    }
  detail::write_png(path, map.rows(), map.cols(), pixels, "draw(pattern, n, m, path)");
}

}  // namespace filigree
