// SPDX-License-Identifier: MIT
// Gradients of patterns with a stride and of hashed attention, by dense parts.
#include <filigree/filigree.hpp>

#include "catch.hpp"
#include "inputs.hpp"
#include "row_gradients.hpp"

namespace fg = filigree;
using test::distance;
using test::Index;
using test::Matrix;
using test::Random;
using test::same_bits;

TEMPLATE_TEST_CASE("gradients of patterns with a stride agree with the row tape", "", FILIGREE_TEST_SCALARS) {
  using S = TestType;
  Random random(1720);
  fg::thread_pool three(3);
  const auto agrees = [&](const auto& pipeline) {
    for (int round = 0; round < 8; ++round) {
      const Index n = random.pick<Index>({1, 5, 17, 97, 200, 500}), m = random.pick<Index>({1, 7, 64, 130, 400, 900}),
                  d = random.pick<Index>({1, 3, 16, 20}), dv = random.pick<Index>({1, 5, 16, 33});
      INFO("n = " << n << ", m = " << m << ", d = " << d << ", dv = " << dv);
      const Matrix<S> q = test::normal<S>(random, n, d), k = test::normal<S>(random, m, d),
                      v = test::normal<S>(random, m, dv), d_out = test::normal<S>(random, n, dv);
      const fg::score_options options =
          random.chance(0.5) ? fg::score_options{} : fg::score_options{.scale = 0.3, .query_at = 7, .key_at = -2};
      const auto a = fg::scores(q, k, options) | pipeline;
      const auto g = fg::gradients(a * v, d_out), shared = fg::gradients(a.on(three) * v, d_out),
                 again = fg::backward(fg::forward(a * v), d_out);
      const Matrix<double> wide_q = q.template cast<double>(), wide_k = k.template cast<double>(),
                           wide_v = v.template cast<double>(), wide_d = d_out.template cast<double>();
      const auto expected = test::row_gradients(fg::scores(wide_q, wide_k, options) | pipeline, wide_v, wide_d);
      const double bound = sizeof(S) == 4 ? 3e-5 : 1e-13;
      for (const auto* found : {&g, &again}) {
        CHECK(distance(found->q, expected.q) < bound);
        CHECK(distance(found->k, expected.k) < bound);
        CHECK(distance(found->v, expected.v) < bound);
      }
      CHECK(same_bits(shared.q, g.q));
      CHECK(same_bits(shared.k, g.k));
      CHECK(same_bits(shared.v, g.v));
    }
  };
  agrees(fg::sparse_transformer_strided(9) | fg::softmax());
  agrees(fg::dilated_window(9, 3) | fg::softmax());
  agrees((fg::causal() && (fg::strided(5) || fg::window(20))) | fg::alibi(0.05) | fg::softmax({.sink = 0.2}));
}

TEST_CASE("gradients of hashed attention by parts agree with the row tape") {
  Random random(1717);
  const auto agrees = [&](Index n, const auto& rest, const auto& router) {
    const Matrix<float> q = test::normal<float>(random, n, 12), k = test::normal<float>(random, n, 12),
                        v = test::normal<float>(random, n, 7), d_out = test::normal<float>(random, n, 7);
    const auto chosen = fg::route(fg::scores(q, k) | router);
    const auto a = fg::scores(q, k) | chosen | rest;
    const auto g = fg::gradients(a * v, d_out), again = fg::backward(fg::forward(a * v), d_out);
    const auto routed = fg::gradients((fg::scores(q, k) | router | rest) * v, d_out);
    const Matrix<double> wide_q = q.cast<double>(), wide_k = k.cast<double>(), wide_v = v.cast<double>(),
                         wide_d = d_out.cast<double>();
    const auto expected = test::row_gradients(fg::scores(wide_q, wide_k) | chosen | rest, wide_v, wide_d);
    for (const auto* found : {&g, &again}) {
      CHECK(distance(found->q, expected.q) < 3e-5);
      CHECK(distance(found->k, expected.k) < 3e-5);
      CHECK(distance(found->v, expected.v) < 3e-5);
    }
    CHECK(same_bits(routed.k, g.k));
  };
  for (const Index n : {40, 333, 1200}) {
    agrees(n, fg::softmax(), fg::lsh(2, 8, 16, 1));
    agrees(n, fg::softmax({.sink = 1}), fg::lsh(3, 4, 20, 2).distinct());
    agrees(n, fg::softmax(), fg::lsh(2, 8, 16, 3).shared());
    agrees(n, fg::softcap(2) | fg::softmax(), fg::lsh(2, 8, 16, 4));
  }
}

TEST_CASE("gradients of parameters by parts agree with the row tape") {
  Random random(1721);
  const Index n = 450, m = 500;
  const Matrix<double> q = test::normal<double>(random, n, 8), k = test::normal<double>(random, m, 8),
                       v = test::normal<double>(random, m, 5), d_out = test::normal<double>(random, n, 5);
  const Eigen::VectorXd table = Eigen::VectorXd::LinSpaced(31, -1, 1);
  const auto agrees = [](const Eigen::VectorXd& x, const auto& sums) {
    REQUIRE(x.size() == sums.size());
    for (Index i = 0; i < x.size(); ++i) CHECK(x[i] == Approx(sums[i]).epsilon(1e-11).margin(1e-11));
  };
  const auto strided = fg::scores(q, k) | (fg::strided(7) || fg::window(20)) | fg::relative_bias(table) |
                       fg::alibi(0.02) | fg::softcap(4) | fg::softmax({.sink = 1.5});
  const auto by_parts = fg::gradients(strided * v, d_out);
  const auto of_strided = test::row_gradients(strided, v, d_out).parameters;
  agrees(by_parts.parameters<1>(), of_strided.stages[0].sums);
  agrees(by_parts.parameters<2>(), of_strided.stages[1].sums);
  agrees(by_parts.parameters<3>(), of_strided.stages[2].sums);
  agrees(by_parts.parameters<4>(), of_strided.stages[3].sums);
}
