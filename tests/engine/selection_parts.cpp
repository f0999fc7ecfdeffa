// SPDX-License-Identifier: MIT
// A few queries behind top_k with many keys: the workers select from parts of the keys, and the selections are merged.
#include <algorithm>
#include <filigree/filigree.hpp>
#include <initializer_list>
#include <limits>
#include <numeric>
#include <vector>

#include "catch.hpp"
#include "general.hpp"
#include "inputs.hpp"

namespace fg = filigree;
using test::Index;
using test::Matrix;
using test::Random;

namespace {

/// An executor with some workers that runs tasks in reverse order and records the numbers of tasks.
struct ManyWorkers {
  Index workers;
  std::vector<Index> tasks{};

  void run(Index count, fg::TaskRef f) {
    tasks.push_back(count);
    for (Index task = count; task-- > 0;) f(task, task % workers);
  }
  [[nodiscard]] Index concurrency() const { return workers; }
};

template <class S>
constexpr S not_a_number = std::numeric_limits<S>::quiet_NaN();
template <class S>
constexpr S infinity = std::numeric_limits<S>::infinity();

/// Returns keys of which the first and the last of each part of 4096 keys are `value`.
template <class S>
Matrix<S> with_borders(Matrix<S> keys, S value) {
  for (Index j = 4096; j < keys.rows(); j += 4096)
    for (const Index at : {j - 1, j}) keys.row(at).setConstant(value);
  return keys;
}

}  // namespace

TEMPLATE_TEST_CASE("a few queries behind top_k select from parts of the keys", "", FILIGREE_TEST_SCALARS) {
  using S = TestType;
  Random random(1621);
  const Index m = 9000, d = 7;
  fg::thread_pool two(2), three(3), five(5), eight(8);
  fg::Workspace workspace;
  const Matrix<S> v = test::normal<S>(random, m, 16), k = test::normal<S>(random, m, d);
  Matrix<S> q = test::normal<S>(random, 16, d), ties = k;
  for (Index j = 0; j < m; ++j) ties.row(j) = k.row(j % 40);
  q.row(0) = q.row(0).cwiseAbs();  // so that a key of ones has a large score
  std::vector<Matrix<S>> keys = {k, ties};
  for (const S value : {S(100), not_a_number<S>, infinity<S>, -infinity<S>}) keys.push_back(with_borders<S>(k, value));
  keys.push_back(Matrix<S>::Constant(m, d, not_a_number<S>));
  keys.push_back(Matrix<S>::Zero(m, d));
  const auto agrees = [&](const auto& pipeline, std::initializer_list<Index> numbers) {
    for (const Matrix<S>& key : keys)
      for (const Index n : numbers) {
        INFO("n = " << n << ", keys " << &key - keys.data());
        const auto a = fg::scores(q.topRows(n), key) | pipeline;
        const auto packed = fg::scores(q.topRows(n), fg::pack(key)) | pipeline;
        const Matrix<S> expected = a * v;
        CHECK(test::same(expected, test::general_product(a, v)));
        ManyWorkers workers{5};
        CHECK(test::same(Matrix<S>(a.on(workers) * v), expected));
        CHECK(workers.tasks.size() == 2);
        CHECK(workers.tasks.front() == 3);  // parts of the keys, and then the rows
        CHECK(test::same(Matrix<S>(a.on(two) * v), expected));
        CHECK(test::same(Matrix<S>(packed.on(three) * v), expected));
        CHECK(test::same(Matrix<S>(packed.on(five).with(workspace) * v), expected));
        CHECK(test::same(Matrix<S>(a.on(eight).with(workspace) * v), expected));
        CHECK(test::same(Matrix<S>(a.on(two).middleRows(n - 1, 1) * v), Matrix<S>(expected.bottomRows(1))));
      }
  };
  agrees(fg::top_k(50) | fg::softmax(), {1, 3, 16});
  agrees(fg::causal() | fg::alibi(0.001) | fg::top_k(700), {2});
  agrees(fg::streaming(4, 5000) | fg::top_k(9) | fg::normalize_sum(), {1});
}

TEST_CASE("selections from parts of the keys have the largest scores, the lowest columns first") {
  Random random(1622);
  const Index m = 12500;
  const Matrix<float> q = test::normal<float>(random, 3, 2), whole = test::normal<float>(random, m, 2);
  const Matrix<float> keys = (whole.array() * 4.0F).round();  // many equal scores
  fg::thread_pool pool(4);
  const Matrix<float> scores = fg::scores(q, keys);
  for (const Index k : {1, 30, 2000, 3000, 4096, 6000, 12499, 12500, 20000}) {
    ManyWorkers workers{3};
    const auto a = fg::scores(q, keys) | fg::top_k(k);
    const Matrix<float> kept = a.on(pool), again = a.on(workers);
    CHECK(test::same(again, kept));
    // A part has at least 2k keys.
    CHECK((workers.tasks.size() == 2) == (k <= 6000));
    if (k <= 2000) CHECK(workers.tasks.front() == 4);
    if (k == 6000) CHECK(workers.tasks.front() == 2);
    for (Index i = 0; i < 3; ++i) {
      std::vector<Index> order(static_cast<std::size_t>(m));
      std::iota(order.begin(), order.end(), Index(0));
      std::stable_sort(order.begin(), order.end(), [&](Index x, Index y) { return scores(i, x) > scores(i, y); });
      Matrix<float> expected = Matrix<float>::Zero(1, m);
      for (Index e = 0; e < std::min(k, m); ++e)
        expected(0, order[static_cast<std::size_t>(e)]) = scores(i, order[static_cast<std::size_t>(e)]);
      CHECK(test::same(Matrix<float>(kept.row(i)), expected));
    }
  }
}

TEST_CASE("one worker, many queries, few keys, no queries and no keys are not divided into parts") {
  Random random(1623);
  const auto number_of_runs = [&](Index n, Index m, Index workers) {
    const Matrix<float> q = test::normal<float>(random, n, 4), keys = test::normal<float>(random, m, 4),
                        v = test::normal<float>(random, m, 16);
    ManyWorkers executor{workers};
    const auto a = fg::scores(q, keys) | fg::top_k(5) | fg::softmax();
    CHECK(test::same(Matrix<float>(a.on(executor) * v), Matrix<float>(a * v)));
    return executor.tasks.size();
  };
  CHECK(number_of_runs(1, 8000, 1) <= 1);
  CHECK(number_of_runs(1, 4000, 4) <= 1);
  CHECK(number_of_runs(17, 5000, 4) <= 2);  // packs the keys
  CHECK(number_of_runs(0, 9000, 4) <= 1);
  CHECK(number_of_runs(1, 0, 4) <= 1);
  CHECK(number_of_runs(0, 0, 4) <= 1);
  CHECK(number_of_runs(1, 4096 * 3, 2) == 2);
}

TEST_CASE("decoding over a cache selects from parts of its keys") {
  Random random(1624);
  const Index m = 9000, d = 8, dv = 5;
  fg::thread_pool pool(3);
  auto cache = fg::key_value_cache<Eigen::half>(1, d, dv);
  cache.append(test::normal<float>(random, m, d), test::normal<float>(random, m, dv));
  const Matrix<float> q = test::normal<float>(random, 4, d);
  const auto agrees = [&] {
    const auto a = fg::scores(q, cache.head(0)) | fg::causal() | fg::top_k(40) | fg::softmax();
    CHECK(test::same(Matrix<float>(a.on(pool) * cache.values(0)), Matrix<float>(a * cache.values(0))));
    const auto chosen = fg::selected(a), parallel = fg::selected(a.on(pool));
    CHECK(chosen.columns == parallel.columns);
    CHECK(test::same(chosen.weights, parallel.weights));
  };
  agrees();
  cache.slide(4, 6000);
  agrees();
}
