// SPDX-License-Identifier: MIT
// Gradients of pipelines with lazy rows, by the active rows alone.
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

namespace {

/// Compares the gradients of pipeline(rows), where `rows` are the active rows or the router that finds them, with the
/// row tape of reference(active rows).
template <class S, class Pipeline, class Reference>
void agrees(std::uint64_t stream, const Pipeline& pipeline, const Reference& reference) {
  Random random(stream);
  fg::thread_pool three(3);
  for (int round = 0; round < 10; ++round) {
    const Index n = random.pick<Index>({1, 5, 17, 97, 300}), m = random.pick<Index>({1, 7, 64, 130, 400}),
                d = random.pick<Index>({1, 3, 16, 20}), dv = random.pick<Index>({1, 5, 16, 33});
    INFO("n = " << n << ", m = " << m << ", d = " << d << ", dv = " << dv);
    const Matrix<S> q = test::normal<S>(random, n, d), k = test::normal<S>(random, m, d),
                    v = test::normal<S>(random, m, dv), d_out = test::normal<S>(random, n, dv);
    const fg::score_options options =
        random.chance(0.5) ? fg::score_options{} : fg::score_options{.scale = 0.3, .query_at = 7, .key_at = -2};
    const auto scores = fg::scores(q, k, options);
    const auto chosen = fg::route(scores | fg::prob_sparse(1, 5));
    const auto a = scores | pipeline(chosen);
    const auto g = fg::gradients(a * v, d_out), shared = fg::gradients(a.on(three) * v, d_out),
               again = fg::backward(fg::forward(a * v), d_out);
    const auto routed = fg::gradients((scores | pipeline(fg::prob_sparse(1, 5))) * v, d_out);
    const Matrix<double> wide_q = q.template cast<double>(), wide_k = k.template cast<double>(),
                         wide_v = v.template cast<double>(), wide_d = d_out.template cast<double>();
    const auto expected = test::row_gradients(fg::scores(wide_q, wide_k, options) | reference(chosen), wide_v, wide_d);
    const double bound = sizeof(S) == 4 ? 3e-5 : 1e-13;
    const auto close = [&](const auto& found) {
      CHECK(distance<S>(found.q, expected.q) < bound);
      CHECK(distance<S>(found.k, expected.k) < bound);
      CHECK(distance<S>(found.v, expected.v) < bound);
    };
    close(g);
    close(again);
    close(routed);
    CHECK(same_bits(shared.q, g.q));
    CHECK(same_bits(shared.k, g.k));
    CHECK(same_bits(shared.v, g.v));
  }
}

template <class S, class Pipeline>
void agrees(std::uint64_t stream, const Pipeline& pipeline) {
  agrees<S>(stream, pipeline, pipeline);
}

}  // namespace

TEMPLATE_TEST_CASE("gradients of pipelines with lazy rows agree with the row tape", "", FILIGREE_TEST_SCALARS) {
  using S = TestType;
  agrees<S>(1801, [](const auto& rows) { return rows | fg::softmax(); });
  agrees<S>(1802, [](const auto& rows) { return fg::causal() | rows | fg::softmax(); });
  agrees<S>(
      1803, [](const auto& rows) { return rows | fg::window(9) | fg::softmax() | fg::lazy_sum(); },
      [](const fg::ActiveRows& rows) {
        return rows | fg::window(9) | fg::softmax() | fg::detail::LazyRowWeights<fg::ActiveRows>{rows};
      });
  agrees<S>(1804, [](const auto& rows) { return fg::bigbird(8, 2, 1) | rows | fg::softmax(); });
  agrees<S>(1805, [](const auto& rows) { return fg::causal() | rows | fg::softmax({.sink = 0.3}); });
}

TEST_CASE("a lazy row gives each key of its mean an equal part of its gradient, and nothing to others") {
  Random random(1806);
  const Index n = 60, m = 60, d = 4, dv = 18;
  const Matrix<double> q = test::normal<double>(random, n, d), k = test::normal<double>(random, m, d),
                       v = test::normal<double>(random, m, dv);
  const auto chosen = fg::route(fg::scores(q, k) | fg::prob_sparse(1, 5));
  Matrix<double> d_out = Matrix<double>::Zero(n, dv), expected = Matrix<double>::Zero(m, dv);
  for (const Index i : {11, 12, 29, 50}) {
    if (!chosen.is_lazy(i)) continue;
    d_out.row(i) = test::normal<double>(random, 1, dv);
    for (Index c = i - 3; c <= i; ++c) expected.row(c) += d_out.row(i) / 4;
  }
  const auto g = fg::gradients((fg::scores(q, k) | fg::window(3, 0) | chosen | fg::softmax()) * v, d_out);
  CHECK((g.v - expected).cwiseAbs().maxCoeff() < 1e-15);
  for (Index c = 0; c < m; ++c)
    if (expected.row(c).isZero(0)) CHECK(g.v.row(c).isZero(0));
  CHECK(g.q.isZero(0));
  CHECK(g.k.isZero(0));
}

TEST_CASE("numbers that are not finite spread in gradients of lazy rows as in the row tape") {
  Random random(1807);
  const float nan = std::numeric_limits<float>::quiet_NaN();
  for (int round = 0; round < 4; ++round) {
    Matrix<float> q = test::normal<float>(random, 40, 5), k = test::normal<float>(random, 30, 5),
                  v = test::normal<float>(random, 30, 6), d_out = test::normal<float>(random, 40, 6);
    const auto chosen = fg::route(fg::scores(q, k) | fg::prob_sparse(1, 5));
    (round == 0 ? q(17, 2) : round == 1 ? k(29, 1) : round == 2 ? v(29, 3) : d_out(3, 2)) = nan;
    const auto pipeline = fg::causal() | chosen | fg::softmax();
    const auto g = fg::gradients((fg::scores(q, k) | pipeline) * v, d_out);
    const auto expected = test::row_gradients(fg::scores(q, k) | pipeline, v, d_out);
    const auto same_nan = [](const Matrix<float>& a, const Matrix<float>& b) {
      return ((a.array() != a.array()) == (b.array() != b.array())).all();
    };
    CAPTURE(round);
    CHECK(same_nan(g.q, expected.q));
    CHECK(same_nan(g.k, expected.k));
    CHECK(same_nan(g.v, expected.v));
  }
}
