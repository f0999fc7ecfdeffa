// SPDX-License-Identifier: MIT
// Results do not depend on the number of threads or on the other rows of the batch, to the bit.
#include <filigree/filigree.hpp>
#include <stdexcept>
#include <thread>

#include "catch.hpp"
#include "inputs.hpp"

namespace fg = filigree;
using test::Index;
using test::Matrix;
using test::Random;

namespace {

template <class S, class F>
void with_pipelines(F&& f) {
  f(fg::causal() | fg::top_k(20) | fg::softmax());
  f(fg::top_k(7) | fg::entmax15());
  f((fg::causal() && fg::window(30)) | fg::threshold(0) | fg::softmax({.sink = 0.5}) | fg::dropout(0.3, 7));
  f(fg::softcap(3) | fg::softmax());
  f(fg::softmax({.sink = -1}));
  f((fg::window(30) || fg::global({70, -1})) | fg::softmax());
  f(fg::bigbird(16, 2, 5) | fg::alibi(0.25) | fg::softmax());
  f(fg::sparse_transformer_strided(9) | fg::softmax());
  f(fg::softcap(3) | fg::sparsemax());
  f((fg::causal() || fg::window(9)) | fg::entmax15());
  f(fg::entmax(1.25));
}

}  // namespace

TEMPLATE_TEST_CASE("the result is the same to the bit for any number of threads", "", FILIGREE_TEST_SCALARS) {
  using S = TestType;
  Random random(511);
  for (const Index n : {1, 2, 50, 333}) {
    const Index m = 260;
    const Matrix<S> q = test::normal<S>(random, n, 11), k = test::normal<S>(random, m, 11),
                    v = test::normal<S>(random, m, 9);
    with_pipelines<S>([&](const auto& pipeline) {
      const auto a = fg::scores(q, k) | pipeline;
      const Matrix<S> out = a.on(fg::serial()) * v, dense = a.on(fg::serial());
      const Eigen::SparseMatrix<S, Eigen::RowMajor> sparse = a.on(fg::serial());
      CHECK(test::same(Matrix<S>(a * v), out));  // the default executor: OpenMP if the program is built with it
      for (const Index threads : {1, 2, 3, 7}) {
        fg::thread_pool pool(threads);
        CHECK(test::same(Matrix<S>(a.on(pool) * v), out));
        CHECK(test::same(Matrix<S>(a.on(pool)), dense));
        const Eigen::SparseMatrix<S, Eigen::RowMajor> by_pool = a.on(pool);
        CHECK(test::same_sparse(by_pool, sparse));
      }
    });
  }
}

TEMPLATE_TEST_CASE("a row computed alone is the same to the bit as in a batch", "", FILIGREE_TEST_SCALARS) {
  using S = TestType;
  Random random(512);
  const Index n = 100, m = 190, query_at = 60, key_at = 5;
  const Matrix<S> q = test::normal<S>(random, n, 11), k = test::normal<S>(random, m, 11),
                  v = test::normal<S>(random, m, 9);
  with_pipelines<S>([&](const auto& pipeline) {
    const auto a = fg::scores(q, k, {.query_at = query_at, .key_at = key_at}) | pipeline;
    const Matrix<S> out = a * v;
    for (Index i = 0; i < n; ++i) {
      const Matrix<S> alone = (fg::scores(q.row(i), k, {.query_at = query_at + i, .key_at = key_at}) | pipeline) * v;
      REQUIRE(test::same(alone, out.row(i)));
      REQUIRE(test::same(Matrix<S>(a.middleRows(i, 1) * v), out.row(i)));
    }
    REQUIRE(test::same(Matrix<S>(a.middleRows(13, 50) * v), Matrix<S>(out.middleRows(13, 50))));
  });
}

TEST_CASE("one executor runs several evaluations at the same time") {
  Random random(513);
  fg::thread_pool pool(3);
  const Matrix<float> q = test::normal<float>(random, 150, 8), k = test::normal<float>(random, 150, 8),
                      v = test::normal<float>(random, 150, 8);
  const auto a = fg::scores(q, k) | fg::causal() | fg::top_k(9) | fg::softmax();
  const Matrix<float> expected = a.on(fg::serial()) * v;
  std::vector<Matrix<float>> out(4);
  std::vector<std::thread> threads;
  for (auto& to : out)
    threads.emplace_back([&] {
      for (int i = 0; i < 5; ++i) to = a.on(pool) * v;
    });
  for (auto& thread : threads) thread.join();
  for (const auto& got : out) CHECK(test::same(got, expected));
}

TEST_CASE("an exception in a worker reaches the caller, and the next evaluation works") {
  Random random(514);
  fg::thread_pool pool(3);
  fg::Workspace workspace;
  const Matrix<float> q = test::normal<float>(random, 200, 4), k = test::normal<float>(random, 90, 4),
                      v = test::normal<float>(random, 90, 2);
  const auto where = fg::where([](Index p, Index j) {
    if (p == 40 && j == 50) throw std::runtime_error("where");
    return true;
  });
  const auto map = fg::map([](float s, Index p, Index) {
    if (p == 41) throw std::runtime_error("map");
    return s;
  });
  const auto expect = [&](const auto& a, const std::string& what) {
    Matrix<float> out;
    CHECK_THROWS_WITH(out = a * v, what);
    CHECK_THROWS_WITH(out = a, what);
    Eigen::SparseMatrix<float, Eigen::RowMajor> sparse(2, 2);
    sparse.insert(0, 1) = 3;
    CHECK_THROWS_WITH(sparse = a, what);
    CHECK(sparse.rows() == 2);  // unchanged
    CHECK(sparse.coeff(0, 1) == 3);
    CHECK_THROWS_WITH(fg::selected(a), what);
  };
  const fg::score_options at{.query_at = 0};
  expect((fg::scores(q, k, at) | where | fg::top_k(3)).on(pool).with(workspace), "where");
  expect((fg::scores(q, k, at) | map | fg::top_k(3) | fg::softmax()).on(pool).with(workspace), "map");
  expect((fg::scores(q, k, at) | map | fg::softmax()).with(workspace), "map");
  CHECK_THROWS_WITH(fg::attend((fg::scores(q, k, at) | map | fg::softmax()).on(pool), v), "map");
  const auto heads = fg::multi_head(fg::heads{2}, q, k, v,
                                    fg::map([](float s, Index p, Index) {
                                      if (p == -41) throw std::runtime_error("head");
                                      return s;
                                    }) | fg::top_k(2) |
                                        fg::softmax());
  CHECK_THROWS_WITH(Matrix<float>(heads.on(pool)), "head");
  const auto good = fg::scores(q, k) | fg::top_k(3) | fg::softmax();
  CHECK(test::same(Matrix<float>(good.on(pool).with(workspace) * v), Matrix<float>(good.on(fg::serial()) * v)));
}
