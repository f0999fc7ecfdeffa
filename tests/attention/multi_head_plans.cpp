// SPDX-License-Identifier: MIT
// Heads whose patterns are expensive to plan, and heads whose engines differ.
#include <filigree/filigree.hpp>

#include "catch.hpp"
#include "inputs.hpp"

namespace fg = filigree;
using test::Index;
using test::Matrix;
using test::Random;

TEST_CASE("heads that share an expensive pattern are bitwise equal to heads computed alone") {
  using fg::operator&&, fg::operator||;
  Random random(718);
  fg::thread_pool pool(4);
  for (const Index h : {1, 3, 8})
    for (const Index d : {1, 16}) {  // with one feature, the memory of the plan is too small for all queries
      const Index n = 150, m = 200;
      const Matrix<float> q = test::normal<float>(random, n, h * d), k = test::normal<float>(random, m, h * d),
                          v = test::normal<float>(random, m, h * d);
      const auto check = [&](const auto& head) {
        Matrix<float> expected(n, h * d);
        for (Index i = 0; i < h; ++i) {
          const Matrix<float> qi = q.middleCols(d * i, d), ki = k.middleCols(d * i, d), vi = v.middleCols(d * i, d);
          expected.middleCols(d * i, d) = (fg::scores(qi, ki) | head) * vi;
        }
        const auto heads = fg::multi_head(fg::heads{h}, q, k, v, head);
        CHECK(test::same(Matrix<float>(heads), expected));
        CHECK(test::same(Matrix<float>(heads.on(pool)), expected));
      };
      check(fg::random(20, 1) | fg::softmax());
      check((fg::causal() && fg::random(40, 2)) | fg::top_k(5) | fg::softmax());
      check(fg::bigbird(16, 2, 3) | fg::softmax());
      check((fg::random(3, 4) || fg::strided(5)) | fg::softmax());
      check(fg::random(30, 5) | fg::alibi(0.1) | fg::sparsemax());
      check(fg::plan(fg::random(9, 6), n, m) | fg::softmax());
      check(fg::random(30, 7) | fg::block_top_k(16, 3) | fg::softmax());
    }
}

// One head keeps so few keys that they are gathered. The other keeps so many that the work is split over its keys.
TEST_CASE("heads may use engines with different block heights") {
  Random random(717);
  const Index n = 12, m = 8192;
  const Matrix<float> q = test::normal<float>(random, n, 2 * 8), k = test::normal<float>(random, m, 2 * 8),
                      v = test::normal<float>(random, m, 2 * 3);
  const auto head = [](Index i) { return fg::random(i == 0 ? 16 : 4096, 1) | fg::softmax(); };
  const auto a = fg::multi_head(fg::heads{2}, q, k, v, head);
  const Matrix<float> expected = a;
  for (Index i = 0; i < 2; ++i) {
    const Matrix<float> qi = q.middleCols(8 * i, 8), ki = k.middleCols(8 * i, 8), vi = v.middleCols(3 * i, 3);
    CHECK(test::same(Matrix<float>((fg::scores(qi, ki) | head(i)) * vi), Matrix<float>(expected.middleCols(3 * i, 3))));
  }
  for (const Index threads : {2, 3, 4, 7}) {
    fg::thread_pool pool(threads);
    CHECK(test::same(Matrix<float>(a.on(pool)), expected));
  }
}
