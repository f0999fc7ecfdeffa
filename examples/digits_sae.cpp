// SPDX-License-Identifier: MIT
// Which sparse autoencoder represents digits best with few active latents? Five kinds learn to reconstruct digits of 64
// pixels with 16, 8 or 4 of 128 latents. They are trained on one half of the digits and tested on the other half. The
// measures are the squared error relative to that of the mean digit, and the accuracy of a linear classifier of the
// codes, compared with one of the pixels. To make errors comparable, the threshold of BatchTopK and the factors of
// penalties are chosen so that all kinds have the same number of active latents on the test half.
//
//   digits_sae [epochs [active latents...]]
#include <algorithm>
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <filigree/filigree.hpp>
#include <iostream>
#include <vector>

#include "codes.hpp"
#include "digits_data.hpp"
#include "enlarge.hpp"
#define STB_IMAGE_WRITE_IMPLEMENTATION
#include <filigree/io/png.hpp>

namespace fg = filigree;

namespace {

constexpr fg::Index width = 64, latents = 128;

struct Half {
  Samples pixels, labels;
};

struct Task {
  Half train, test;
  fg::Index epochs;
};

template <class Encoder, class Objective>
auto learn(const Task& task, const Encoder& encoder, const fg::Linear<double>& decoder, const Objective& objective) {
  const Samples& pixels = task.train.pixels;
  auto sae = fg::autoencoder(encoder, decoder);
  constexpr std::size_t last = decltype(sae)::depth - 1;
  sae.template weights<1>() = sae.template weights<last>().transpose();
  sae.template biases<last>() = fg::geometric_median(pixels);
  constexpr fg::Index batch = 64;
  const fg::Index steps = task.epochs * ((pixels.rows() + batch - 1) / batch);
  fg::fit(sae, pixels, objective, fg::adam{.rate = 3e-3},
          {.epochs = task.epochs, .batch = batch, .schedule = fg::cosine(steps, steps / 20)});
  return sae;
}

/// Returns train(factor) for a penalty factor with the given number of active latents, within 5 %.
///
/// The logarithm of this number is nearly a linear function of the logarithm of the factor, so the secant method works.
template <class Train>
auto search(const Task& task, double active, const Train& train) {
  double step = std::log(1 / active), factor = 1, derivative = -0.7, last = 0;
  for (int attempt = 0;; ++attempt) {
    factor *= std::exp(step);
    auto sae = train(factor);
    const double excess = std::log(std::max(fg::l0(sae.encode(task.test.pixels)), 0.1) / active);
    if (std::abs(excess) < 0.05 || attempt == 9) return sae;
    if (attempt > 0) derivative = std::clamp((excess - last) / step, -2.0, -0.3);
    last = excess;
    step = -excess / derivative;
  }
}

template <class Sae>
void print(const char* name, const Task& task, const Sae& sae) {
  const Samples codes = sae.encode(task.test.pixels);
  std::printf("%-10s %14.1f %14.2f %13td %17.0f %%\n", name, fg::l0(codes),
              fg::normalized_mse(task.test.pixels, sae.decode(codes)), std::ssize(fg::dead_latents(codes)),
              probe(sae.encode(task.train.pixels), task.train.labels, codes, task.test.labels));
}

/// Prints a line for each kind of autoencoder, given the number of active latents. Returns the atoms of TopK, the most
/// used first.
Samples compare(const Task& task, fg::Index active) {
  const auto linear = fg::pre_bias() | fg::linear<double>(width, latents);
  const auto free = fg::linear<double>(latents, width), unit = free.unit_norm_rows();
  const auto error = fg::squared_error();
  const auto revived = error + (1.0 / 32) * fg::aux_k(32, {.after = 10000});
  const auto balanced = [&](const auto& train) { return search(task, static_cast<double>(active), train); };

  const auto top = learn(task, linear | fg::top_k(active) | fg::relu(), unit, revived);
  print("TopK", task, top);
  const auto batch = learn(task, linear | fg::batch_top_k(active) | fg::relu(), unit, revived);
  print("BatchTopK", task, fg::calibrated(batch, task.test.pixels));
  print("JumpReLU", task, balanced([&](double factor) {
          const auto jump = fg::jump_relu<double>(latents, {.theta = 0.2, .bandwidth = 0.2});
          return learn(task, linear | jump | fg::penalize(factor * fg::l0()), unit, error);
        }));
  print("Gated", task, balanced([&](double factor) {
          return learn(task, fg::pre_bias() | fg::gated<double>(width, latents), unit,
                       error + factor * fg::gate_l1() + fg::gate_reconstruction());
        }));
  // An L1 penalty shrinks the active latents. Atoms of any length compensate for it. Their decay leaves most of them
  // unused.
  print("L1", task, balanced([&](double factor) {
          return learn(task, linear | fg::relu() | fg::penalize(factor * fg::l1()), free,
                       error + 1e-2 * fg::weight_decay());
        }));
  const auto order = most_used(top.encode(task.test.pixels), latents);
  return top.template weights<decltype(top)::depth - 1>()(order, Eigen::all);
}

void compare(fg::Index epochs, const std::vector<fg::Index>& numbers) {
  const Digits digits = read_digits(FILIGREE_DIGITS);
  const Samples pixels = digits.pixels.cast<double>() / 16, labels = digits.labels.cast<double>();
  const fg::Index n = digits.count() / 2, m = digits.count() - n;
  const Task task = {.train = {.pixels = pixels.topRows(n), .labels = labels.topRows(n)},
                     .test = {.pixels = pixels.bottomRows(m), .labels = labels.bottomRows(m)},
                     .epochs = epochs};

  std::printf("           active latents  squared error  never active  classifier accuracy\n");
  std::printf("%-10s %61.0f %%\n", "pixels",
              probe(task.train.pixels, task.train.labels, task.test.pixels, task.test.labels));
  Samples atoms;
  for (const fg::Index active : numbers) atoms = compare(task, active);
  fg::save_png("digits_sae.png", enlarge(fg::tiles(atoms, 8, 8, {.columns = 16}), 3));
  std::printf("digits_sae.png shows the atoms of the last TopK, the most used first\n");
}

}  // namespace

int main(int count, char** words) try {
  const fg::Index epochs = count > 1 ? std::atoi(words[1]) : 200;
  std::vector<fg::Index> numbers;
  for (int i = 2; i < count; ++i) numbers.push_back(std::atoi(words[i]));
  if (epochs < 1 || std::any_of(numbers.begin(), numbers.end(), [](fg::Index k) { return k < 1 || k > latents; })) {
    std::cerr << "digits_sae [epochs [active latents...]]\n";
    return 2;
  }
  if (numbers.empty()) numbers = {16, 8, 4};
  compare(epochs, numbers);
} catch (const std::exception& error) {
  std::cerr << error.what() << "\n";
  return 1;
}
