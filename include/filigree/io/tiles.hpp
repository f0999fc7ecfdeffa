// SPDX-License-Identifier: MIT
#pragma once

#include <algorithm>
#include <cmath>

#include "filigree/core/check.hpp"
#include "filigree/core/concepts.hpp"

namespace filigree {

/// How tiles lays out pictures.
struct tiling {
  Index columns = 0;  // pictures side by side; 0 makes the grid about square
  Index border = 1;   // pixels between and around them
};

/// Returns a grid of small pictures, the usual way to look at learned features: each row of X is one, height x width,
/// in rows of pixels, scaled by its own largest magnitude so that -1, 0 and 1 of it become 0, 1/2 and 1. Borders are 0.
///
/// Shapes     X is n x (height width); the result has 0 to 1 everywhere, for save_png and save_pgm
/// Edge case  a picture of zeros is 1/2; places of the grid without a picture are 0
/// Throws     Error if X has no rows or another width, a number is not finite, or an option is negative
template <DenseExpression E>
detail::Later<Eigen::MatrixXd, E> tiles(const E& X, Index height, Index width, tiling options = {}) {
  const auto& pictures = X.eval();
  const Index n = pictures.rows(), border = options.border;
  detail::require(height >= 1 && width >= 1, "tiles(X, height, width): a picture must have pixels, got ", height, " x ",
                  width);
  detail::require(n >= 1, "tiles(X, height, width): X must have rows");
  detail::require(pictures.cols() / height == width && pictures.cols() % height == 0,
                  "tiles(X, height, width): X.cols() = ", pictures.cols(), " must equal ", height, " x ", width);
  detail::require(options.columns >= 0, "tiling{columns}: must be at least 0, got ", options.columns);
  detail::require(border >= 0, "tiling{border}: must be at least 0, got ", border);

  const Index square = static_cast<Index>(std::ceil(std::sqrt(static_cast<double>(n))));
  const Index across = (std::min)(options.columns > 0 ? options.columns : square, n);
  const Index down = (n + across - 1) / across;
  using Matrix = detail::Later<Eigen::MatrixXd, E>;
  Matrix grid = Matrix::Zero(down * (height + border) + border, across * (width + border) + border);
  for (Index p = 0; p < n; ++p) {
    double largest = 0;
    for (Index k = 0; k < height * width; ++k) {
      const double magnitude = std::abs(static_cast<double>(pictures(p, k)));
      detail::require(std::isfinite(magnitude), "tiles(X, height, width): X(", p, ", ", k, ") must be finite");
      largest = (std::max)(largest, magnitude);
    }
    const Index top = border + p / across * (height + border), left = border + p % across * (width + border);
    for (Index k = 0; k < height * width; ++k) {
      const double share = largest > 0 ? static_cast<double>(pictures(p, k)) / largest : 0;
      grid(top + k / width, left + k % width) = 0.5 + 0.5 * share;
    }
  }
  return grid;
}

}  // namespace filigree
