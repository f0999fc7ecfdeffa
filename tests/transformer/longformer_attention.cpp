// SPDX-License-Identifier: MIT
// The attention of Longformer with projections of its own for global tokens: values by formulas that are written here,
// gradients by differences.
#include <cmath>
#include <filigree/filigree.hpp>
#include <numeric>
#include <set>
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

/// The formula for one sequence: for each query the keys that it attends to, one by one.
Matrix<double> formula(const Matrix<double>& x, const Matrix<double>& w, const Matrix<double>& b, Index heads,
                       Index half, const std::set<Index>& globals) {
  const Matrix<double> all = (x * w).rowwise() + b.row(0);  // q, k, v, k', v', q'
  const Index n = x.rows(), d = x.cols(), width = d / heads;
  Matrix<double> y = Matrix<double>::Zero(n, d);
  for (Index h = 0; h < heads; ++h)
    for (Index i = 0; i < n; ++i) {
      const bool is_global = globals.count(i) > 0;
      const Index q = is_global ? 5 : 0, k = is_global ? 3 : 1, v = is_global ? 4 : 2;
      double total = 0;
      Eigen::RowVectorXd sum = Eigen::RowVectorXd::Zero(width);
      for (Index j = 0; j < n; ++j) {
        if (!is_global && std::abs(i - j) > half && globals.count(j) == 0) continue;
        const double weight =
            std::exp(all.row(i).segment(q * d + h * width, width).dot(all.row(j).segment(k * d + h * width, width)) /
                     std::sqrt(static_cast<double>(width)));
        total += weight;
        sum += weight * all.row(j).segment(v * d + h * width, width);
      }
      y.row(i).segment(h * width, width) = sum / total;
    }
  return y;
}

template <class Net>
void check_gradient(Net net, Random& random, const Lengths& lengths) {
  const Index n = std::accumulate(lengths.begin(), lengths.end(), Index{0});
  const Matrix<double> x = test::normal<double>(random, n, net.inputs()),
                       y = test::normal<double>(random, n, net.outputs());
  net.parameters() += 0.3 * test::normal<double>(random, net.parameters().size(), 1);
  const fg::Batch batch{x, lengths};
  fg::Pass pass(net);
  Eigen::VectorXd gradient, same;
  const double loss = pass.gradient(net, batch, y, fg::squared_error(), gradient);
  CHECK(loss == Approx(pass.loss(net, batch, y, fg::squared_error())));
  auto moved = net;
  const Eigen::VectorXd expected = test::differences(
      [&](const Eigen::VectorXd& parameters) {
        moved.parameters() = parameters;
        return pass.loss(moved, batch, y, fg::squared_error());
      },
      net.parameters(), 1e-3);
  CHECK(test::relative(gradient, expected) < 1e-7);
  fg::thread_pool pool(3);
  fg::Pass other(net, fg::ExecutorRef(pool));
  other.gradient(net, batch, y, fg::squared_error(), same);
  CHECK(test::same(same, gradient));
}

}  // namespace

TEST_CASE("longformer_attention() computes its formula") {
  Random random(1840);
  const Index d = 6, heads = 2;
  const Lengths lengths = {9, 1, 30, 4};
  const Matrix<double> x = test::normal<double>(random, 44, d);
  const auto check = [&](Index w, const std::vector<Index>& globals) {
    CAPTURE(w, globals);
    auto net = fg::network(fg::longformer_attention<double>(d, fg::heads{heads}, w, globals));
    net.parameters() = test::normal<double>(random, net.parameters().size(), 1);
    REQUIRE(net.parameters().size() == 6 * d * d + 6 * d + d * d + d);
    const double* p = net.parameters().data();
    const Matrix<double> weights = Eigen::Map<const Matrix<double>>(p, d, 6 * d),
                         biases = Eigen::Map<const Matrix<double>>(p + 6 * d * d, 1, 6 * d),
                         w_o = Eigen::Map<const Matrix<double>>(p + 6 * d * d + 6 * d, d, d),
                         b_o = Eigen::Map<const Matrix<double>>(p + 7 * d * d + 6 * d, 1, d);
    const Matrix<double> y = net(fg::Batch{x, lengths});
    Index first = 0;
    for (const Index n : lengths) {
      std::set<Index> ids;
      for (const Index id : globals)
        if (id >= -n && id < n) ids.insert(id < 0 ? n + id : id);
      const Matrix<double> out = formula(x.middleRows(first, n), weights, biases, heads, w / 2, ids);
      const Matrix<double> expected = (out * w_o).rowwise() + b_o.row(0);
      CHECK((y.middleRows(first, n) - expected).cwiseAbs().maxCoeff() < 1e-11);
      CHECK(test::same(Matrix<double>(y.middleRows(first, n)), net(Matrix<double>(x.middleRows(first, n)))));
      first += n;
    }
  };
  check(4, {0});
  check(2, {7, -1, 0, 7, 29});
  check(0, {3});
  check(6, {});
  check(3, {-40, 44});
}

TEST_CASE("gradients of longformer_attention() match differences") {
  Random random(1841);
  check_gradient(fg::network(fg::longformer_attention<double>(4, fg::heads{2}, 2, {0, -1, 5})), random, {7, 1, 4});
  check_gradient(fg::network(fg::longformer_attention<double>(4, fg::heads{1}, 4, {})), random, {5, 3});
  check_gradient(fg::network(fg::longformer_attention<double>(4, fg::heads{4}, 0, {6})), random, {8, 3});
  check_gradient(
      fg::network(fg::linear<double>(3, 4) |
                  fg::repeat(2, fg::transformer_layer(fg::longformer_attention<double>(4, fg::heads{2}, 2, {1}), 5,
                                                      {.norm = fg::norm_position::post}))),
      random, {6, 2});
}

TEST_CASE("without global tokens, longformer_attention() computes attention() with a window") {
  Random random(1842);
  const Matrix<float> x = test::normal<float>(random, 50, 12);
  const auto net = fg::network(fg::longformer_attention(12, fg::heads{3}, 8, {}), 3);
  auto same = fg::network(fg::attention(12, fg::heads{3}, fg::window(4) | fg::softmax()));
  Eigen::Map<Matrix<float>>(same.parameters().data(), 12, 36) =
      Eigen::Map<const Matrix<float>>(net.parameters().data(), 12, 72).leftCols(36);
  same.parameters().tail(12 * 12 + 12) = net.parameters().tail(12 * 12 + 12);
  CHECK((net(x) - same(x)).cwiseAbs().maxCoeff() < 1e-5F);
}

TEST_CASE("longformer_attention() rejects invalid arguments") {
  const auto message = [](const std::string& what) {
    return "filigree: longformer_attention(d, heads{h}, w, globals): " + what;
  };
  CHECK_THROWS_WITH(fg::longformer_attention(8, fg::heads{0}, 2, {0}), message("h must be at least 1, got 0"));
  CHECK_THROWS_WITH(fg::longformer_attention(8, fg::heads{4, 2}, 2, {0}), message("hkv must be h, got 2"));
  CHECK_THROWS_WITH(fg::longformer_attention(8, fg::heads{3}, 2, {0}), message("d must be a multiple of h = 3, got 8"));
  CHECK_THROWS_WITH(fg::longformer_attention(8, fg::heads{2}, -1, {0}), message("w must be at least 0, got -1"));
  CHECK_THROWS_WITH(fg::network(fg::linear(8, 6) | fg::longformer_attention(8, fg::heads{2}, 4, {0, -1})),
                    "filigree: longformer_attention(8, heads{2}, 4, {0, -1}): gets 6 columns from the stage before it, "
                    "not 8");
  const auto net = fg::network(fg::longformer_attention(8, fg::heads{2}, 4, {0}));
  CHECK_THROWS_WITH(fg::Decoder(net), "filigree: Decoder(network): longformer_attention() attends to later tokens");
}
