// SPDX-License-Identifier: MIT
// Pruning of linear layers within other layers, and training with masks that resumes from a checkpoint.
#include <unistd.h>

#include <algorithm>
#include <cmath>
#include <filesystem>
#include <filigree/nn/nn.hpp>
#include <filigree/normalize/softmax.hpp>
#include <filigree/score_map/tanh.hpp>
#include <filigree/transformer/transformer_layer.hpp>
#include <string>
#include <vector>

#include "catch.hpp"
#include "inputs.hpp"

namespace fg = filigree;
using test::Index;
using test::Random;
using Dense = test::Matrix<double>;
using Map = Eigen::Map<const Dense>;

namespace {

Dense normal(Random& random, Index n, Index m) {
  Dense x(n, m);
  for (Index e = 0; e < x.size(); ++e) x.data()[e] = random.normal();
  return x;
}

auto nested() {
  return fg::network(fg::linear<double>(6, 5) | fg::residual(fg::tanh() | fg::linear<double>(5, 5)) |
                         fg::repeat(2, fg::multiply(fg::linear<double>(5, 5) | fg::tanh(), fg::linear<double>(5, 5))) |
                         fg::sequence(fg::linear<double>(5, 4) | fg::tanh()) | fg::linear<double>(4, 3),
                     9);
}

/// The linear layers of nested(): the offsets of their weights, in, out, and the stage.
struct Place {
  Index offset, in, out;
  std::size_t stage;
};
const std::vector<Place> places = {{0, 6, 5, 0},   {35, 5, 5, 1},  {65, 5, 5, 2},  {95, 5, 5, 2},
                                   {125, 5, 5, 2}, {155, 5, 5, 2}, {185, 5, 4, 3}, {209, 4, 3, 4}};

Dense affine(const Dense& x, const Eigen::VectorXd& parameters, const Place& place) {
  const double* const w = parameters.data() + place.offset;
  Dense y = x * Map(w, place.in, place.out);
  y.rowwise() += Eigen::Map<const Eigen::RowVectorXd>(w + place.in * place.out, place.out);
  return y;
}
Dense tanh(const Dense& x) { return x.array().tanh().matrix(); }

/// The inputs of the layers of nested(), then its outputs.
std::vector<Dense> run(const Dense& x, const Eigen::VectorXd& p) {
  std::vector<Dense> inputs = {x};
  Dense h = affine(x, p, places[0]);
  inputs.push_back(tanh(h));
  h += affine(inputs[1], p, places[1]);
  for (std::size_t copy = 0; copy < 2; ++copy) {
    inputs.insert(inputs.end(), 2, h);
    h = tanh(affine(h, p, places[2 + 2 * copy])).cwiseProduct(affine(h, p, places[3 + 2 * copy]));
  }
  inputs.push_back(h);
  h = tanh(affine(h, p, places[6]));
  inputs.push_back(h);
  inputs.push_back(affine(h, p, places[7]));
  return inputs;
}

/// The bound of magnitudes below which `dropped` of the weights are.
double bound_of(std::vector<double> magnitudes, std::size_t dropped) {
  std::sort(magnitudes.begin(), magnitudes.end());
  return magnitudes[dropped];
}

}  // namespace

TEST_CASE("linear layers within other layers have weights, inputs and masks") {
  Random random(721);
  const Dense x = normal(random, 20, 6), y = normal(random, 20, 3);
  auto net = nested();
  for (Index e = 0; e < net.parameters().size(); ++e) net.parameters()[e] += 0.1 * random.normal();
  const Eigen::VectorXd before = net.parameters();
  const auto layers = fg::linear_layers(net);
  const std::vector<Dense> expected = run(x, before);
  REQUIRE(layers.size() == places.size());
  for (std::size_t l = 0; l < layers.size(); ++l) {
    CAPTURE(l);
    CHECK(layers[l].stage() == places[l].stage);
    CHECK(layers[l].weights() == Map(before.data() + places[l].offset, places[l].in, places[l].out));
    CHECK((layers[l].inputs(x) - expected[l]).cwiseAbs().maxCoeff() < 1e-13);
    CHECK((layers[l].inputs(fg::Batch{x, {15, 5}}) - expected[l]).cwiseAbs().maxCoeff() < 1e-13);
    CHECK_FALSE(layers[l].is_masked());
  }
  CHECK((net(x) - expected.back()).cwiseAbs().maxCoeff() < 1e-13);

  // By magnitude, each layer by itself: floor(0.5 * in * out) weights. Biases stay.
  fg::prune(net, {.fraction = 0.5});
  Eigen::VectorXd pruned = before;
  for (const Place& place : places) {
    std::vector<double> magnitudes;
    for (Index e = 0; e < place.in * place.out; ++e) magnitudes.push_back(std::abs(before[place.offset + e]));
    const double bound = bound_of(magnitudes, magnitudes.size() / 2);
    for (Index e = place.offset; e < place.offset + place.in * place.out; ++e)
      if (std::abs(pruned[e]) < bound) pruned[e] = 0;
  }
  CHECK(net.parameters() == pruned);
  CHECK((net(x) - run(x, pruned).back()).cwiseAbs().maxCoeff() < 1e-13);

  // All layers together, in two stages only.
  net = nested();
  net.parameters() = before;
  fg::prune(net, {.fraction = 0.3, .global = true, .stages = {2, 3}});
  std::vector<double> magnitudes;
  for (std::size_t l = 2; l < 7; ++l)
    for (Index e = 0; e < places[l].in * places[l].out; ++e)
      magnitudes.push_back(std::abs(before[places[l].offset + e]));
  const double bound = bound_of(magnitudes, 36);  // floor(0.3 * 120)
  pruned = before;
  for (std::size_t l = 2; l < 7; ++l)
    for (Index e = places[l].offset; e < places[l].offset + places[l].in * places[l].out; ++e)
      if (std::abs(pruned[e]) < bound) pruned[e] = 0;
  CHECK(net.parameters() == pruned);

  // Training keeps the masks, which differ between the copies of repeat.
  net = nested();
  fg::prune(net, {.n = 1, .m = 2});
  const Eigen::VectorXd start = net.parameters();
  fg::fit(net, x, y, fg::squared_error(), fg::adam{.rate = 0.01}, {.epochs = 5});
  for (const Place& place : places)
    for (Index e = place.offset; e < place.offset + place.in * place.out; ++e)
      CHECK((net.parameters()[e] == 0) == (start[e] == 0));
  for (const Place& place : places)
    for (Index j = 0; j < place.out; ++j)
      for (Index i = 0; i < place.in; i += 2) {
        Index kept = 0;
        for (Index k = i; k < std::min(i + 2, place.in); ++k)
          kept += net.parameters()[place.offset + k * place.out + j] != 0 ? 1 : 0;
        CHECK(kept == 1);
      }
  const auto copies = fg::linear_layers(net);
  CHECK_FALSE(((copies[2].weights().array() == 0) == (copies[4].weights().array() == 0)).all());
  CHECK(copies[2].is_masked());
}

TEST_CASE("Wanda and SparseGPT prune layers within other layers by the inputs that they get") {
  Random random(722);
  const Dense x = normal(random, 50, 6);
  const auto original = nested();
  auto net = original;
  Eigen::VectorXd expected = original.parameters();
  std::size_t l = 0;
  for (const auto& layer : fg::linear_layers(net)) {
    layer.mask(fg::output_mask(fg::wanda_scores(layer.weights(), layer.inputs(x)), 0.4));
    const Dense inputs = run(x, expected)[l];
    const Place& place = places[l++];
    Eigen::Map<Dense> w(expected.data() + place.offset, place.in, place.out);
    for (Index j = 0; j < place.out; ++j) {
      std::vector<double> scores;
      for (Index i = 0; i < place.in; ++i) scores.push_back(std::abs(w(i, j)) * inputs.col(i).norm());
      const double bound = bound_of(scores, static_cast<std::size_t>(0.4 * static_cast<double>(place.in)));
      for (Index i = 0; i < place.in; ++i)
        if (scores[static_cast<std::size_t>(i)] < bound) w(i, j) = 0;
    }
  }
  CHECK(net.parameters() == expected);

  auto compensated = original;
  for (const auto& layer : fg::linear_layers(compensated)) {
    const Dense inputs = layer.inputs(x), w = layer.weights();
    const auto pruned = fg::sparse_gpt(w, inputs, {.fraction = 0.3});
    layer.set(pruned);
    CHECK(layer.weights() == pruned.weights);
    CHECK(inputs == layer.inputs(x));  // they depend on the preceding layers only
  }
  for (const auto& layer : fg::linear_layers(compensated)) {
    CHECK((layer.weights().array() == 0).count() == static_cast<Index>(0.3 * double(layer.weights().size())));
    CHECK(layer.is_masked());
  }
  const auto first = fg::linear_layers(net).front();
  CHECK_THROWS_WITH(first.mask(Dense(Dense::Ones(5, 6))),
                    "filigree: linear(6, 5).masked(mask): the mask must be 6 x 5, got 5 x 6");
  CHECK_THROWS_WITH(first.set({.weights = Dense::Ones(2, 5), .mask = fg::WeightMask::Constant(6, 5, true)}),
                    "filigree: layer.set(pruned): the weights must be 6 x 5, got 2 x 5");
  CHECK_THROWS_WITH((void)first.inputs(Dense(3, 5)), "filigree: layer.inputs(X): X.cols() = 5 must be 6");
  net.parameters()[210] = std::nan("");
  const Eigen::VectorXd kept = net.parameters();
  CHECK_THROWS_AS(fg::prune(net), fg::Error);  // the last layer is not finite: no layer is pruned
  CHECK(test::same(net.parameters(), kept));
}

TEST_CASE("layers of transformers are pruned") {
  Random random(723);
  const Dense x = normal(random, 12, 8);
  auto net = fg::network(
      fg::repeat(2, fg::transformer_layer<double>(8, fg::heads{2}, 16, fg::softmax())) | fg::linear<double>(8, 3), 4);
  const auto layers = fg::linear_layers(net);
  REQUIRE(layers.size() == 9);  // of each layer: projections, output, and two of feed_forward
  CHECK(layers[0].weights().cols() == 24);
  CHECK(layers[8].inputs(x) == net.before<1>(x));
  fg::prune(net, {.fraction = 0.75});
  for (const auto& layer : layers) CHECK((layer.weights().array() == 0).count() == layer.weights().size() * 3 / 4);
  fg::fit(net, fg::Batch{x, {7, 5}}, normal(random, 12, 3), fg::squared_error(), fg::adam{}, {.epochs = 3});
  for (const auto& layer : layers) CHECK((layer.weights().array() == 0).count() == layer.weights().size() * 3 / 4);
}

TEST_CASE("training with pruning resumes from a checkpoint with the same bits") {
  Random random(724);
  const test::Matrix<float> x = normal(random, 40, 6).cast<float>(), y = normal(random, 40, 3).cast<float>();
  const std::string path =
      (std::filesystem::temp_directory_path() / ("filigree_prune_" + std::to_string(::getpid()) + ".npz")).string();
  // Weights of 0 that are not pruned, from the constraint and the optimizer, do not show the masks.
  const auto model = [] {
    return fg::network(fg::linear(6, 16).non_negative() | fg::tanh() |
                           fg::repeat(2, fg::residual(fg::tanh() | fg::linear(16, 16))) | fg::linear(16, 3),
                       2);
  };
  struct Stop {};
  const auto train = [&](auto& net, const fg::pruning_options& pruning, Index last, bool resume) {
    auto prune = fg::pruning(net, fg::cubic(2, 14), pruning);
    fg::fit(net, x, y, fg::squared_error(), fg::adamw{.rate = 0.05},
            {.epochs = 5,
             .batch = 10,
             .seed = 3,
             .clip = 0.5,
             .schedule =
                 [&](Index step) {
                   if (step >= last) throw Stop();
                   return 1.0;
                 },
             .after_step = prune,
             .checkpoint = path,
             .checkpoint_every = 1,
             .resume = resume});
  };
  for (const fg::pruning_options& options : {fg::pruning_options{.fraction = 0.6, .every = 3},
                                             {.fraction = 0.6, .initial = 0.2, .global = true, .every = 2},
                                             {.n = 2, .m = 4},
                                             {.fraction = 0.5, .every = 4, .stages = {2}}}) {
    auto whole = model();
    std::filesystem::remove(path);
    train(whole, options, 1000, false);
    for (const Index last : {1, 2, 3, 5, 7, 8, 13, 14, 15, 19}) {
      CAPTURE(last, options.every, options.global, options.m);
      auto first = model(), second = model();
      std::filesystem::remove(path);
      CHECK_THROWS_AS(train(first, options, last, false), Stop);
      train(second, options, 1000, true);
      CHECK(test::same(second.parameters(), whole.parameters()));
      // The masks are the same, too: in a further training without pruning.
      auto a = whole, b = second;
      fg::fit(a, x, y, fg::squared_error(), fg::sgd{.rate = 0.01}, {.epochs = 2});
      fg::fit(b, x, y, fg::squared_error(), fg::sgd{.rate = 0.01}, {.epochs = 2});
      CHECK(test::same(a.parameters(), b.parameters()));
    }
  }
  // Masks that do not fit are rejected, and the network is unchanged.
  auto net = model();
  const Eigen::VectorXf before = net.parameters();
  auto checkpoint = fg::Checkpoint<float>::load(path);
  REQUIRE(checkpoint.masks.size() == net.parameters().size());
  for (const Index damaged : {Index{0}, Index{200}, Index{384}, checkpoint.masks.size() - 1}) {
    auto broken = checkpoint;
    broken.masks[damaged] = broken.masks[damaged] == 0 ? 1 : 0;
    broken.save(path);
    CHECK_THROWS_WITH(train(net, {}, 1000, true), "filigree: " + path + ": holds masks that do not fit the network");
  }
  checkpoint.masks[130] = 3;
  checkpoint.save(path);
  CHECK_THROWS_AS(train(net, {}, 1000, true), fg::Error);
  checkpoint.masks.conservativeResize(5);
  checkpoint.save(path);
  CHECK_THROWS_AS(train(net, {}, 1000, true), fg::Error);
  CHECK(test::same(net.parameters(), before));
  std::filesystem::remove(path);
}
