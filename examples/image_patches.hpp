// SPDX-License-Identifier: MIT
#pragma once

#include <algorithm>
#include <cmath>
#include <filigree/core/generator.hpp>
#include <filigree/io/pgm.hpp>
#include <string>
#include <vector>

using Matrix = Eigen::Matrix<double, Eigen::Dynamic, Eigen::Dynamic, Eigen::RowMajor>;

/// Returns squares of side x side pixels from random positions of random photographs in a folder, one per row.
inline Matrix draw_patches(const std::string& folder, Eigen::Index count, Eigen::Index side,
                           filigree::Generator generator) {
  std::vector<Matrix> images;
  for (const char* name : {"brick", "camera", "chelsea", "coffee", "coins", "grass", "gravel", "moon"})
    images.push_back(filigree::load_pgm<Matrix>(folder + "/" + name + ".pgm"));

  Matrix patches(count, side * side);
  for (Eigen::Index i = 0; i < count; ++i) {
    const auto choice = generator.below(static_cast<Eigen::Index>(images.size()));
    const Matrix& image = images[static_cast<std::size_t>(choice)];
    const Eigen::Index y = generator.below(image.rows() - side + 1), x = generator.below(image.cols() - side + 1);
    patches.row(i) = image.block(y, x, side, side).reshaped<Eigen::RowMajor>().transpose();
  }
  return patches;
}

/// Subtracts the mean of each patch, clips at three standard deviations of all pixels, and scales the result to
/// [0.1, 0.9], which a sigmoid can represent.
inline void normalize_patches(Matrix& patches) {
  patches.colwise() -= patches.rowwise().mean().eval();
  const double limit = 3 * std::sqrt(patches.squaredNorm() / static_cast<double>(patches.size()));
  patches = (patches.cwiseMin(limit).cwiseMax(-limit) / limit * 0.4).array() + 0.5;
}
