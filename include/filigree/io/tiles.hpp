// SPDX-License-Identifier: MIT
#pragma once

#include <algorithm>
#include <cmath>

#include "filigree/core/check.hpp"
#include "filigree/core/concepts.hpp"
#include "filigree/core/integers.hpp"

namespace filigree {

/// The options of tiles.
struct tiling {
  Index columns = 0;  // pictures in each row of the grid; 0 makes the grid about square
  Index border = 1;   // pixels between and around them
};

/// Returns a grid of small pictures, for example of learned features. Each row of X is a picture of height x width
/// pixels, row by row. It is divided by its largest magnitude, and [-1, 1] is then mapped to [0, 1]. Borders are 0.
///
/// Shapes     X is n x (height width); the values of the result are in [0, 1], as save_png and save_pgm expect
/// Edge case  a picture of zeros becomes 1/2; cells of the grid without a picture are 0
/// Throws     Error if X has no rows or another width, if a number is not finite, or if an option is negative
template <DenseExpression E>
detail::Dependent<Eigen::MatrixXd, E> tiles(const E& X, Index height, Index width, tiling options = {}) {
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
  const Index down = detail::ceil_div(n, across);
  using Matrix = detail::Dependent<Eigen::MatrixXd, E>;
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
      const double scaled = largest > 0 ? static_cast<double>(pictures(p, k)) / largest : 0;
      grid(top + k / width, left + k % width) = 0.5 + 0.5 * scaled;
    }
  }
  return grid;
}

}  // namespace filigree
