// SPDX-License-Identifier: MIT
// Dropout after softmax in the online softmax engine.
#include <algorithm>
#include <cmath>
#include <filigree/attention/attention.hpp>
#include <filigree/normalize/normalize.hpp>
#include <filigree/pattern/pattern.hpp>
#include <limits>

#include "catch.hpp"
#include "distance.hpp"
#include "general.hpp"

namespace fg = filigree;
using test::distance;
using test::Index;
using test::Matrix;
using test::Random;
using test::tolerance;

// Times the identity, the product shows which weights are dropped. Positions cross 2^32 between keys.
TEMPLATE_TEST_CASE("fused dropout drops the weights that the general evaluator drops", "", FILIGREE_TEST_SCALARS) {
  using S = TestType;
  Random random(525);
  for (const Index m : {1, 15, 16, 17, 63, 64, 65, 700}) {
    const Index n = std::min<Index>(m, 20);
    const Matrix<S> q = test::normal<S>(random, n, 7), k = test::normal<S>(random, m, 7),
                    identity = Matrix<S>::Identity(m, m);
    for (const Index key_at : {Index{0}, Index{-3}, (Index{1} << 32) - std::min<Index>(m / 2, 20)})
      for (const double p : {0.0, 0.25, 0.9}) {
        const auto check = [&](const auto& pattern) {
          const auto a = fg::scores(q, k, {.key_at = key_at}) | pattern | fg::softmax() | fg::dropout(p, 77);
          const Matrix<S> product = a * identity, general = a;
          INFO("m " << m << ", key_at " << key_at << ", p " << p);
          CHECK(distance<S>(product, general) < 10 * tolerance<S>);
          CHECK((product.array() == S(0)).isApprox(general.array() == S(0)));
          // What is dropped is absent: Inf in its row of V has no effect.
          Matrix<S> v = Matrix<S>::Ones(m, 3);
          v.row(m / 2).setConstant(std::numeric_limits<S>::infinity());
          const Matrix<S> out = a * v;
          for (Index i = 0; i < n; ++i) CHECK(std::isfinite(out(i, 1)) == (general(i, m / 2) == S(0)));
        };
        check(fg::where([](Index, Index) { return true; }));
        check(fg::causal() && fg::window(40));
      }
  }
}
