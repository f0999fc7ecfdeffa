// SPDX-License-Identifier: MIT
// Can attention read handwriting? Every digit attends to the k others that look most like it, and their labels vote: queries
// and keys are the images, values the labels. Nothing is trained. (Each writer drew several of the digits, so a digit may
// find its own writer's hand; strangers' digits would be harder.)
#include <chrono>
#include <cstdio>
#include <cstring>
#include <filigree/filigree.hpp>
#include <filesystem>
#include <iostream>
#include <limits>

#include "digits_data.hpp"
#define STB_IMAGE_WRITE_IMPLEMENTATION
#include "picture.hpp"

namespace fg = filigree;
using Eigen::Index;

namespace {

constexpr const char* usage = R"(digits [--png file] [--data file] [--threads n]

Classifies 1797 handwritten digits by exact top-k attention to each other, shows whom some of them attend to, and
draws more of that into a picture.

  --png file    where the picture goes (digits.png)
  --data file   64 pixels and a label in each line, separated by commas
  --threads n   how many threads compute (1)
)";

struct Options {
  std::string png = "digits.png", data = FILIGREE_DIGITS;
  Index threads = 1;
};

/// Share of the digits whose votes are highest for their own label, in percent.
double accuracy(const Digits& digits, const Matrix& votes) {
  Index right = 0;
  for (Index i = 0; i < digits.count(); ++i) right += Digits::likeliest(votes, i) == digits.label(i) ? 1 : 0;
  return 100.0 * static_cast<double>(right) / static_cast<double>(digits.count());
}

/// The shortest of five runs, in milliseconds.
template <class F>
double time_of(F&& f) {
  double best = std::numeric_limits<double>::infinity();
  for (int run = 0; run < 5; ++run) {
    const auto start = std::chrono::steady_clock::now();
    f();
    best = std::min(best, std::chrono::duration<double, std::milli>(std::chrono::steady_clock::now() - start).count());
  }
  return best;
}

/// One line of the table: a selection of all other digits, under a flat, a middling and a sharp softmax.
template <class Selection>
void print_line(const char* name, double kept, const Digits& digits, const Matrix& X, fg::thread_pool& pool,
                const Selection& selection) {
  const auto n = static_cast<double>(digits.count());
  Matrix votes;
  std::printf("%6s %13.2f %%  ", name, 100 * kept / (n - 1));
  double time = 0;
  for (const double sharpness : {1.0, 10.0, 100.0}) {
    const auto A = fg::scores(X, X, sharpness) | selection | fg::softmax();
    time = time_of([&] { votes = A.on(pool) * digits.labels; });
    std::printf("%8.1f %%", accuracy(digits, votes));
  }
  std::printf("   │ %6.1f ms %8.0f million keys/s\n", time, n * (n - 1) / time / 1e3);
}

/// Digit i and the digits that it attends to most, as text.
void print_neighbours(const Digits& digits, Index i, const fg::Selected<float>& most) {
  constexpr Index shown = 3;
  std::printf("\n%-20s", ("a " + std::to_string(digits.label(i)) + " attends to").c_str());
  for (Index e = 0; e < shown; ++e)
    std::printf("a %d with %2.0f %%       ", static_cast<int>(digits.label(most.columns(i, e))), 100 * most.weights(i, e));
  for (Index y = 0; y < 8; ++y) {
    std::printf("\n%s", shades(digits.pixels.row(i).segment<8>(8 * y), 16).c_str());
    for (Index e = 0; e < shown; ++e)
      std::printf("    %s", shades(digits.pixels.row(most.columns(i, e)).segment<8>(8 * y), 16).c_str());
  }
  std::printf("\n");
}

/// Digits, each with a row of those that it attends to; bars show the weights, green for the same label and red for another.
void draw(Canvas& canvas, int left, const Digits& digits, const std::vector<Index>& rows, const fg::Selected<float>& most) {
  constexpr int size = 6, cell = 8 * size + 8;
  const auto image = [&](int x, int y, Index i) {
    for (int p = 0; p < 64; ++p) {
      const auto grey = static_cast<unsigned char>(255 - digits.pixels(i, p) * 15);
      canvas.fill(x + p % 8 * size, y + p / 8 * size, size, size, {grey, grey, grey});
    }
  };
  for (int r = 0; r < static_cast<int>(rows.size()); ++r) {
    const Index i = rows[static_cast<std::size_t>(r)];
    const int y = 12 + r * (cell + 8);
    canvas.fill(left - 4, y - 4, cell, cell, {40, 60, 110});
    image(left, y, i);
    for (int e = 0; e < static_cast<int>(most.columns.cols()); ++e) {
      const Index j = most.columns(i, e);
      const int x = left + 16 + (e + 1) * cell;
      image(x, y, j);
      const bool same = digits.label(j) == digits.label(i);
      canvas.fill(x, y + 8 * size + 2, static_cast<int>(most.weights(i, e) / most.weights(i, 0) * 8 * size), 5,
                  same ? Canvas::Colour{60, 160, 90} : Canvas::Colour{210, 60, 50});
    }
  }
}
}  // namespace
