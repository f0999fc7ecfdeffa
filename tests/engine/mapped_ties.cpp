// SPDX-License-Identifier: MIT
// Maps on vectors: equal scores stay equal, so that engines and the general evaluator select the same keys, bit for
// bit.
#include <algorithm>
#include <filigree/attention/attention.hpp>
#include <filigree/pattern/pattern.hpp>
#include <filigree/score_map/score_map.hpp>
#include <filigree/select/select.hpp>
#include <limits>

#include "catch.hpp"
#include "inputs.hpp"

namespace fg = filigree;
using test::Index;
using test::Matrix;

TEMPLATE_TEST_CASE("a fused engine selects among tied capped scores as the general evaluator does", "",
                   FILIGREE_TEST_SCALARS) {
  using S = TestType;
  test::Random random(71);
  for (const Index m : {1, 7, 63, 211, 700}) {
    const Index n = std::min<Index>(m, 37);
    Matrix<S> q(n, 3), k(m, 3);  // small whole numbers: scores are exact, and most of them are tied
    for (S& x : q.reshaped()) x = static_cast<S>(random.between(-2, 2));
    for (S& x : k.reshaped()) x = static_cast<S>(random.between(-2, 2));
    const Matrix<S> exact = q * k.transpose();
    const auto check = [&](const auto& stages) {
      const Matrix<S> fused = fg::scores(q, k, 1.0) | stages, general = exact | stages;
      REQUIRE(test::same(fused, general));
    };
    check(fg::softcap(3) | fg::top_k(5));
    check(fg::causal() | fg::softcap(3) | fg::top_k(5));
    check(fg::window(9) | fg::softcap(0.5) | fg::top_k(4));
    check((fg::window(4) || fg::first(3)) | fg::softcap(3) | fg::tanh() | fg::gelu() | fg::top_k(3));
    check(fg::softcap(2) | fg::causal() | fg::alibi(0.25) | fg::top_k(6));
    check(fg::where([](Index p, Index j) { return (p + j) % 3 != 0; }) | fg::gelu_tanh() | fg::sigmoid() |
          fg::top_k(3));
  }
}

TEMPLATE_TEST_CASE("a fused engine selects among scores with biases as the general evaluator does", "",
                   FILIGREE_TEST_SCALARS) {
  using S = TestType;
  constexpr S infinity = std::numeric_limits<S>::infinity();
  test::Random random(75);
  for (const Index m : {1, 7, 63, 211, 700}) {
    const Index n = std::min<Index>(m, 137);
    Matrix<S> q(n, 3), k(m, 3);  // as above: exact and mostly tied
    for (S& x : q.reshaped()) x = static_cast<S>(random.between(-2, 2));
    for (S& x : k.reshaped()) x = static_cast<S>(random.between(-2, 2));
    const Matrix<S> exact = q * k.transpose();
    Matrix<S> b = test::normal<S>(random, n, m);
    for (S& x : b.reshaped())
      if (random.chance(0.1)) x = random.chance(0.5) ? -infinity : S(0);
    if (m > 1) b(n / 2, m / 2) = std::numeric_limits<S>::quiet_NaN();
    const test::ColMatrix<S> columns = b;
    const test::Placed<S> placed(random, b);
    const Eigen::Matrix<S, Eigen::Dynamic, 1> close = test::normal<S>(random, 21, 1),
                                              all = test::normal<S>(random, 2 * m + 1, 1);
    const S factor = S(0.7);
    const auto scaled = fg::map([&factor](S s, Index, Index) { return factor * s; });
    const auto check = [&](const auto& stages) {
      const Matrix<S> fused = fg::scores(q, k, 1.0) | stages, general = exact | stages;
      REQUIRE(test::same(fused, general));
    };
    check(fg::alibi(0.1) | fg::top_k(5));
    check(fg::causal() | fg::alibi(-0.3) | fg::top_k(5));
    check(fg::alibi(0.1) | fg::threshold(0.5));
    check(fg::bias(b) | fg::top_k(5));
    check(fg::bias(columns) | fg::top_k(5));
    check(fg::window(30) | fg::bias(columns) | fg::threshold(0.2));
    check(fg::bias(placed.map()) | fg::softcap(2) | fg::top_k(4));
    check(fg::relative_bias(close) | fg::top_k(7));
    check(fg::causal() | fg::relative_bias(all) | fg::threshold(0.1));
    check(fg::bias(b) | scaled | fg::alibi(0.1) | fg::top_k(3));
    check((fg::window(5) || fg::first(2)) | scaled | fg::top_k(4));
  }
}
