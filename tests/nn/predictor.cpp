// SPDX-License-Identifier: MIT
// Predictors: the bits of network(X), memory that stays, and parameters that violate constraints.
#include <filigree/filigree.hpp>
#include <vector>

#include "allocations.hpp"
#include "catch.hpp"
#include "inputs.hpp"

namespace fg = filigree;
using test::Index;
using test::Matrix;
using test::Random;

namespace {

template <class Net>
void check(const Net& net, const fg::Batch<const Matrix<float>&>& batch, [[maybe_unused]] bool plans = false) {
  fg::thread_pool pool(3);
  fg::Predictor serial(net), parallel(net, fg::ExecutorRef(pool));
  const Matrix<float> expected = net(batch), one = batch.tokens.row(0);
  Matrix<float> out;
  serial(batch, out);
  CHECK(test::same(out, expected));
  CHECK(test::same(Matrix<float>(parallel(batch)), expected));
  CHECK(test::same(Matrix<float>(serial(one)), net(one)));
  CHECK(test::same(Matrix<float>(parallel(one)), net(one)));
#if FILIGREE_COUNTS_ALLOCATIONS
  if (!plans) CHECK(test::allocated_by([&] { serial(batch, out); }) == 0);
  CHECK(test::allocated_by([&] { (void)parallel(one); }) == 0);
#endif
}

}  // namespace

TEST_CASE("a predictor gives the bits of the network, and allocates nothing in the second call") {
  Random random(1841);
  const Matrix<float> x = test::normal<float>(random, 90, 12);
  const fg::Batch<const Matrix<float>&> batch{x, {70, 1, 19}};
  check(fg::network(fg::linear(12, 40) | fg::top_k(4) | fg::linear(40, 5), 1), batch);
  check(fg::network(fg::linear(12, 16) | fg::gelu() | fg::layer_norm(16) | fg::linear(16, 8).unit_norm_rows(), 1),
        batch);
  check(fg::network(fg::transformer_layer(12, fg::heads{2}, 16, fg::causal() | fg::softmax()) | fg::pool_mean(), 1),
        batch, true);
}

TEST_CASE("a predictor reads the parameters at each call and projects them") {
  Random random(1842);
  const Matrix<float> x = test::normal<float>(random, 5, 4);
  auto net = fg::network(fg::linear(4, 8) | fg::relu() | fg::linear(8, 4).non_negative(), 1);
  fg::Predictor predict(net);
  (void)predict(x);
  for (const float shift : {-0.3F, 0.2F}) {
    net.parameters().array() += shift;
    CHECK(test::same(Matrix<float>(predict(x)), net(x)));
  }
  CHECK_THROWS_WITH(predict(Matrix<float>(x.leftCols(3))), "filigree: predictor(X): X.cols() = 3 must be 4");
  CHECK(predict(Matrix<float>(0, 4)).rows() == 0);
}
