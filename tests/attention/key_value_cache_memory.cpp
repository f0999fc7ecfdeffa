// SPDX-License-Identifier: MIT
// Caches of keys and values: allocations, sharing, messages, exceptions, and numbers that must not leak.
#include <filigree/core/thread_pool.hpp>
#include <filigree/filigree.hpp>
#include <limits>
#include <new>
#include <stdexcept>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "allocations.hpp"
#include "catch.hpp"
#include "inputs.hpp"

namespace fg = filigree;
using Eigen::bfloat16;
using Eigen::half;
using test::Index;
using test::Matrix;
using test::Random;

namespace {

template <class T>
void append_random(fg::KeyValueCache<T>& cache, Random& random, Index n) {
  cache.append(test::normal<float>(random, n, cache.heads() * cache.d()),
               test::normal<float>(random, n, cache.heads() * cache.dv()));
}

template <class T>
Matrix<float> attention(const fg::KeyValueCache<T>& cache, Index head, const Matrix<float>& q) {
  return (fg::scores(q, cache.head(head)) | fg::softmax()) * cache.values(head);
}

}  // namespace

#if FILIGREE_COUNTS_ALLOCATIONS
TEMPLATE_TEST_CASE("nothing is allocated below the capacity", "", float, half, bfloat16) {
  Random random(9400);
  fg::KeyValueCache<TestType> cache(2, 16, 20, {.capacity = 1000});
  const Matrix<float> k = test::normal<float>(random, 500, 32), v = test::normal<float>(random, 500, 40);
  CHECK(cache.capacity() >= 1000);
  CHECK(test::allocated_by([&] {
          cache.append(k, v);
          for (Index i = 0; i < 500; ++i) cache.append(k.row(i), v.row(i));
          cache.truncate(700);
          cache.append(k.topRows(300), v.topRows(300));
          cache.clear();
          cache.append(k, v);
        }) == 0);
  CHECK(cache.rows() == 500);
}

TEST_CASE("memory doubles when it is full") {
  auto cache = fg::key_value_cache(1, 4, 4);
  const Eigen::RowVector4f x(1, 2, 3, 4);
  int growths = 0;
  for (int i = 0; i < 10000; ++i) {
    const Index before = cache.capacity();
    const long allocated = test::allocated_by([&] { cache.append(x, x); });
    if (cache.capacity() == before) {
      REQUIRE(allocated == 0);
    } else {
      ++growths;
      REQUIRE(cache.capacity() >= 2 * before);
    }
  }
  CHECK(growths <= 14);
}

TEMPLATE_TEST_CASE("a sliding window needs a constant amount of memory", "", float, half) {
  Random random(9401);
  constexpr Index sinks = 4, window = 300;
  fg::KeyValueCache<TestType> cache(1, 8, 8, {.capacity = sinks + 2 * window + 1024});
  const Matrix<float> k = test::normal<float>(random, 100, 8), v = test::normal<float>(random, 100, 8);
  const Index capacity = cache.capacity();
  CHECK(test::allocated_by([&] {
          for (Index i = 0; i < 20000; ++i) {
            cache.append(k.row(i % 100), v.row(i % 100));
            cache.slide(sinks, window);
          }
        }) == 0);
  CHECK(cache.rows() == 20000);
  CHECK(cache.dropped() == fg::Range{sinks, 20000 - window});
  CHECK(cache.capacity() == capacity);
}

TEMPLATE_TEST_CASE("a step of decoding allocates nothing", "", float, half) {
  Random random(9402);
  fg::KeyValueCache<TestType> cache(2, 16, 20, {.capacity = 3000});
  append_random(cache, random, 1500);
  const Matrix<float> q = test::normal<float>(random, 1, 16), k = test::normal<float>(random, 1, 32),
                      v = test::normal<float>(random, 1, 40);
  fg::Workspace workspace;
  // The expressions read the cache as it is when they are evaluated.
  const auto scores = fg::scores(q, cache.head(1)).with(workspace);
  const auto all = scores | fg::causal() | fg::softmax();
  const auto best = scores | fg::top_k(16) | fg::softmax();
  Matrix<float> out(1, 20);
  const auto step = [&] {
    cache.append(k, v);
    out = all * cache.values(1);
    out += best * cache.values(1);
  };
  for (int i = 0; i < 3; ++i) step();
  CHECK(test::allocated_by([&] {
          for (int i = 0; i < 100; ++i) step();
        }) == 0);
}

TEST_CASE("forks share memory until one of them is written") {
  Random random(9403);
  auto cache = fg::key_value_cache(2, 16, 16, {.capacity = 2000});
  append_random(cache, random, 1000);
  const Matrix<float> q = test::normal<float>(random, 3, 16), k = test::normal<float>(random, 1, 32);
  const Matrix<float> before = attention(cache, 1, q), prefix = attention(cache.fork(500), 1, q);
  CHECK(test::allocated_by([&] { (void)cache.fork(500); }) == 0);
  auto fork = cache.fork(500);
  CHECK(test::allocated_by([&] { cache.append(k, k); }) > 0);  // copies the rows of the cache
  CHECK(test::allocated_by([&] { cache.append(k, k); }) == 0);
  CHECK(test::allocated_by([&] { fork.append(k, k); }) == 0);  // the only owner of the old memory
  CHECK(fork.rows() == 501);
  CHECK(cache.rows() == 1002);
  CHECK(test::same(attention(cache.fork(1000), 1, q), before));
  CHECK(test::same(attention(fork.fork(500), 1, q), prefix));
  const auto copy = cache;
  fg::KeyValueCache<float> moved = std::move(cache);
  CHECK(cache.rows() == 0);  // NOLINT(bugprone-use-after-move): a moved-from cache is empty
  CHECK(moved.rows() == 1002);
  CHECK(test::same(attention(moved, 1, q), attention(copy, 1, q)));
  cache.append(k, k);
  CHECK(cache.rows() == 1);
  cache = std::move(moved);
  CHECK(test::same(attention(cache, 1, q), attention(copy, 1, q)));
}

TEST_CASE("a failed allocation changes nothing") {
  Random random(9404);
  auto cache = fg::key_value_cache(2, 16, 16);
  append_random(cache, random, 100);
  const Matrix<float> q = test::normal<float>(random, 3, 16), k = test::normal<float>(random, 300, 32);
  const Matrix<float> before = attention(cache, 0, q);
  for (int failing = 0; failing < 10; ++failing) {
    const Index capacity = cache.capacity();
    bool failed = false;
    test::fails_at = test::allocations + failing;
    try {
      cache.append(k, k);
    } catch (const std::bad_alloc&) {
      failed = true;
    }
    test::fails_at = -1;
    if (!failed) {
      CHECK(failing > 0);
      CHECK(cache.rows() == 400);
      return;
    }
    CHECK(cache.rows() == 100);
    CHECK(cache.capacity() == capacity);
    CHECK(test::same(attention(cache, 0, q), before));
  }
  FAIL("append never succeeded");
}
#endif

TEST_CASE("messages of caches") {
  Random random(9405);
  const auto fails = [](Index hkv, Index d, Index dv, Index capacity, const std::string& message) {
    CHECK_THROWS_WITH(fg::key_value_cache(hkv, d, dv, {.capacity = capacity}),
                      "filigree: key_value_cache(hkv, d, dv, {.capacity}): " + message);
  };
  fails(0, 1, 1, 0, "hkv must be between 1 and 65536, got 0");
  fails(65537, 1, 1, 0, "hkv must be between 1 and 65536, got 65537");
  fails(1, -1, 1, 0, "d must be between 0 and 4294967296, got -1");
  fails(1, 1, -2, 0, "dv must be between 0 and 4294967296, got -2");
  fails(1, 1, 1, -1, "capacity must be between 0 and 2147482623, got -1");
  CHECK_THROWS_AS(fg::key_value_cache(65536, Index{1} << 32, 1, {.capacity = 1 << 30}), std::bad_alloc);

  auto cache = fg::key_value_cache(2, 3, 4);
  append_random(cache, random, 10);
  const Matrix<float> k = test::normal<float>(random, 2, 6), v = test::normal<float>(random, 2, 8);
  CHECK_THROWS_WITH(cache.append(k.leftCols(5), v),
                    "filigree: cache.append(K, V): K.cols() = 5 must equal hkv d = 2 * 3");
  CHECK_THROWS_WITH(cache.append(k, v.leftCols(7)),
                    "filigree: cache.append(K, V): V.cols() = 7 must equal hkv dv = 2 * 4");
  CHECK_THROWS_WITH(cache.append(k, v.topRows(1)),
                    "filigree: cache.append(K, V): V.rows() = 1 must equal K.rows() = 2");
  CHECK_THROWS_WITH(cache.truncate(11),
                    "filigree: cache.truncate(rows): rows must be between 0 and the 10 rows of the cache, got 11");
  CHECK_THROWS_WITH(cache.fork(-1),
                    "filigree: cache.fork(rows): rows must be between 0 and the 10 rows of the cache, got -1");
  CHECK_THROWS_WITH(cache.head(2), "filigree: cache.head(i): i must be between 0 and 1, got 2");
  CHECK_THROWS_WITH(cache.values(-1), "filigree: cache.values(i): i must be between 0 and 1, got -1");
  CHECK_THROWS_WITH(cache.slide(11),
                    "filigree: cache.slide(first): first must be between 0 and the 10 rows of the cache, got 11");
  CHECK_THROWS_WITH(cache.slide(-1, 2), "filigree: cache.slide(sinks, window): sinks must be at least 0, got -1");
  CHECK_THROWS_WITH(cache.slide(1, -2), "filigree: cache.slide(sinks, window): window must be at least 0, got -2");
  cache.slide(5, 5);
  CHECK(cache.dropped() == fg::Range{0, 0});
  cache.slide(std::numeric_limits<Index>::max(), std::numeric_limits<Index>::max());
  CHECK(cache.dropped() == fg::Range{0, 0});
  cache.slide(2, 3);
  CHECK(cache.dropped() == fg::Range{2, 7});
  CHECK_THROWS_WITH(cache.slide(3, 3),
                    "filigree: cache.slide(sinks, window): sinks must be at most 2, since rows 2 to "
                    "6 were dropped before, got 3");
  CHECK_THROWS_WITH(cache.truncate(3),
                    "filigree: cache.truncate(rows): rows must be at most 2 or at least 7, since "
                    "the rows between were dropped, got 3");
  CHECK(cache.rows() == 10);
  cache.slide(1, 4);
  CHECK(cache.dropped() == fg::Range{1, 7});
  cache.slide(0, 10);
  CHECK(cache.dropped() == fg::Range{1, 7});
  cache.slide(0, 9);
  CHECK(cache.dropped() == fg::Range{0, 7});
  cache.slide(9);
  CHECK(cache.dropped() == fg::Range{0, 9});
  cache.clear();
  CHECK(cache.dropped() == fg::Range{0, 0});

  append_random(cache, random, 10);
  const Matrix<float> q = test::normal<float>(random, 2, 4);
  CHECK_THROWS_WITH(fg::scores(q, cache.head(0)), "filigree: scores(Q, K): Q.cols() = 4 must equal K.cols() = 3");
  const Matrix<float> fits = test::normal<float>(random, 2, 3), ten = test::normal<float>(random, 9, 4);
  const auto a = fg::scores(fits, cache.head(0)) | fg::softmax();
  CHECK_THROWS_WITH(a * ten, "filigree: A * V: V.rows() = 9 must equal A.cols() = 10");
  const auto product = a * cache.values(0);
  Matrix<float> out = product;
  cache.append(k, v);
  out = product;
  CHECK(test::same(out, Matrix<float>((fg::scores(fits, cache.head(0)) | fg::softmax()) * cache.values(0))));
}

TEST_CASE("an exception of an expression leaves the cache unchanged") {
  Random random(9406);
  auto cache = fg::key_value_cache(1, 4, 4, {.capacity = 100});
  append_random(cache, random, 10);
  const Matrix<float> q = test::normal<float>(random, 2, 4), k = test::normal<float>(random, 20, 4);
  const Matrix<float> before = attention(cache, 0, q);
  int calls = 0;
  const auto throws = k.unaryExpr([&calls](float x) {
    if (++calls == 50) throw std::runtime_error("user");
    return x;
  });
  CHECK_THROWS_AS(cache.append(throws, k), std::runtime_error);
  calls = 0;
  CHECK_THROWS_AS(cache.append(k, throws), std::runtime_error);
  CHECK(cache.rows() == 10);
  CHECK(test::same(attention(cache, 0, q), before));
}

TEMPLATE_TEST_CASE("rows that were removed or dropped do not leak", "", float, half, bfloat16) {
  Random random(9407);
  const float nan = std::numeric_limits<float>::quiet_NaN(), infinity = std::numeric_limits<float>::infinity();
  for (const Index rows : {1, 5, 63, 64, 70, 600})
    for (const float bad : {nan, infinity, -infinity}) {
      INFO("rows " << rows << ", bad " << bad);
      fg::KeyValueCache<TestType> cache(1, 8, 8, {.capacity = 4000}), clean(1, 8, 8);
      const Matrix<float> k = test::normal<float>(random, rows, 8), v = test::normal<float>(random, rows, 8);
      const Matrix<float> spoiled = Matrix<float>::Constant(100, 8, bad);
      cache.append(k, v);
      cache.append(spoiled, spoiled);
      cache.truncate(rows);
      clean.append(k, v);
      for (const Index n : {1, 9}) {
        const Matrix<float> q = test::normal<float>(random, n, 8);
        REQUIRE(test::same(attention(cache, 0, q), attention(clean, 0, q)));
        REQUIRE(
            test::same(Matrix<float>((fg::scores(q, cache.head(0)) | fg::top_k(3) | fg::softmax()) * cache.values(0)),
                       Matrix<float>((fg::scores(q, clean.head(0)) | fg::top_k(3) | fg::softmax()) * clean.values(0))));
        // Dropped rows, and rows that are masked by a pattern.
        auto slid = cache.fork(rows);
        slid.append(spoiled, spoiled);
        slid.append(k, v);
        const auto masked = [from = rows](Index, Index j) { return j < from || j >= from + 100; };
        const Matrix<float> expected =
            (fg::scores(q, slid.head(0)) | fg::where(masked) | fg::softmax()) * slid.values(0);
        REQUIRE(expected.allFinite());
        slid.slide(rows, rows);
        REQUIRE(test::same(attention(slid, 0, q), expected));
      }
    }
}

TEMPLATE_TEST_CASE("results do not depend on the number of threads", "", float, half, bfloat16) {
  Random random(9408);
  fg::thread_pool pool(3);
  fg::KeyValueCache<TestType> cache(1, 24, 40);
  append_random(cache, random, 6000);
  for (int slides = 0; slides < 2; ++slides) {
    for (const Index n : {1, 2, 40}) {
      const Matrix<float> q = test::normal<float>(random, n, 24);
      const auto a = fg::scores(q, cache.head(0)) | fg::causal() | fg::softmax();
      REQUIRE(test::same(Matrix<float>(a.on(pool) * cache.values(0)), Matrix<float>(a * cache.values(0))));
      const auto b = fg::scores(q, cache.head(0)) | fg::top_k(20) | fg::softmax();
      REQUIRE(test::same(Matrix<float>(b.on(pool) * cache.values(0)), Matrix<float>(b * cache.values(0))));
    }
    cache.slide(4, 2500);
  }
}

TEST_CASE("threads write their own forks of one cache") {
  Random random(9409);
  auto cache = fg::key_value_cache(1, 16, 16);
  append_random(cache, random, 900);
  const auto& shared = cache;
  const Matrix<float> q = test::normal<float>(random, 2, 16), k = test::normal<float>(random, 4, 16);
  const auto work = [&](Index rows, Index number) {
    auto fork = shared.fork(rows);
    for (int step = 0; step < 50; ++step) fork.append(k.row(number), k.row(number));
    return attention(fork, 0, q);
  };
  std::vector<Matrix<float>> results(4);
  std::vector<std::thread> threads;
  for (Index number = 0; number < 4; ++number)
    threads.emplace_back([&, number] { results[static_cast<std::size_t>(number)] = work(900 - number, number); });
  for (auto& thread : threads) thread.join();
  for (Index number = 0; number < 4; ++number)
    CHECK(test::same(results[static_cast<std::size_t>(number)], work(900 - number, number)));
  // A fork in another thread, whose last reads happen before the cache writes to its memory.
  std::thread reader([fork = cache.fork(600), &q] { (void)attention(fork, 0, q); });
  cache.append(k, k);
  reader.join();
  CHECK(cache.rows() == 904);
}

TEMPLATE_TEST_CASE("values of a cache with keys of a matrix", "", float, half, bfloat16) {
  using T = TestType;
  Random random(9410);
  constexpr Index m = 1700;
  const Matrix<float> k = test::normal<float>(random, m, 16), v = test::normal<float>(random, m, 32);
  const Matrix<float> rounded = v.unaryExpr([](float x) { return static_cast<float>(T(x)); });
  fg::KeyValueCache<T> cache(1, 0, 32, {.capacity = m});
  cache.append(Matrix<float>(m, 0), v);
  const auto check = [&](const auto& pipeline) {
    for (const Index n : {1, 5, 40}) {
      const Matrix<float> q = test::normal<float>(random, n, 16);
      const auto a = fg::scores(q, k) | pipeline;
      REQUIRE(test::same(Matrix<float>(a * cache.values(0)), Matrix<float>(a * rounded)));
    }
  };
  const auto check_all = [&] {
    check(fg::window(3) | fg::softmax());  // narrow windows read K and V in place
    check(fg::window(100, 0) | fg::softmax());
    check(fg::window(100, 0) | fg::top_k(8) | fg::softmax());
  };
  check_all();
  cache.slide(1200);                                    // no query above attends to these values
  cache.append(Matrix<float>(100, 0), v.topRows(100));  // exceeds the capacity, so memory of dropped rows is used again
  cache.truncate(m);
  REQUIRE(cache.value_rows(0).gap.size == 1024);
  check_all();
}
