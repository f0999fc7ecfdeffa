// SPDX-License-Identifier: MIT
#pragma once

#include <stb_image_write.h>

#include <Eigen/Core>
#include <array>
#include <stdexcept>
#include <string>
#include <vector>

/// One line of a picture as text: two characters for each number from 0 to `ink`.
template <class Numbers>
std::string shades(const Numbers& row, float ink) {
  static constexpr std::array<const char*, 5> shade{"  ", "░░", "▒▒", "▓▓", "██"};
  std::string line;
  for (const float value : row) line += shade[static_cast<std::size_t>(value / ink * 4.99f)];
  return line;
}

/// A canvas of coloured pixels that becomes a PNG.
class Canvas {
 public:
  using Colour = std::array<unsigned char, 3>;

  Canvas(int width, int height, Colour paper) : width_(width), height_(height) {
    bytes_.resize(static_cast<std::size_t>(3 * width * height));
    fill(0, 0, width, height, paper);
  }

  void fill(int x0, int y0, int width, int height, Colour colour) {
    for (int y = y0; y < y0 + height; ++y)
      for (int x = x0; x < x0 + width; ++x)
        for (int c = 0; c < 3; ++c) bytes_[static_cast<std::size_t>(3 * (y * width_ + x) + c)] = colour[c];
  }

  void write_png(const std::string& path) const {
    if (stbi_write_png(path.c_str(), width_, height_, 3, bytes_.data(), 3 * width_) == 0)
      throw std::runtime_error("cannot write " + path);
  }

 private:
  int width_, height_;
  std::vector<unsigned char> bytes_;
};
