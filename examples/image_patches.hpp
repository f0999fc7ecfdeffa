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
                           filigree::Generator generator,
                           const std::vector<std::string>& names = {"brick", "camera", "chelsea", "coffee", "coins",
                                                                    "grass", "gravel", "moon"}) {
  std::vector<Matrix> images;
  for (const std::string& name : names) images.push_back(filigree::load_pgm<Matrix>(folder + "/" + name + ".pgm"));

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

/// Returns all squares of side x side pixels of a picture, one per row.
template <class Image>
Image patches_of(const Image& image, Eigen::Index side) {
  const Eigen::Index across = image.cols() - side + 1, down = image.rows() - side + 1;
  Image patches(down * across, side * side);
  for (Eigen::Index p = 0; p < patches.rows(); ++p)
    patches.row(p) = image.block(p / across, p % across, side, side).template reshaped<Eigen::RowMajor>().transpose();
  return patches;
}

/// Returns the picture in which each pixel is the mean of the patches that contain it.
template <class Image>
Image average_patches(const Image& patches, Eigen::Index rows, Eigen::Index cols, Eigen::Index side) {
  const Eigen::Index across = cols - side + 1;
  Image sum = Image::Zero(rows, cols), count = Image::Zero(rows, cols);
  for (Eigen::Index p = 0; p < patches.rows(); ++p) {
    sum.block(p / across, p % across, side, side) += patches.row(p).template reshaped<Eigen::RowMajor>(side, side);
    count.block(p / across, p % across, side, side).array() += 1;
  }
  return sum.cwiseQuotient(count);
}
