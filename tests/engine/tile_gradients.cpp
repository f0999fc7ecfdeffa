// SPDX-License-Identifier: MIT
// Gradients of softmax attention by tiles, compared with the row tape in double precision.
#include <filigree/filigree.hpp>
#include <limits>

#include "catch.hpp"
#include "inputs.hpp"
#include "row_gradients.hpp"

namespace fg = filigree;
using test::distance;
using test::Index;
using test::Matrix;
using test::Random;
using test::same_bits;

namespace {

/// A shape of some blocks of rows and keys.
struct Shape {
  explicit Shape(Random& random) {
    n = random.pick<Index>({1, 5, 17, 96, 97, 200, 385, 500});
    m = random.pick<Index>({1, 7, 64, 65, 130, 384, 400, 900});
    d = random.pick<Index>({1, 3, 16, 20, 64, 70});
    dv = random.pick<Index>({1, 5, 16, 33, 64, 80});
  }
  Index n, m, d, dv;
};

}  // namespace

TEMPLATE_TEST_CASE("gradients by tiles agree with the row tape", "", FILIGREE_TEST_SCALARS) {
  using S = TestType;
  Random random(1711);
  fg::thread_pool three(3);
  const auto agrees = [&](const auto& pipeline, int rounds) {
    for (int round = 0; round < rounds; ++round) {
      const Shape s(random);
      INFO("n = " << s.n << ", m = " << s.m << ", d = " << s.d << ", dv = " << s.dv);
      const Matrix<S> q = test::normal<S>(random, s.n, s.d), k = test::normal<S>(random, s.m, s.d),
                      v = test::normal<S>(random, s.m, s.dv), d_out = test::normal<S>(random, s.n, s.dv);
      const fg::score_options options =
          random.chance(0.5) ? fg::score_options{} : fg::score_options{.scale = 0.3, .query_at = 7, .key_at = -2};
      const auto a = fg::scores(q, k, options) | pipeline;
      const auto g = fg::gradients(a * v, d_out);
      const Matrix<double> wide_q = q.template cast<double>(), wide_k = k.template cast<double>();
      const auto expected =
          test::row_gradients(fg::scores(wide_q, wide_k, options) | pipeline, Matrix<double>(v.template cast<double>()),
                              Matrix<double>(d_out.template cast<double>()));
      const double bound = sizeof(S) == 4 ? 3e-5 : 1e-13;
      CHECK(distance(g.q, expected.q) < bound);
      CHECK(distance(g.k, expected.k) < bound);
      CHECK(distance(g.v, expected.v) < bound);
      const auto shared = fg::gradients(a.on(three) * v, d_out);
      CHECK(same_bits(shared.q, g.q));
      CHECK(same_bits(shared.k, g.k));
      CHECK(same_bits(shared.v, g.v));
      const auto saved = fg::forward(a * v);
      CHECK(same_bits(saved.out, Matrix<S>(a * v)));
      const auto again = fg::backward(saved, d_out);
      CHECK(distance(again.q, expected.q) < bound);
      CHECK(distance(again.k, expected.k) < bound);
      CHECK(same_bits(again.v, g.v));
    }
  };
  agrees(fg::softmax(), 12);
  agrees(fg::causal() | fg::softmax({.sink = 0.5}), 12);
  agrees(fg::window(20) | fg::alibi(0.05) | fg::softmax(), 8);
  agrees((fg::causal() && (fg::window(70) || fg::first(2))) | fg::softcap(3) | fg::softmax(), 8);
  if constexpr (sizeof(S) == 4) {
    agrees(fg::causal() | fg::softmax() | fg::dropout(0.3, 9), 6);
    agrees(fg::bigbird(16, 2, 3) | fg::softmax(), 6);
    agrees(fg::where([](Index p, Index j) { return (p + 2 * j) % 3 != 0; }) | fg::softmax(), 6);
    agrees(fg::map([](double x, Index p, Index j) { return x + 0.01 * x * x * static_cast<double>(p - j); },
                   [](double x, Index p, Index j) { return 1 + 0.02 * x * static_cast<double>(p - j); }) |
               fg::softmax(),
           3);
  }
}

TEST_CASE("gradients of parameters by tiles agree with the row tape") {
  Random random(1712);
  const Index n = 450, m = 500;
  const Matrix<double> q = test::normal<double>(random, n, 8), k = test::normal<double>(random, m, 8),
                       v = test::normal<double>(random, m, 5), d_out = test::normal<double>(random, n, 5);
  const Eigen::VectorXd table = Eigen::VectorXd::LinSpaced(31, -1, 1);
  const auto a = fg::scores(q, k) | fg::causal() | fg::relative_bias(table) | fg::alibi(0.02) | fg::softcap(4) |
                 fg::softmax({.sink = 1.5});
  const auto g = fg::gradients(a * v, d_out);
  const auto expected = test::row_gradients(a, v, d_out).parameters;
  REQUIRE(expected.stages.size() == 4);
  const auto agrees = [](const Eigen::VectorXd& x, const auto& sums) {
    REQUIRE(x.size() == sums.size());
    for (Index i = 0; i < x.size(); ++i) CHECK(x[i] == Approx(sums[i]).epsilon(1e-11).margin(1e-11));
  };
  agrees(g.parameters<1>(), expected.stages[0].sums);
  agrees(g.parameters<2>(), expected.stages[1].sums);
  agrees(g.parameters<3>(), expected.stages[2].sums);
  agrees(g.parameters<4>(), expected.stages[3].sums);
}

TEST_CASE("gradients by tiles do not read what is masked") {
  Random random(1713);
  const Index n = 150, m = 200, d = 16, dv = 16;
  const Matrix<float> q = test::normal<float>(random, n, d), k = test::normal<float>(random, m, d),
                      v = test::normal<float>(random, m, dv), d_out = test::normal<float>(random, n, dv);
  const auto seen = fg::causal() && !fg::first(70);
  const auto check = [&](const auto& pipeline) {
    const auto expected = fg::gradients((fg::scores(q, k) | pipeline) * v, d_out);
    Matrix<float> bad_k = k, bad_v = v;
    bad_k.topRows(70).setConstant(std::numeric_limits<float>::quiet_NaN());
    bad_v.topRows(70).setConstant(std::numeric_limits<float>::infinity());
    const auto g = fg::gradients((fg::scores(q, bad_k) | pipeline) * bad_v, d_out);
    CHECK(distance(g.q, Matrix<double>(expected.q.template cast<double>())) < 1e-5);
    CHECK(distance(g.k, Matrix<double>(expected.k.template cast<double>())) < 1e-5);
    CHECK(distance(g.v, Matrix<double>(expected.v.template cast<double>())) < 1e-5);
    CHECK((g.k.topRows(70).array() == 0).all());
    CHECK((g.v.topRows(70).array() == 0).all());
  };
  check(seen | fg::softmax());
  check(fg::softcap(2) | seen | fg::softmax());  // the pattern is applied to scores that were computed
}

TEST_CASE("saved forward passes of selections, routers and other normalizers have the gradients of the product") {
  Random random(1714);
  const Index n = 40, d = 6, dv = 7;
  const Matrix<double> q = test::normal<double>(random, n, d), k = test::normal<double>(random, n, d),
                       v = test::normal<double>(random, n, dv), d_out = test::normal<double>(random, n, dv);
  const auto agrees = [&](const auto& pipeline) {
    const auto a = fg::scores(q, k) | pipeline;
    const auto saved = fg::forward(a * v);
    CHECK(test::same(saved.out, Matrix<double>(a * v)));
    const auto g = fg::gradients(a * v, d_out), again = fg::backward(saved, d_out);
    CHECK(again.q.isApprox(g.q, 1e-13));
    CHECK(again.k.isApprox(g.k, 1e-13));
    CHECK(again.v.isApprox(g.v, 1e-13));
    const auto part = fg::forward(a.middleRows(5, 20) * v);
    CHECK(fg::backward(part, d_out.middleRows(5, 20))
              .k.isApprox(fg::gradients(a.middleRows(5, 20) * v, d_out.middleRows(5, 20)).k, 1e-13));
  };
  agrees(fg::top_k(5) | fg::softmax());
  agrees(fg::causal() | fg::softcap(2) | fg::top_k(5) | fg::entmax15());
  agrees(fg::sparsemax());
  agrees(fg::causal() | fg::block_top_k(4, 2) | fg::softmax());
  agrees(fg::lsh(2, 4, 8, 1) | fg::softmax());
  agrees(fg::prob_sparse(1, 2) | fg::softmax());
  agrees(fg::window(3) | fg::normalize_sum());
  const auto a = fg::scores(q, k) | fg::causal() | fg::softmax();
  const auto saved = fg::forward(a * v);
  const Eigen::VectorXd d_lse = test::normal<double>(random, n, 1);
  CHECK(fg::backward(saved, d_out, d_lse).q.isApprox(fg::gradients(a * v, d_out, d_lse).q, 1e-13));
  CHECK_THROWS_WITH(fg::backward(saved, Matrix<double>(n, 3)), contains("dO is 40x3, it must be 40x7"));
}
