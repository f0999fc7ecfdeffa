// SPDX-License-Identifier: MIT
#include <filigree/filigree.hpp>

#include "catch.hpp"
#include "inputs.hpp"

namespace fg = filigree;
using test::ColMatrix;
using test::Index;
using test::Matrix;
using test::Random;

TEMPLATE_TEST_CASE("each head of multi_head is bitwise equal to the head computed alone", "", FILIGREE_TEST_SCALARS) {
  using S = TestType;
  Random random(341);
  fg::thread_pool pool(3);
  for (const fg::heads count : {fg::heads{1}, fg::heads{3}, fg::heads{8, 2}, fg::heads{4, 1}, fg::heads{6, 6}}) {
    const Index h = count.h, hkv = count.hkv == 0 ? h : count.hkv;
    for (const Index n : {1, 7, 130}) {
      const Index m = 90, d = 5, dv = 6;
      const ColMatrix<S> q = test::normal<S>(random, n, h * d), k = test::normal<S>(random, m, hkv * d);
      const Matrix<S> v = test::normal<S>(random, m, hkv * dv);
      const auto pipeline = fg::causal() | fg::top_k(9) | fg::softmax();
      Matrix<S> expected(n, h * dv);
      for (Index i = 0; i < h; ++i) {
        const Index kv = i / (h / hkv);
        expected.middleCols(i * dv, dv) =
            (fg::scores(q.middleCols(i * d, d), k.middleCols(kv * d, d)) | pipeline) * v.middleCols(kv * dv, dv);
      }
      const auto lazy = fg::multi_head(count, q, k, v, pipeline);
      CHECK(lazy.rows() == n);
      CHECK(lazy.cols() == h * dv);
      CHECK(test::same(Matrix<S>(lazy), expected));
      CHECK(test::same(ColMatrix<S>(lazy), expected));
      CHECK(test::same(Matrix<S>(lazy.on(pool)), expected));
      fg::Workspace workspace;
      CHECK(test::same(Matrix<S>(lazy.on(pool).with(workspace)), expected));
      CHECK(test::same(Matrix<S>(lazy.with(workspace)), expected));
      Matrix<S> sum = expected;
      sum -= lazy;
      CHECK((sum.array() == S(0)).all());
      static_assert(fg::is_fused<decltype(lazy)>);
    }
  }
}

TEMPLATE_TEST_CASE("multi_head accepts a function of the head index", "", FILIGREE_TEST_SCALARS) {
  using S = TestType;
  Random random(342);
  const Matrix<S> q = test::normal<S>(random, 11, 12), k = test::normal<S>(random, 20, 12),
                  v = test::normal<S>(random, 20, 8);
  const Matrix<S> out = fg::multi_head(
      fg::heads{4}, q, k, v, [](auto h) { return fg::alibi(1.0 / (1 << h)) | fg::top_k(h + 1) | fg::softmax(); });
  for (Index i = 0; i < 4; ++i) {
    const Matrix<S> one = (fg::scores(q.middleCols(3 * i, 3), k.middleCols(3 * i, 3)) | fg::alibi(1.0 / (1 << i)) |
                           fg::top_k(i + 1) | fg::softmax()) *
                          v.middleCols(2 * i, 2);
    CHECK(test::same(Matrix<S>(out.middleCols(2 * i, 2)), one));
  }
  // A single stage instead of a pipeline, with a fused engine and with the general evaluator.
  const auto check_stage = [&](const auto& stage, auto fused) {
    const auto heads = fg::multi_head(fg::heads{4}, q, k, v, stage);
    static_assert(fg::is_fused<decltype(heads)> == fused());
    const Matrix<S> all = heads, first = (fg::scores(q.leftCols(3), k.leftCols(3)) | stage) * v.leftCols(2);
    CHECK(test::same(Matrix<S>(all.leftCols(2)), first));
  };
  check_stage(fg::softmax(), std::true_type{});
  check_stage(fg::hard_threshold(0.1), std::false_type{});
}

TEMPLATE_TEST_CASE("multi_head supports expressions, temporaries and targets that alias operands", "",
                   FILIGREE_TEST_SCALARS) {
  using S = TestType;
  Random random(343);
  Matrix<S> q = test::normal<S>(random, 9, 8), k = test::normal<S>(random, 9, 8), v = test::normal<S>(random, 9, 8);
  const auto pipeline = fg::top_k(3) | fg::softmax();
  const Matrix<S> expected = fg::multi_head(fg::heads{2}, q, k, v, pipeline);
  const auto held = fg::multi_head(fg::heads{2}, Matrix<S>(q), Matrix<S>(k), Matrix<S>(v), pipeline);
  CHECK(test::same(Matrix<S>(held), expected));
  const Matrix<S> half = q / S(2);
  CHECK(test::same(Matrix<S>(fg::multi_head(fg::heads{2}, half + half, k.array(), v.cwiseMax(v), pipeline)), expected));
  const Matrix<S> projected = fg::multi_head(fg::heads{2}, q, k, v, pipeline) * Matrix<S>::Identity(8, 8);
  CHECK(projected.isApprox(expected));
  Matrix<S> wide = Matrix<S>::Zero(9, 20);
  wide.middleCols(5, 8) = fg::multi_head(fg::heads{2}, q, k, v, pipeline);
  CHECK(test::same(Matrix<S>(wide.middleCols(5, 8)), expected));
  Matrix<S> v2 = v;
  v2 = fg::multi_head(fg::heads{2}, q, k, v2, pipeline);
  CHECK(test::same(v2, expected));
  Matrix<S> q2 = q;
  q2 = fg::multi_head(fg::heads{2}, q2, k, v, pipeline);
  CHECK(test::same(q2, expected));
}
