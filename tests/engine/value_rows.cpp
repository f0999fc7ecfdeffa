// SPDX-License-Identifier: MIT
// Rows of V are read in place, from a copy, or from a worker's cache of panels. Results are the same to the bit.
#include <filigree/filigree.hpp>
#include <vector>

#include "catch.hpp"
#include "general.hpp"

namespace fg = filigree;
using test::Index;
using test::Matrix;
using test::Random;

namespace {

template <class S>
using Rows = Eigen::Map<const Matrix<S>, 0, Eigen::OuterStride<>>;

/// A copy of a matrix that begins `offset` numbers after a cache line, with rows `stride` numbers apart.
template <class S>
struct Placed {
  Placed(const Matrix<S>& v, Index offset, Index stride)
      : memory(static_cast<std::size_t>(v.rows() * stride + offset + 64)) {
    S* at = memory.data();
    while (reinterpret_cast<std::uintptr_t>(at) % 64 != 0) ++at;
    data = at + offset;
    for (Index i = 0; i < v.rows(); ++i) std::copy_n(v.data() + i * v.cols(), v.cols(), data + i * stride);
    rows = v.rows(), cols = v.cols(), outer = stride;
  }
  Rows<S> map() const { return {data, rows, cols, Eigen::OuterStride<>(outer)}; }
  std::vector<S> memory;
  S* data;
  Index rows, cols, outer;
};

}  // namespace

TEMPLATE_TEST_CASE("alignment and stride of V do not change the result", "", FILIGREE_TEST_SCALARS) {
  using S = TestType;
  Random random(561);
  const Index n = 5000;
  const Matrix<S> q = test::normal<S>(random, n, 8), k = test::normal<S>(random, n, 8);
  fg::thread_pool two(2);
  for (const Index dv : {16, 48}) {
    const Matrix<S> v = test::normal<S>(random, n, dv);
    const auto check = [&](const auto& pipeline) {
      const auto a = fg::scores(q, k) | pipeline;
      const Matrix<S> expected = a * Placed<S>(v, 0, dv).map();
      for (const Index offset : {1, 4, 8})
        for (const Index stride : {dv, dv + 3}) {
          const Placed<S> placed(v, offset, stride);
          INFO("dv " << dv << ", offset " << offset << ", stride " << stride);
          CHECK(test::same(Matrix<S>(a * placed.map()), expected));
          CHECK(test::same(Matrix<S>(a.on(two) * placed.map()), expected));
        }
    };
    check(fg::window(90) | fg::softmax());                          // from caches of panels
    check((fg::window(9) || fg::global({0, -1})) | fg::softmax());  // the last panel has the same cache slot as another
    check(fg::blocks(64, fg::random(3, 5) || fg::window(1)) | fg::softmax());  // copied
    check(fg::causal() | fg::alibi(0.125) | fg::softmax());
  }
}

TEMPLATE_TEST_CASE("a workspace does not use V of an earlier evaluation", "", FILIGREE_TEST_SCALARS) {
  using S = TestType;
  Random random(562);
  const Matrix<S> q = test::normal<S>(random, 700, 8), k = test::normal<S>(random, 700, 8);
  fg::Workspace workspace;
  for (const Index dv : {16, 16, 32, 32, 16}) {
    const Placed<S> v(test::normal<S>(random, 700, dv), 1, dv);
    const auto a = fg::scores(q, k) | fg::window(40) | fg::softmax();
    CHECK(test::same(Matrix<S>(a.with(workspace) * v.map()), Matrix<S>(a * v.map())));
  }
}

TEMPLATE_TEST_CASE("non-finite rows of V reach only the queries that attend to them, for cached and parallel chunks",
                   "", FILIGREE_TEST_SCALARS) {
  using S = TestType;
  Random random(564);
  fg::thread_pool pool(3);
  for (const Index n : {80, 900}) {  // fewer blocks than workers, and more
    const Index m = n == 80 ? 300 : n;
    const Matrix<S> q = test::normal<S>(random, n, 8), k = test::normal<S>(random, m, 8);
    Matrix<S> v = test::normal<S>(random, m, 16);
    const auto a = fg::scores(q, k) | fg::window(100) | fg::softmax();
    const Matrix<S> clean = a * Placed<S>(v, 0, 16).map();
    const Index bad = m - 50;
    v(bad, 3) = std::numeric_limits<S>::quiet_NaN();
    const Placed<S> placed(v, 1, 16);
    const Matrix<S> alone = a * placed.map();
    CHECK(test::same(Matrix<S>(a.on(pool) * placed.map()), alone));
    for (Index i = 0; i < n; ++i) {
      const bool is_visible = std::abs(m - n + i - bad) <= 100;
      CHECK((alone(i, 3) != alone(i, 3)) == is_visible);
      if (!is_visible) CHECK(test::same(Matrix<S>(alone.row(i)), Matrix<S>(clean.row(i))));
    }
  }
}

TEMPLATE_TEST_CASE("each head uses its own columns of V", "", FILIGREE_TEST_SCALARS) {
  using S = TestType;
  Random random(563);
  const Index n = 600;
  for (const Index dv : {4, 8, 16}) {
    const Matrix<S> q = test::normal<S>(random, n, 3 * 8), k = test::normal<S>(random, n, 3 * 8);
    const Placed<S> v(test::normal<S>(random, n, 3 * dv), 1, 3 * dv);
    const Matrix<S> all = fg::multi_head(fg::heads{3}, q, k, v.map(), fg::window(30) | fg::softmax());
    for (Index h = 0; h < 3; ++h) {
      const Matrix<S> one =
          (fg::scores(q.middleCols(8 * h, 8), k.middleCols(8 * h, 8)) | fg::window(30) | fg::softmax()) *
          v.map().middleCols(dv * h, dv);
      CHECK(test::same(Matrix<S>(all.middleCols(dv * h, dv)), one));
    }
  }
}

TEMPLATE_TEST_CASE("rows that are multiplied by chunks of a large V have the bits of single rows", "",
                   FILIGREE_TEST_SCALARS) {
  using S = TestType;
  Random random(562);
  const Index n = 37, m = 6500;
  const Matrix<S> q = test::normal<S>(random, n, 8), k = test::normal<S>(random, m, 8);
  fg::thread_pool two(2);
  for (const Index dv : {64, 83}) {
    Matrix<S> v = test::normal<S>(random, m, dv);
    v(4000, 5) = std::numeric_limits<S>::quiet_NaN();
    const auto check = [&](const auto& pipeline) {
      const auto a = fg::scores(q, k) | pipeline;
      const Matrix<S> out = a * v;
      CHECK(test::same(Matrix<S>(a.on(two) * v), out));
      const auto both = fg::attend(a, v);
      CHECK(test::same(Matrix<S>(both.out), out));
      Eigen::Matrix<S, -1, -1> by_column = Eigen::Matrix<S, -1, -1>::Constant(n, dv, S(2));
      by_column += a * v;
      for (Index i = 0; i < n; ++i) {  // the entries of one row are too few for chunks
        const Matrix<S> row = a.middleRows(i, 1) * v;
        REQUIRE(test::same(row, Matrix<S>(out.row(i))));
        REQUIRE(test::same(Matrix<S>(by_column.row(i)), Matrix<S>((row.array() + S(2)).matrix())));
        const auto single = fg::attend(a.middleRows(i, 1), v);
        REQUIRE(test::same_bits(single.lse(0), both.lse(i)));
      }
    };
    check(fg::top_k(3000) | fg::softmax());
    check(fg::threshold(0.25) | fg::softmax({.sink = 0.5}));
  }
}
