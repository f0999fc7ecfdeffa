// SPDX-License-Identifier: MIT
// Which sparse autoencoder says most with few latents? Four of them learn to write digits of 64 pixels with about 8 of
// 256 latents, from one half of the digits, and are measured on the other: by the squared error over that of the mean
// digit, and by how well a linear classifier reads digits from codes, and from pixels. (BatchTopK chooses among the
// codes of a whole half at once.)
//
//   digits_sae [epochs [picture]]
#include <cstdio>
#include <cstdlib>
#include <filigree/filigree.hpp>
#include <iostream>
#include <string>

#include "codes.hpp"
#include "digits_data.hpp"
#include "enlarge.hpp"
#define STB_IMAGE_WRITE_IMPLEMENTATION
#include <filigree/io/png.hpp>

namespace fg = filigree;

namespace {

struct Half {
  Samples pixels, labels;
};

/// Trains 64 -> 256 -> stages -> 64, prints a line of the table, and returns the 128 atoms that are used most.
template <class Stages>
Samples try_out(const char* name, const Half& train, const Half& test, fg::Index epochs, const Stages& stages) {
  auto sae = fg::autoencoder(fg::pre_bias() | fg::linear<double>(64, 256) | stages, fg::linear<double>(256, 64));
  constexpr std::size_t decoder = decltype(sae)::depth - 1;
  sae.template weights<1>() = sae.template weights<decoder>().transpose();
  sae.template biases<decoder>() = train.pixels.colwise().mean();
  fg::fit(sae, train.pixels, fg::squared_error() + 1e-3 * fg::weight_decay(), fg::adam{.rate = 2e-3},
          {.epochs = epochs, .batch = 64});

  const Samples codes = sae.encode(test.pixels);
  std::printf("%-10s %13.2f %15.1f %15td %15.0f %%\n", name, fg::normalized_mse(test.pixels, sae.decode(codes)),
              fg::l0(codes), std::ssize(fg::dead_latents(codes)),
              probe(sae.encode(train.pixels), train.labels, codes, test.labels));
  return sae.template weights<decoder>()(most_used(codes, 128), Eigen::all);
}

void compare(fg::Index epochs, const std::string& picture) {
  const Digits digits = read_digits(FILIGREE_DIGITS);
  const Samples pixels = digits.pixels.cast<double>() / 16, labels = digits.labels.cast<double>();
  const fg::Index n = digits.count() / 2, m = digits.count() - n;
  const Half train{.pixels = pixels.topRows(n), .labels = labels.topRows(n)};
  const Half test{.pixels = pixels.bottomRows(m), .labels = labels.bottomRows(m)};

  std::printf("           squared error  active latents  never active  digits read rightly\n");
  std::printf("%-10s %61.0f %%\n", "pixels", probe(train.pixels, train.labels, test.pixels, test.labels));
  const Samples atoms = try_out("TopK", train, test, epochs, fg::top_k(8) | fg::relu());
  try_out("BatchTopK", train, test, epochs, fg::batch_top_k(8) | fg::relu());
  try_out("JumpReLU", train, test, epochs,
          fg::jump_relu<double>(256, {.theta = 0.3, .bandwidth = 0.3}) | fg::penalize(0.04 * fg::l0()));
  try_out("L1", train, test, epochs, fg::relu() | fg::penalize(1.0 * fg::l1()));

  fg::save_png(picture, enlarge(fg::tiles(atoms, 8, 8, {.columns = 16}), 3));
  std::printf("\n%s shows what the latents of TopK stand for, the most frequent first\n", picture.c_str());
}

}  // namespace

int main(int count, char** words) try {
  const fg::Index epochs = count > 1 ? std::atoi(words[1]) : 200;
  if (epochs < 1) {
    std::cerr << "digits_sae [epochs [picture]]\n";
    return 2;
  }
  compare(epochs, count > 2 ? words[2] : "digits_sae.png");
} catch (const std::exception& error) {
  std::cerr << error.what() << "\n";
  return 1;
}
