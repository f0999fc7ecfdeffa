// SPDX-License-Identifier: MIT
// Layers of transformers: values by formulas that are written here, gradients by differences.
#include <cmath>
#include <cstdint>
#include <filigree/filigree.hpp>
#include <limits>
#include <numeric>
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

/// Compares the gradient of a network by all parameters with differences, for a batch of sequences.
template <class Net>
void check_gradient(Net net, Random& random, const Lengths& lengths, Index outputs) {
  const Index n = std::accumulate(lengths.begin(), lengths.end(), Index{0});
  const Matrix<double> x = test::normal<double>(random, n, net.inputs()), y = test::normal<double>(random, n, outputs);
  net.parameters() += 0.3 * test::normal<double>(random, net.parameters().size(), 1);
  const fg::Batch batch{x, lengths};
  fg::Pass pass(net);
  Eigen::VectorXd gradient;
  const double loss = pass.gradient(net, batch, y, fg::squared_error(), gradient, 5);
  CHECK(loss == Approx(pass.loss(net, batch, y, fg::squared_error(), 5)));
  auto moved = net;
  const Eigen::VectorXd expected = test::differences(
      [&](const Eigen::VectorXd& parameters) {
        moved.parameters() = parameters;
        return pass.loss(moved, batch, y, fg::squared_error(), 5);
      },
      net.parameters(), 1e-3);
  CHECK(test::relative(gradient, expected) < 1e-7);
  fg::thread_pool pool(3);
  fg::Pass other(net, fg::ExecutorRef(pool));
  Eigen::VectorXd same;
  other.gradient(net, batch, y, fg::squared_error(), same, 5);
  CHECK(test::same(same, gradient));
}

/// Softmax attention of one head over the keys that `keeps` allows, in long double.
template <class Keeps>
Eigen::MatrixXd attention_of(const Matrix<double>& q, const Matrix<double>& k, const Matrix<double>& v, Keeps keeps) {
  Eigen::MatrixXd out = Eigen::MatrixXd::Zero(q.rows(), v.cols());
  for (Index i = 0; i < q.rows(); ++i) {
    long double total = 0;
    Eigen::Matrix<long double, 1, Eigen::Dynamic> sum = Eigen::Matrix<long double, 1, Eigen::Dynamic>::Zero(v.cols());
    for (Index j = 0; j < k.rows(); ++j) {
      if (!keeps(i, j)) continue;
      const long double w =
          std::exp(static_cast<long double>(q.row(i).dot(k.row(j))) / std::sqrt(static_cast<long double>(q.cols())));
      total += w;
      sum += w * v.row(j).cast<long double>();
    }
    if (total > 0) out.row(i) = (sum / total).cast<double>();
  }
  return out;
}

/// Returns x with features of a head rotated.
Matrix<double> rotated(Matrix<double> x, Index width, double base, bool adjacent) {
  for (Index p = 0; p < x.rows(); ++p)
    for (Index i = 0; i < width / 2; ++i) {
      const double angle =
          static_cast<double>(p) / std::pow(base, 2.0 * static_cast<double>(i) / static_cast<double>(width));
      double &a = x(p, adjacent ? 2 * i : i), &b = x(p, adjacent ? 2 * i + 1 : i + width / 2);
      const double before = a;
      a = before * std::cos(angle) - b * std::sin(angle);
      b = before * std::sin(angle) + b * std::cos(angle);
    }
  return x;
}

}  // namespace

TEST_CASE("gradients of transformer layers match differences") {
  Random random(1801);
  const auto causal = fg::causal() | fg::softmax();
  check_gradient(fg::network(fg::linear<double>(3, 4) | fg::rms_norm<double>(4, 0.1) | fg::linear<double>(4, 2), 1),
                 random, {1, 5}, 2);
  check_gradient(fg::network(fg::linear<double>(3, 4) | fg::silu() | fg::linear<double>(4, 2), 1), random, {70}, 2);
  check_gradient(
      fg::network(
          fg::multiply(fg::linear<double>(3, 4) | fg::silu(), fg::linear<double>(3, 4)) | fg::linear<double>(4, 2), 1),
      random, {4}, 2);
  check_gradient(fg::network(fg::linear<double>(3, 4) | fg::positions::learned<double>(6, 4) |
                                 fg::positions::sinusoidal<double>(4) | fg::linear<double>(4, 2),
                             1),
                 random, {2, 6, 1}, 2);
  check_gradient(fg::network(fg::attention<double>(4, fg::heads{2}, causal), 1), random, {3, 1, 5}, 4);
  check_gradient(
      fg::network(fg::attention<double>(4, fg::heads{4, 2}, fg::softmax(), {.width = 3, .rotary = fg::rotary(2)}), 1),
      random, {6, 2}, 4);
  check_gradient(
      fg::network(fg::attention<double>(4, fg::heads{2}, [](Index i) { return fg::window(i) | fg::softmax(); },
                                        {.rotary = fg::rotary(2, 100, fg::rotary_pairs::adjacent)}),
                  1),
      random, {7}, 4);
  check_gradient(fg::network(fg::attention<double>(4, fg::heads{2}, fg::softmax() | fg::dropout(0.4, 3)), 1), random,
                 {4, 5}, 4);
}

TEST_CASE("gradients of whole transformers match differences") {
  Random random(1802);
  for (const auto norm : {fg::norm_position::pre, fg::norm_position::post})
    for (const bool recompute : {false, true})
      check_gradient(
          fg::network(fg::repeat(2,
                                 fg::transformer_layer<double>(4, fg::heads{2}, 5, fg::window(2) | fg::softmax(),
                                                               {.norm = norm, .dropout = 0.2}),
                                 {.recompute = recompute}) |
                          fg::layer_norm<double>(4) | fg::linear<double>(4, 2),
                      1),
          random, {3, 4}, 2);
}

TEST_CASE("repeat() of a function has the layers that it returns") {
  Random random(1810);
  const auto layer = [](Index i) {
    return fg::linear<double>(4, 4) | fg::attention<double>(4, fg::heads{2}, fg::window(i) | fg::softmax());
  };
  auto all = fg::network(fg::repeat(3, layer));
  auto apart = fg::network(layer(0) | layer(1) | layer(2));
  REQUIRE(all.parameters().size() == apart.parameters().size());
  all.parameters() = apart.parameters() = test::normal<double>(random, all.parameters().size(), 1);
  const Matrix<double> x = test::normal<double>(random, 8, 4);
  CHECK(test::same(all(x), apart(x)));
  for (const bool recompute : {false, true})
    check_gradient(fg::network(fg::repeat(3, layer, {.recompute = recompute})), random, {6, 2}, 4);
  CHECK_THROWS_WITH(fg::repeat(0, layer), "filigree: repeat(count, f): count must be at least 1, got 0");
  CHECK_THROWS_WITH(fg::repeat(2, [](Index i) { return fg::linear(4, 4 + i); }),
                    "filigree: repeat(count, f): all layers must have as many parameters, got 20 and 25");
}

TEST_CASE("learned positions may begin at a later row") {
  Random random(1811);
  const auto net = fg::network(fg::positions::learned<double>(6, 4, {.first = 2}), 3);
  const Matrix<double> x = test::normal<double>(random, 5, 4);
  const Eigen::Map<const Matrix<double>> table(net.parameters().data(), 6, 4);
  const Matrix<double> y = net(fg::Batch{x, {4, 1}});
  CHECK(test::same(y.topRows(4), Matrix<double>(x.topRows(4) + table.bottomRows(4))));
  CHECK(test::same(y.row(4), Matrix<double>(x.row(4) + table.row(2))));
  check_gradient(fg::network(fg::linear<double>(3, 4) | fg::positions::learned<double>(6, 4, {.first = 2}) |
                             fg::linear<double>(4, 2)),
                 random, {4, 1, 3}, 2);
  CHECK_THROWS_WITH(net(Matrix<double>(Matrix<double>::Ones(5, 4))),
                    "filigree: positions::learned(6, 4): a sequence has 5 tokens, more than the 4 positions");
  CHECK_THROWS_WITH(fg::positions::learned(6, 4, {.first = 6}),
                    "filigree: positions::learned(max, d, {.first}): first must be from 0 to 5, got 6");
}

TEST_CASE("recomputation gives the same bits") {
  Random random(1803);
  const Matrix<float> x = test::normal<float>(random, 90, 8), y = test::normal<float>(random, 90, 8);
  const auto layer = fg::transformer_layer(8, fg::heads{2}, 16, fg::causal() | fg::softmax() | fg::dropout(0.1, 4),
                                           {.dropout = 0.1, .rotary = fg::rotary(4)});
  auto plain = fg::network(fg::repeat(3, layer), 2);
  auto again = fg::network(fg::repeat(3, layer, {.recompute = true}), 2);
  REQUIRE(test::same(plain.parameters(), again.parameters()));
  const fg::Batch batch{x, {40, 1, 49}};
  fg::Pass first(plain), second(again);
  Eigen::VectorXf a, b;
  for (const std::uint64_t draw : {0, 7}) {
    CHECK(first.gradient(plain, batch, y, fg::squared_error(), a, draw) ==
          second.gradient(again, batch, y, fg::squared_error(), b, draw));
    CHECK(test::same(a, b));
  }
  CHECK(test::same(plain(batch), again(batch)));
}

TEST_CASE("attention() computes its formula") {
  Random random(1804);
  for (const bool adjacent : {false, true}) {
    const auto net = fg::network(
        fg::attention<double>(
            6, fg::heads{4, 2}, fg::causal() | fg::softmax(),
            {.width = 5,
             .rotary = fg::rotary(4, 50, adjacent ? fg::rotary_pairs::adjacent : fg::rotary_pairs::halves)}),
        3);
    const Matrix<double> x = test::normal<double>(random, 9, 6);
    const double* p = net.parameters().data();
    const Matrix<double> w = Eigen::Map<const Matrix<double>>(p, 6, 40),
                         wo = Eigen::Map<const Matrix<double>>(p + 6 * 40 + 40, 20, 6);
    Eigen::MatrixXd heads(9, 20);
    const Matrix<double> qkv = x * w;  // the biases are 0
    for (Index i = 0; i < 4; ++i) {
      const Matrix<double> q = rotated(qkv.middleCols(i * 5, 5), 4, 50, adjacent),
                           k = rotated(qkv.middleCols(20 + i / 2 * 5, 5), 4, 50, adjacent);
      heads.middleCols(i * 5, 5) =
          attention_of(q, k, qkv.middleCols(30 + i / 2 * 5, 5), [](Index a, Index b) { return b <= a; });
    }
    CHECK((net(x) - heads * wo).cwiseAbs().maxCoeff() < 1e-12);
  }
}

TEST_CASE("silu, rms_norm, positions and embeddings compute their formulas") {
  Random random(1805);
  const Matrix<double> x = 3 * test::normal<double>(random, 7, 300);
  const Matrix<double> y = fg::network(fg::rms_norm<double>(300, 0.25) | fg::silu())(x);
  const Matrix<double> z = fg::network(fg::rms_norm<double>(300) | fg::positions::sinusoidal<double>(300))(x);
  for (Index i = 0; i < 7; ++i)
    for (Index j = 0; j < 300; ++j) {
      const double mean = x.row(i).squaredNorm() / 300, v = x(i, j) / std::sqrt(mean + 0.25);
      CHECK(y(i, j) == Approx(v / (1 + std::exp(-v))).margin(1e-14));
      const double angle = static_cast<double>(i) / std::pow(10000, static_cast<double>(j - j % 2) / 300);
      CHECK(z(i, j) ==
            Approx(x(i, j) / std::sqrt(mean + 1e-6) + (j % 2 == 0 ? std::sin(angle) : std::cos(angle))).margin(1e-13));
    }

  const auto net = fg::network(fg::embedding(10, 4) | fg::positions::learned(3, 4), 8);
  const Eigen::Map<const Matrix<float>> table(net.parameters().data(), 10, 4), at(net.parameters().data() + 40, 3, 4);
  Eigen::VectorXi ids(5);
  ids << 9, 0, 3, 3, 1;
  const Matrix<float> tokens = net(fg::Batch{ids, {2, 3}});
  const Index positions[] = {0, 1, 0, 1, 2};
  for (Index i = 0; i < 5; ++i)
    CHECK(test::same(tokens.row(i), Matrix<float>(table.row(ids[i]) + at.row(positions[i]))));
}

TEST_CASE("gradients of embeddings match differences") {
  Random random(1806);
  auto net = fg::network(fg::embedding<double>(5, 3) | fg::attention<double>(3, fg::heads{1}, fg::softmax()), 8);
  Eigen::Matrix<std::int64_t, Eigen::Dynamic, 1> ids(6);
  ids << 4, 0, 4, 4, 1, 0;
  const Matrix<double> y = test::normal<double>(random, 6, 3);
  const fg::Batch batch{ids, {4, 2}};
  fg::Pass pass(net);
  Eigen::VectorXd gradient;
  pass.gradient(net, batch, y, fg::squared_error(), gradient);
  auto moved = net;
  const Eigen::VectorXd expected = test::differences(
      [&](const Eigen::VectorXd& parameters) {
        moved.parameters() = parameters;
        return pass.loss(moved, batch, y, fg::squared_error());
      },
      net.parameters(), 1e-3);
  CHECK(test::relative(gradient, expected) < 1e-7);
}

TEST_CASE("an embedding of several columns of ids adds the vectors of its tables") {
  Random random(1809);
  auto net = fg::network(fg::embedding<double>({5, 2, 3}, 4) | fg::linear<double>(4, 2), 8);
  Eigen::Matrix<int, Eigen::Dynamic, 3> ids(7, 3);
  for (Index i = 0; i < 7; ++i)
    ids.row(i) << static_cast<int>(random.between(0, 4)), static_cast<int>(random.between(0, 1)), 2 * int(i % 2);
  const Eigen::Map<const Matrix<double>> table(net.parameters().data(), 10, 4);
  const fg::Batch batch{ids, {3, 4}};
  const Matrix<double> sums = net.before<1>(batch);
  for (Index i = 0; i < 7; ++i)
    CHECK((sums.row(i) - (table.row(ids(i, 0)) + table.row(5 + ids(i, 1)) + table.row(7 + ids(i, 2)))).norm() < 1e-15);

  const Matrix<double> y = test::normal<double>(random, 7, 2);
  fg::Pass pass(net);
  Eigen::VectorXd gradient;
  pass.gradient(net, batch, y, fg::squared_error(), gradient);
  auto moved = net;
  const Eigen::VectorXd expected = test::differences(
      [&](const Eigen::VectorXd& parameters) {
        moved.parameters() = parameters;
        return pass.loss(moved, batch, y, fg::squared_error());
      },
      net.parameters(), 1e-3);
  CHECK(test::relative(gradient, expected) < 1e-7);

  ids(5, 1) = 2;
  CHECK_THROWS_WITH(net(fg::Batch{ids, {7}}),
                    "filigree: embedding({5, 2, 3}, 4): the id of token 5 in column 1 must be a whole number from 0 to "
                    "1, got 2");
  CHECK_THROWS_WITH(fg::embedding({3, 0}, 4), "filigree: embedding(count, d): count must be from 1 to 16777216, got 0");
  CHECK_THROWS_WITH(fg::embedding(std::vector<Index>(), 4),
                    "filigree: embedding(counts, d): counts must have at least 1 entry");
  CHECK_THROWS_WITH(fg::network(fg::linear(3, 1) | fg::embedding({3, 4}, 4)),
                    "filigree: embedding({3, 4}, 4): gets 1 columns from the stage before it, not 2, the ids");
}

TEST_CASE("sequences of a batch give the bits of each alone") {
  Random random(1807);
  const Lengths lengths = {5, 1, 130, 64};
  const Matrix<float> x = test::normal<float>(random, 200, 16);
  const auto check = [&](const auto& head) {
    const auto net = fg::network(fg::positions::learned(130, 16) |
                                     fg::repeat(2, fg::transformer_layer(16, fg::heads{4, 2}, 32, head,
                                                                         {.dropout = 0.5, .rotary = fg::rotary(4)})),
                                 4);
    const Matrix<float> all = net(fg::Batch{x, lengths});
    Index first = 0;
    for (const Index length : lengths) {
      CHECK(test::same(Matrix<float>(all.middleRows(first, length)), net(Matrix<float>(x.middleRows(first, length)))));
      first += length;
    }
  };
  check(fg::softmax());
  check(fg::window(3) | fg::softmax() | fg::dropout(0.5, 1));
  check(fg::causal() | fg::top_k(4) | fg::softmax());
}

TEST_CASE("a transformer learns to copy the token before, in batches of whole sequences") {
  Random random(1808);
  Lengths lengths;
  Eigen::VectorXi ids(3000);
  Matrix<float> targets = Matrix<float>::Zero(3000, 6);
  for (Index first = 0; first < 3000;) {
    const Index length = std::min<Index>(random.between(2, 12), 3000 - first);
    for (Index i = first; i < first + length; ++i) {
      ids[i] = static_cast<int>(random.between(0, 5));
      if (i > first) targets(i, ids[i - 1]) = 1;
    }
    lengths.push_back(length);
    first += length;
  }
  const auto make = [] {
    return fg::network(fg::embedding(6, 16) | fg::positions::sinusoidal(16) |
                           fg::transformer_layer(16, fg::heads{2}, 32, fg::causal() | fg::softmax()) |
                           fg::layer_norm(16) | fg::linear(16, 6),
                       5);
  };
  auto net = make();
  const fg::Batch batch{ids, lengths};
  const auto report = fg::fit(net, batch, targets, fg::squared_error(), fg::adam{.rate = 0.01},
                              {.epochs = 12, .batch = 100, .seed = 3, .progress = false});
  CHECK(report.losses.back() < 0.05 * report.losses.front());
  auto same = make();
  fg::thread_pool pool(3);
  fg::fit(same, batch, targets, fg::squared_error(), fg::adam{.rate = 0.01},
          {.epochs = 12, .batch = 100, .seed = 3, .progress = false, .executor = fg::ExecutorRef(pool)});
  CHECK(test::same(net.parameters(), same.parameters()));
}

TEST_CASE("layers of transformers reject invalid arguments") {
  const Matrix<float> x = Matrix<float>::Ones(4, 8);
  CHECK_THROWS_WITH((fg::Batch{x, {2, 1}}),
                    "filigree: Batch{tokens, lengths}: the lengths sum to 3, they must sum to the 4 rows of tokens");
  CHECK_THROWS_WITH((fg::Batch{x, {2, 3}}),
                    "filigree: Batch{tokens, lengths}: the lengths sum to more than the 4 rows of tokens");
  CHECK_THROWS_WITH((fg::Batch{x, {4, 0}}), "filigree: Batch{tokens, lengths}: lengths[1] must be at least 1, got 0");
  CHECK_THROWS_WITH(fg::rotary(3), "filigree: rotary(width): width must be even and at least 2, got 3");
  CHECK_THROWS_WITH(fg::rotary(2, 1), "filigree: rotary(width, base): base must be finite and above 1, got 1");
  CHECK_THROWS_WITH(
      fg::attention(8, fg::heads{3}, fg::softmax()),
      "filigree: attention(d, heads{h}, head): d = 8 must be a multiple of h = 3 unless {.width} is given");
  CHECK_THROWS_WITH(fg::attention(8, fg::heads{4, 3}, fg::softmax()),
                    "filigree: attention(d, heads{h, hkv}, head): hkv must divide h = 4, got 3");
  CHECK_THROWS_WITH(fg::attention(8, fg::heads{0}, fg::softmax()),
                    "filigree: attention(d, heads{h, hkv}, head): h must be from 1 to 65536, got 0");
  CHECK_THROWS_WITH(
      fg::attention(8, fg::heads{4}, fg::softmax(), {.rotary = fg::rotary(4)}),
      "filigree: attention(d, heads, head, {.rotary}): rotary(4) rotates more features than the 2 of a head");
  CHECK_THROWS_WITH(fg::network(fg::linear(8, 6) | fg::attention(8, fg::heads{4}, fg::softmax())),
                    contains("gets 6 columns from the stage before it, not 8"));
  CHECK_THROWS_WITH(fg::rms_norm(0), "filigree: rms_norm(width): width must be at least 1, got 0");
  CHECK_THROWS_WITH(fg::positions::learned(0, 4),
                    "filigree: positions::learned(max, d): max must be at least 1, got 0");
  CHECK_THROWS_WITH(fg::positions::sinusoidal(3),
                    "filigree: positions::sinusoidal(d): d must be even and at least 2, got 3");
  CHECK_THROWS_WITH(fg::network(fg::positions::learned(3, 8))(x),
                    "filigree: positions::learned(3, 8): a sequence has 4 tokens, more than the 3 positions");
  CHECK_THROWS_WITH(fg::embedding(0, 4), "filigree: embedding(count, d): count must be from 1 to 16777216, got 0");
  const auto net = fg::network(fg::embedding(10, 4));
  for (const float id : {10.0F, -1.0F, 1.5F, std::numeric_limits<float>::quiet_NaN()})
    CHECK_THROWS_WITH(net(Matrix<float>::Constant(1, 1, id)),
                      contains("embedding(10, 4): the id of token 0 must be a whole number from 0 to 9, got "));
  CHECK_THROWS_WITH(fg::repeat(0, fg::linear(2, 2)),
                    "filigree: repeat(count, layers): count must be at least 1, got 0");
  CHECK_THROWS_WITH(fg::network(fg::repeat(2, fg::linear(2, 3))),
                    "filigree: repeat(count, layers): the layers turn 2 columns into 3, and cannot be repeated");
  CHECK_THROWS_WITH(fg::network(fg::multiply(fg::linear(2, 3), fg::linear(2, 4))),
                    "filigree: multiply(f, g): all branches must have as many outputs, got 3 and 4");
  auto attends = fg::network(fg::attention(8, fg::heads{2}, fg::softmax()));
  CHECK_THROWS_WITH(fg::fit(attends, x, fg::squared_error(), fg::adam{}, {.batch = 2, .progress = false}),
                    contains("pass the samples as Batch{X, lengths}"));
  CHECK_THROWS_WITH(
      fg::fit(attends, fg::Batch{x, {4}}, x, fg::squared_error(), fg::adam{}, {.drop_rest = true, .progress = false}),
      "filigree: fit: drop_rest is not available for a Batch of sequences");
}
