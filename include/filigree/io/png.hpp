// SPDX-License-Identifier: MIT
#pragma once

// Needs stb_image_write.h (libstb-dev in Debian), so filigree.hpp does not include this header. As with all of stb, one
// source file of the program must define STB_IMAGE_WRITE_IMPLEMENTATION before the include, or the program must link
// libstb.

#if __has_include(<stb_image_write.h>)
#include <stb_image_write.h>
#else
#include <stb/stb_image_write.h>
#endif

#include <cstddef>
#include <limits>
#include <string>
#include <vector>

#include "filigree/core/check.hpp"
#include "filigree/core/concepts.hpp"
#include "filigree/io/file.hpp"
#include "filigree/io/gray.hpp"

namespace filigree {

namespace detail {

/// Writes a PNG of 8-bit pixels, which are given row by row.
inline void write_png(const std::string& path, Index rows, Index cols, const std::vector<unsigned char>& pixels,
                      const char* call) {
  // stb stores the number of bytes, with one more for each row, in an int.
  constexpr Index max_bytes = (std::numeric_limits<int>::max)();
  require(rows >= 1 && cols >= 1, call, ": a picture must have pixels, got ", rows, " x ", cols);
  require(cols < max_bytes / rows - 1, call, ": a picture must have fewer than 2^31 pixels, got ", rows, " x ", cols);
  std::string file;
  const auto append = [](void* target, void* bytes, int size) {
    static_cast<std::string*>(target)->append(static_cast<const char*>(bytes), static_cast<std::size_t>(size));
  };
  const int width = static_cast<int>(cols), height = static_cast<int>(rows);
  const bool done = stbi_write_png_to_func(append, &file, width, height, 1, pixels.data(), width) != 0;
  require(done, call, ": cannot allocate the memory to compress ", rows, " x ", cols, " pixels");
  write_file(path, Bytes::copy(file));
}

}  // namespace detail

/// Writes a matrix as an 8-bit gray PNG. A row of the matrix is a row of pixels. By default, 0 is black and 1 is white.
/// For example, save_png("features.png", tiles(W, 8, 8)) writes learned features.
///
/// Throws     Error if x is empty or has a NaN, if black equals white, and for the reasons of write_file
template <DenseExpression E>
void save_png(const std::string& path, const E& x, gray range = {}) {
  const char* const call = "save_png(path, x, range)";
  const detail::GrayLevels levels(range, 255, call);
  const auto& values = x.eval();
  std::vector<unsigned char> pixels;
  pixels.reserve(static_cast<std::size_t>(values.size()));
  for (Index i = 0; i < values.rows(); ++i)
    for (Index j = 0; j < values.cols(); ++j) pixels.push_back(static_cast<unsigned char>(levels(values(i, j), i, j)));
  detail::write_png(path, values.rows(), values.cols(), pixels, call);
}

}  // namespace filigree
