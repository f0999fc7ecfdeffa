// SPDX-License-Identifier: MIT
// Attention to a memory: values by formulas that are written here, gradients by differences.
#include <cmath>
#include <filigree/filigree.hpp>
#include <limits>
#include <numeric>
#include <string>
#include <vector>

#include "catch.hpp"
#include "inputs.hpp"
#include "nn/differences.hpp"

namespace fg = filigree;
using test::Index;
using test::Matrix;
using test::Random;

namespace {

using Lengths = std::vector<Index>;

Index sum(const Lengths& lengths) { return std::accumulate(lengths.begin(), lengths.end(), Index{0}); }

/// Compares the gradients of a network by all parameters and by the memory with differences.
template <class Net>
void check_gradients(Net net, Random& random, const Lengths& lengths, const Lengths& memory_lengths, Index kv) {
  const Matrix<double> x = test::normal<double>(random, sum(lengths), net.inputs()),
                       y = test::normal<double>(random, sum(lengths), net.outputs());
  Matrix<double> memory = test::normal<double>(random, sum(memory_lengths), kv);
  net.parameters() += 0.3 * test::normal<double>(random, net.parameters().size(), 1);
  fg::Pass pass(net);
  const auto loss = [&](const Net& one) {
    return pass.loss(one, fg::Batch{x, lengths, fg::Batch{memory, memory_lengths}}, y, fg::squared_error(), 5);
  };
  Eigen::VectorXd gradient;
  const double value =
      pass.gradient(net, fg::Batch{x, lengths, fg::Batch{memory, memory_lengths}}, y, fg::squared_error(), gradient, 5);
  const Matrix<double> memory_gradient = pass.memory_gradient();
  CHECK(value == Approx(loss(net)));
  auto moved = net;
  const Eigen::VectorXd expected = test::differences(
      [&](const Eigen::VectorXd& parameters) {
        moved.parameters() = parameters;
        return loss(moved);
      },
      net.parameters(), 1e-3);
  CHECK(test::relative(gradient, expected) < 1e-7);
  REQUIRE((memory_gradient.rows() == memory.rows() && memory_gradient.cols() == kv));
  const Eigen::VectorXd start = memory.reshaped<Eigen::RowMajor>();
  const Eigen::VectorXd by_memory = test::differences(
      [&](const Eigen::VectorXd& numbers) {
        memory = Eigen::Map<const Matrix<double>>(numbers.data(), memory.rows(), kv);
        return loss(net);
      },
      start, 1e-3);
  CHECK(test::relative(memory_gradient.reshaped<Eigen::RowMajor>(), by_memory) < 1e-7);
  memory = Eigen::Map<const Matrix<double>>(start.data(), memory.rows(), kv);
  fg::thread_pool pool(3);
  fg::Pass other(net, fg::ExecutorRef(pool));
  Eigen::VectorXd same;
  other.gradient(net, fg::Batch{x, lengths, fg::Batch{memory, memory_lengths}}, y, fg::squared_error(), same, 5);
  CHECK(test::same(same, gradient));
  CHECK(test::same(Matrix<double>(other.memory_gradient()), memory_gradient));
}

}  // namespace

TEST_CASE("cross_attention() computes its formula") {
  Random random(1830);
  const Index d = 6, kv = 5, width = 3, h = 4, hkv = 2;
  auto net = fg::network(fg::cross_attention<double>(d, fg::heads{h, hkv}, fg::softmax(), {.kv = kv, .width = width}));
  net.parameters() = test::normal<double>(random, net.parameters().size(), 1);
  REQUIRE(net.parameters().size() == d * 12 + 12 + kv * 12 + 12 + 12 * d + d);
  const double* p = net.parameters().data();
  const auto take = [&](Index rows, Index cols) {
    const Matrix<double> block = Eigen::Map<const Matrix<double>>(p, rows, cols);
    p += rows * cols;
    return block;
  };
  const Matrix<double> w_q = take(d, 12), b_q = take(1, 12), w_kv = take(kv, 12), b_kv = take(1, 12), w_o = take(12, d),
                       b_o = take(1, d);
  const Lengths lengths = {3, 1, 9}, memory_lengths = {2, 7, 1};
  const Matrix<double> x = test::normal<double>(random, 13, d), memory = test::normal<double>(random, 10, kv);
  const Matrix<double> y = net(fg::Batch{x, lengths, fg::Batch{memory, memory_lengths}});
  Index first = 0, key = 0;
  for (std::size_t s = 0; s < 3; ++s) {
    const Index n = lengths[s], m = memory_lengths[s];
    const Matrix<double> xs = x.middleRows(first, n), ms = memory.middleRows(key, m),
                         q = (xs * w_q).rowwise() + b_q.row(0), kvs = (ms * w_kv).rowwise() + b_kv.row(0);
    Matrix<double> out(n, 12);
    for (Index i = 0; i < h; ++i) {
      Matrix<double> w =
          (q.middleCols(3 * i, 3) * kvs.middleCols(3 * (i / 2), 3).transpose() / std::sqrt(3.0)).array().exp();
      w.array().colwise() /= w.rowwise().sum().array().eval();
      out.middleCols(3 * i, 3) = w * kvs.middleCols(6 + 3 * (i / 2), 3);
    }
    const Matrix<double> expected = (out * w_o).rowwise() + b_o.row(0);
    CHECK((y.middleRows(first, n) - expected).cwiseAbs().maxCoeff() < 1e-12);
    first += n;
    key += m;
  }
}

TEST_CASE("gradients of cross_attention() and of its memory match differences") {
  Random random(1831);
  const Lengths lengths = {3, 1, 4}, memory_lengths = {2, 5, 1};
  check_gradients(fg::network(fg::cross_attention<double>(4, fg::heads{2}, fg::softmax(), {.kv = 3})), random, lengths,
                  memory_lengths, 3);
  check_gradients(fg::network(fg::cross_attention<double>(
                      4, fg::heads{4, 2}, [](Index i) { return fg::window(i + 1) | fg::softmax(); }, {.width = 3})),
                  random, lengths, memory_lengths, 4);
  check_gradients(
      fg::network(fg::cross_attention<double>(4, fg::heads{2}, fg::softmax() | fg::dropout(0.4, 3), {.kv = 2})), random,
      lengths, memory_lengths, 2);
  for (const auto norm : {fg::norm_position::pre, fg::norm_position::post})
    check_gradients(
        fg::network(fg::repeat(2, fg::decoder_layer<double>(4, fg::heads{2}, 5, fg::causal() | fg::softmax(),
                                                            fg::softmax(), {.norm = norm, .dropout = 0.2, .kv = 3}))),
        random, lengths, memory_lengths, 3);
}

TEST_CASE("gradients of an encoder and a decoder match differences") {
  Random random(1832);
  check_gradients(fg::network(fg::linear<double>(3, 4) |
                              fg::encoder_decoder(
                                  fg::linear<double>(2, 4) | fg::positions::learned<double>(5, 4) |
                                      fg::transformer_layer<double>(4, fg::heads{2}, 3, fg::softmax()),
                                  fg::repeat(2, fg::decoder_layer<double>(
                                                    4, fg::heads{2}, 5, fg::causal() | fg::softmax(), fg::softmax())) |
                                      fg::linear<double>(4, 2))),
                  random, {3, 1, 4}, {2, 5, 1}, 2);
}

TEST_CASE("sequences with a memory give the bits of each alone") {
  Random random(1833);
  const Lengths lengths = {5, 1, 70}, memory_lengths = {64, 3, 90};
  const Matrix<float> x = test::normal<float>(random, 76, 16);
  Eigen::VectorXi ids(157);
  for (int& id : ids) id = static_cast<int>(random.between(0, 8));
  const auto net =
      fg::network(fg::encoder_decoder(
                      fg::embedding(9, 16) | fg::transformer_layer(16, fg::heads{4}, 8, fg::window(5) | fg::softmax()),
                      fg::repeat(2, fg::decoder_layer(16, fg::heads{4, 2}, 32, fg::causal() | fg::softmax(),
                                                      fg::top_k(8) | fg::softmax()))),
                  3);
  const fg::Batch batch{x, lengths, fg::Batch{ids, memory_lengths}};
  const Matrix<float> all = net(batch);
  fg::Predictor predict(net);
  CHECK(test::same(Matrix<float>(predict(batch)), all));
  Index first = 0, key = 0;
  for (std::size_t s = 0; s < 3; ++s) {
    const Index n = lengths[s], m = memory_lengths[s];
    const Matrix<float> xs = x.middleRows(first, n);
    const Eigen::VectorXi ms = ids.segment(key, m);
    CHECK(test::same(Matrix<float>(all.middleRows(first, n)), net(fg::Batch{xs, {n}, fg::Batch{ms, {m}}})));
    first += n;
    key += m;
  }
}

TEST_CASE("an encoder and a decoder learn to copy the memory, in batches of whole sequences") {
  Random random(1835);
  Lengths lengths, memory_lengths;
  std::vector<int> ids;
  std::vector<Eigen::Index> labels;
  for (Index s = 0; s < 250; ++s) {
    const Index length = random.between(1, 6), more = random.between(0, 3);
    for (Index i = 0; i < length + more; ++i) {
      ids.push_back(static_cast<int>(random.between(0, 4)));
      if (i < length) labels.push_back(ids.back());
    }
    lengths.push_back(length);
    memory_lengths.push_back(length + more);
  }
  const Index n = sum(lengths);
  const Eigen::VectorXi tokens = Eigen::VectorXi::Zero(n),
                        memory = Eigen::Map<const Eigen::VectorXi>(ids.data(), static_cast<Index>(ids.size()));
  Matrix<float> targets = Matrix<float>::Zero(n, 5);
  for (Index i = 0; i < n; ++i) targets(i, labels[static_cast<std::size_t>(i)]) = 1;
  const auto make = [] {
    return fg::network(fg::encoder_decoder(fg::embedding(5, 16) | fg::positions::learned(9, 16) | fg::layer_norm(16),
                                           fg::embedding(1, 16) | fg::positions::learned(9, 16) | fg::layer_norm(16) |
                                               fg::decoder_layer(16, fg::heads{2}, 32, fg::softmax(), fg::softmax()) |
                                               fg::layer_norm(16) | fg::linear(16, 5)),
                       5);
  };
  const fg::Batch batch{tokens, lengths, fg::Batch{memory, memory_lengths}};
  auto net = make();
  const double start = fg::Pass(net).loss(net, batch, targets, fg::squared_error());
  const auto whole = fg::fit(net, batch, targets, fg::squared_error(), fg::adam{.rate = 0.01},
                             {.epochs = 1, .batch = 0, .progress = false});
  CHECK(whole.losses[0] == Approx(start));
  net = make();
  const fg::fit_options options = {.epochs = 25, .batch = 60, .seed = 3, .progress = false};
  const auto report = fg::fit(net, batch, targets, fg::squared_error(), fg::adam{.rate = 0.01}, options);
  CHECK(report.losses.back() < 0.25);  // 0.8 without the memory
  fg::thread_pool pool(3);
  fg::fit_options on = options;
  on.executor = fg::ExecutorRef(pool);
  auto same = make();
  fg::fit(same, batch, targets, fg::squared_error(), fg::adam{.rate = 0.01}, on);
  CHECK(test::same(net.parameters(), same.parameters()));
  Matrix<float> infinite = Matrix<float>::Ones(3, 2);
  infinite(1, 1) = std::numeric_limits<float>::infinity();
  auto other = fg::network(fg::cross_attention(4, fg::heads{2}, fg::softmax(), {.kv = 2}));
  const Matrix<float> x = Matrix<float>::Ones(2, 4);
  CHECK_THROWS_WITH(fg::fit(other, fg::Batch{x, {2}, fg::Batch{infinite, {3}}}, x, fg::squared_error(), fg::adam{},
                            {.progress = false}),
                    "filigree: fit: memory(1, 1) must be finite, got inf");
}

TEST_CASE("an empty batch with a memory has no outputs and gradients of 0") {
  const auto net = fg::network(fg::decoder_layer(4, fg::heads{2}, 3, fg::softmax(), fg::softmax(), {.kv = 3}));
  const Matrix<float> x(0, 4), memory(0, 3);
  const fg::Batch batch{x, {}, fg::Batch{memory, {}}};
  CHECK(net(batch).rows() == 0);
  fg::Pass pass(net);
  Eigen::VectorXf gradient;
  pass.gradient(net, batch, x, fg::squared_error(), gradient);
  CHECK(gradient.isZero(0));
  CHECK((pass.memory_gradient().rows() == 0 && pass.memory_gradient().cols() == 3));
}

TEST_CASE("projections without biases stay without them in cross_attention()") {
  Random random(1834);
  auto net = fg::network(fg::cross_attention(4, fg::heads{2}, fg::softmax(), {.kv = 3, .bias = false}));
  CHECK(net.is_constrained());
  net.parameters()[4 * 4 + 4 + 3 * 8] = 1;  // a bias of the keys
  CHECK(!net.is_constrained());
  net.constrain();
  CHECK(net.parameters()[4 * 4 + 4 + 3 * 8] == 0);
}

TEST_CASE("attention to a memory rejects invalid arguments") {
  const Matrix<float> x = Matrix<float>::Ones(4, 8), memory = Matrix<float>::Ones(5, 3);
  CHECK_THROWS_WITH(
      (fg::Batch{x, {2, 2}, fg::Batch{memory, {5}}}),
      "filigree: Batch{tokens, lengths, memory}: memory has 1 sequences, it must have one for each of the 2 "
      "sequences of tokens");
  const auto net = fg::network(fg::cross_attention(8, fg::heads{2}, fg::softmax(), {.kv = 2}));
  const std::string missing = ": the samples have no memory; pass Batch{tokens, lengths, Batch{memory, lengths}}";
  CHECK_THROWS_WITH(net(x), "filigree: cross_attention" + missing);
  CHECK_THROWS_WITH(net(fg::Batch{x, {4}}), "filigree: cross_attention" + missing);
  CHECK_THROWS_WITH(net(fg::Batch{x, {4}, fg::Batch{memory, {5}}}),
                    "filigree: cross_attention: the memory has 3 columns, not 2");
  CHECK_THROWS_WITH(
      fg::cross_attention(8, fg::heads{3}, fg::softmax()),
      "filigree: cross_attention(d, heads{h}, head): d = 8 must be a multiple of h = 3 unless {.width} is "
      "given");
  CHECK_THROWS_WITH(fg::cross_attention(8, fg::heads{2}, fg::softmax(), {.kv = -1}),
                    "filigree: cross_attention(d, heads, head, {.kv}): kv must be at least 1, or 0 for d, got -1");
  CHECK_THROWS_WITH(fg::Decoder(net), "filigree: Decoder(network): cross_attention() is not available in a Decoder");
  const auto both = fg::network(fg::encoder_decoder(fg::linear(2, 4), fg::linear(8, 4) | fg::relu()));
  CHECK_THROWS_WITH(both(x), "filigree: encoder_decoder" + missing);
  CHECK_THROWS_WITH(both(fg::Batch{x, {4}, fg::Batch{memory, {5}}}),
                    "filigree: encoder_decoder: the memory has 3 columns, not 2");
  CHECK_THROWS_WITH(fg::network(fg::encoder_decoder(fg::linear(2, 4) | fg::pool_mean(), fg::linear(8, 4) | fg::relu())),
                    "filigree: encoder_decoder(encoder, decoder): the encoder cannot pool sequences");
}
