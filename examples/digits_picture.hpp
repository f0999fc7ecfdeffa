// SPDX-License-Identifier: MIT
#pragma once

#include <stb_image_write.h>

#include <array>
#include <cstdio>
#include <filigree/attention/selected.hpp>
#include <stdexcept>
#include <string>
#include <vector>

#include "digits_data.hpp"

// Shows digits with the digits that they attend to most, as text and as a PNG file.

/// Returns a row of pixels as text, with two characters per pixel.
template <class Pixels>
std::string shades(const Pixels& row) {
  static constexpr std::array<const char*, 5> shade{"  ", "░░", "▒▒", "▓▓", "██"};
  std::string line;
  for (const float ink : row) line += shade[static_cast<std::size_t>(ink * 0.3f)];
  return line;
}

/// Prints digit i and the three digits that it attends to most.
inline void print_neighbors(const Digits& digits, Eigen::Index i, const filigree::Selected<float>& selected) {
  std::printf("\n%-20s", ("A " + std::to_string(digits.label(i)) + " attends to").c_str());
  for (Eigen::Index e = 0; e < 3; ++e)
    std::printf("a %d with %2.0f %%%s", static_cast<int>(digits.label(selected.columns(i, e))),
                100 * selected.weights(i, e), e < 2 ? "         " : "\n");
  for (Eigen::Index y = 0; y < 8; ++y) {
    std::string line = shades(digits.pixels.row(i).segment<8>(8 * y));
    for (Eigen::Index e = 0; e < 3; ++e)
      line += "    " + shades(digits.pixels.row(selected.columns(i, e)).segment<8>(8 * y));
    std::printf("%s\n", line.substr(0, line.find_last_not_of(' ') + 1).c_str());
  }
}

/// A canvas of colored pixels.
class Canvas {
 public:
  using Color = std::array<unsigned char, 3>;

  Canvas(int width, int height)
      : width_(width), height_(height), bytes_(static_cast<std::size_t>(3 * width * height), 245) {}

  void fill(int x0, int y0, int width, int height, Color color) {
    for (int y = y0; y < y0 + height; ++y)
      for (int x = x0; x < x0 + width; ++x)
        for (std::size_t c = 0; c < 3; ++c) bytes_[static_cast<std::size_t>(3 * (y * width_ + x)) + c] = color[c];
  }

  void write_png(const std::string& path) const {
    if (stbi_write_png(path.c_str(), width_, height_, 3, bytes_.data(), 3 * width_) == 0)
      throw std::runtime_error(path + ": cannot be written");
  }

 private:
  int width_, height_;
  std::vector<unsigned char> bytes_;
};

/// Draws two columns of digits. Next to each digit is a row of the digits that it attends to. The bars are the weights,
/// teal for the same label and orange for another label.
inline void draw_neighbors(const Digits& digits, const std::vector<Eigen::Index>& left,
                           const std::vector<Eigen::Index>& right, const filigree::Selected<float>& selected,
                           const std::string& path) {
  constexpr int dot = 6, side = 8 * dot, cell = side + 10, margin = 16;
  const auto k = static_cast<int>(selected.columns.cols());
  const auto rows = static_cast<int>(std::max(left.size(), right.size()));
  const int width = (k + 1) * cell + 12;
  Canvas canvas(2 * width + 4 * margin, rows * (cell + 4) + 2 * margin);

  const auto image = [&](int x, int y, Eigen::Index i) {
    for (int p = 0; p < 64; ++p) {
      const auto gray = static_cast<unsigned char>(255 - 15 * static_cast<int>(digits.pixels(i, p)));
      canvas.fill(x + p % 8 * dot, y + p / 8 * dot, dot, dot, {gray, gray, gray});
    }
  };
  const auto row = [&](int x, int y, Eigen::Index i) {
    canvas.fill(x - 3, y - 3, side + 6, side + 6, {40, 70, 150});
    image(x, y, i);
    for (int e = 0; e < k; ++e) {
      const Eigen::Index j = selected.columns(i, e);
      const int at = x + (e + 1) * cell + 12;
      const int bar = static_cast<int>(selected.weights(i, e) / selected.weights(i, 0) * side);
      image(at, y, j);
      canvas.fill(at, y + side + 2, bar, 5,
                  digits.label(j) == digits.label(i) ? Canvas::Color{0, 140, 130} : Canvas::Color{235, 95, 40});
    }
  };
  for (std::size_t r = 0; r < left.size(); ++r) row(margin, margin + static_cast<int>(r) * (cell + 4), left[r]);
  for (std::size_t r = 0; r < right.size(); ++r)
    row(width + 3 * margin, margin + static_cast<int>(r) * (cell + 4), right[r]);
  canvas.write_png(path);
}
