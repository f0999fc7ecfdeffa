// SPDX-License-Identifier: MIT
// Few queries and many keys, as in text generation: the engine parallelizes over chunks of keys.
#include <filigree/filigree.hpp>
#include <limits>

#include "catch.hpp"
#include "general.hpp"

namespace fg = filigree;
using test::Index;
using test::Matrix;
using test::Random;

namespace {

/// An executor with five workers that runs tasks in reverse order and records the largest number of tasks.
struct ManyWorkers {
  Index max_tasks = 0;

  void run(Index tasks, fg::TaskRef f) {
    max_tasks = std::max(max_tasks, tasks);
    for (Index task = tasks; task-- > 0;) f(task, task % concurrency());
  }
  [[nodiscard]] Index concurrency() const { return 5; }
};

}  // namespace

TEMPLATE_TEST_CASE("with few queries, the result is the same for any executor", "", FILIGREE_TEST_SCALARS) {
  using S = TestType;
  Random random(541);
  const Index m = 12345;
  const Matrix<S> all = test::normal<S>(random, 40, 12), k = test::normal<S>(random, m, 12),
                  v = test::normal<S>(random, m, 20);
  const auto agrees = [&](const auto& pipeline) {
    for (const Index n : {1, 2, 8, 40}) {
      INFO(n << " queries");
      const auto a = fg::scores(all.bottomRows(n), k) | pipeline;
      static_assert(fg::is_fused<decltype(a)>);
      const Matrix<S> alone = a * v;
      CHECK((alone - test::general_product(a, v)).cwiseAbs().maxCoeff() < (sizeof(S) == 4 ? 2e-6 : 4e-15));
      ManyWorkers workers;
      CHECK(test::same(Matrix<S>(a.on(workers) * v), alone));
      CHECK(workers.max_tasks >= (n <= 8 ? 4 * workers.concurrency() : 2));
      fg::thread_pool pool(3);
      fg::Workspace workspace;
      for (int i = 0; i < 3; ++i) CHECK(test::same(Matrix<S>(a.on(pool).with(workspace) * v), alone));
      CHECK(test::same(Matrix<S>(a.on(pool).middleRows(n - 1, 1) * v), Matrix<S>(alone.bottomRows(1))));
      const auto attended = fg::attend(a, v), shared = fg::attend(a.on(pool), v);
      CHECK(test::same(shared.out, alone));
      CHECK((shared.lse.array() == attended.lse.array()).all());
    }
  };
  agrees(fg::softmax());
  agrees(fg::causal() | fg::alibi(0.001) | fg::softmax({.sink = 2}));
  agrees(fg::streaming(4, 11000) | fg::softmax());
  agrees((fg::window(11000) && fg::first(11500)) | fg::softcap(3) | fg::softmax());
  agrees(fg::where([](Index, Index j) { return j % 3 != 0; }) | fg::softmax());
}

// With keys that do not fit in the L2 cache, each of a few blocks packs the keys itself.
TEMPLATE_TEST_CASE("few queries select the right keys when the keys exceed the L2 cache", "", FILIGREE_TEST_SCALARS) {
  using S = TestType;
  Random random(545);
  const Index d = 16, m = fg::cache_sizes().l2 * 2 / (d * Index(sizeof(S))) + 1101;
  const Matrix<S> all = test::normal<S>(random, 400, d), k = test::normal<S>(random, m, d),
                  v = test::normal<S>(random, m, 3);
  const Eigen::Matrix<S, Eigen::Dynamic, Eigen::Dynamic> by_features = k;
  const auto packed = fg::pack(k);
  fg::thread_pool two(2);
  fg::Workspace workspace;
  const auto agrees = [&](const auto& pipeline) {
    for (const Index n : {1, 20, 64, 193, 400}) {
      INFO(n << " queries");
      const auto q = all.topRows(n);
      const Matrix<S> expected = (fg::scores(q, packed) | pipeline) * v;
      CHECK(test::same(Matrix<S>((fg::scores(q, k) | pipeline).with(workspace) * v), expected));
      CHECK(test::same(Matrix<S>((fg::scores(q, k) | pipeline).on(two) * v), expected));
      CHECK(test::same(Matrix<S>((fg::scores(q, by_features) | pipeline) * v), expected));
      CHECK(test::same(Matrix<S>((fg::scores(q, k + Matrix<S>::Zero(m, d)) | pipeline) * v), expected));
    }
  };
  agrees(fg::top_k(10) | fg::softmax());
  agrees(fg::causal() | fg::top_k(40) | fg::softmax());
  agrees(fg::threshold(1) | fg::softmax());
}

TEST_CASE("attention of up to eight queries to 131072 keys is right") {
  Random random(544);
  const Index m = 131072;
  const Matrix<float> all = test::normal<float>(random, 8, 4), k = test::normal<float>(random, m, 4),
                      v = test::normal<float>(random, m, 3);
  fg::thread_pool pool(2);
  for (Index n = 1; n <= 8; ++n) {
    const auto agrees = [&](const auto& pipeline) {
      const auto a = fg::scores(all.bottomRows(n), k) | pipeline;
      const Matrix<float> out = a * v;
      CHECK((out - test::general_product(a, v)).cwiseAbs().maxCoeff() < 2e-6F);
      CHECK(test::same(Matrix<float>(a.on(pool) * v), out));
      CHECK(test::same(Matrix<float>(a.middleRows(n - 1, 1) * v), Matrix<float>(out.bottomRows(1))));
    };
    agrees(fg::causal() | fg::softmax());
    agrees(fg::streaming(4, 4096) | fg::softmax());
  }
}

TEMPLATE_TEST_CASE("non-finite values do not reach masked queries when key chunks are parallel", "",
                   FILIGREE_TEST_SCALARS) {
  using S = TestType;
  Random random(542);
  const Index n = 6, m = 11000;
  const Matrix<S> q = test::normal<S>(random, n, 8), k = test::normal<S>(random, m, 8),
                  v = test::normal<S>(random, m, 5);
  const auto a = fg::scores(q, k) | fg::causal() | fg::softmax();
  const Matrix<S> clean = a * v;
  for (const S poison : {std::numeric_limits<S>::quiet_NaN(), std::numeric_limits<S>::infinity()}) {
    Matrix<S> bad = v;
    bad.row(m - 3).setConstant(poison);  // visible to the last three queries only
    ManyWorkers workers;
    const Matrix<S> out = a.on(workers) * bad;
    CHECK(workers.max_tasks > n);
    CHECK(test::same(Matrix<S>(out.topRows(n - 3)), Matrix<S>(clean.topRows(n - 3))));
    CHECK(!out.bottomRows(3).array().isFinite().any());
  }
}

TEST_CASE("queries without keys and values without columns work with parallel key chunks") {
  Random random(543);
  const Index m = 11000;
  const Matrix<float> q = test::normal<float>(random, 4, 8), k = test::normal<float>(random, m, 8),
                      v = test::normal<float>(random, m, 5);
  ManyWorkers workers;
  // The positions of the first two queries precede all keys.
  const auto a = fg::scores(q, k, {.query_at = -2}) | fg::causal() | fg::softmax();
  const auto empty = fg::scores(q, k, {.query_at = -9}) | fg::causal() | fg::softmax();
  const auto wide = fg::scores(q, k, {.query_at = -2}) | (fg::causal() || fg::global({0})) | fg::softmax();
  for (Index i = 0; i < 4; ++i) {
    CHECK(test::same(Matrix<float>(a.on(workers) * v), Matrix<float>(a * v)));
    CHECK((empty.on(workers) * v).eval().isZero(0));
    CHECK(test::same(Matrix<float>(wide.on(workers) * v), Matrix<float>(wide * v)));
  }
  const Matrix<float> none = (fg::scores(q, k) | fg::softmax()).on(workers) * v.leftCols(0);
  CHECK((none.rows() == 4 && none.cols() == 0));
}
