// SPDX-License-Identifier: MIT
// Multi-head attention over caches of keys and values: decoding steps.
#include <cstring>
#include <filigree/filigree.hpp>
#include <limits>
#include <vector>

#include "allocations.hpp"
#include "catch.hpp"
#include "inputs.hpp"

namespace fg = filigree;
using test::Index;
using test::Matrix;
using test::Random;

namespace {

bool same_bits(const Matrix<float>& a, const Matrix<float>& b) {
  return a.rows() == b.rows() && a.cols() == b.cols() &&
         (a.size() == 0 || std::memcmp(a.data(), b.data(), static_cast<std::size_t>(a.size()) * sizeof(float)) == 0);
}

/// Returns the results of all heads, each computed alone.
template <class T, class Head>
Matrix<float> heads_alone(Index h, const Matrix<float>& q, const fg::KeyValueCache<T>& cache, const Head& head) {
  const Index d = cache.d(), dv = cache.dv();
  Matrix<float> all(q.rows(), h * dv);
  for (Index i = 0; i < h; ++i) {
    const Index j = i / (h / cache.heads());
    all.middleCols(i * dv, dv) = (fg::scores(q.middleCols(i * d, d), cache.head(j)) | head(i)) * cache.values(j);
  }
  return all;
}

/// Returns a cache of random rows that were appended in parts.
template <class T>
fg::KeyValueCache<T> random_cache(Random& random, Index hkv, Index d, Index dv, Index rows) {
  auto cache = fg::key_value_cache<T>(hkv, d, dv);
  for (Index left = rows; left > 0;) {
    const Index n = random.between(1, left);
    cache.append(test::normal<float>(random, n, hkv * d), test::normal<float>(random, n, hkv * dv));
    left -= n;
  }
  return cache;
}

template <class T>
void check_caches(Random& random, int rounds) {
  fg::thread_pool two(2), five(5);
  fg::Workspace workspace;
  const auto agrees = [&](const auto& head) {
    for (int round = 0; round < rounds; ++round) {
      const Index hkv = random.between(1, 3), h = hkv * random.between(1, 8),
                  n = random.pick<Index>({1, 1, 2, 4, 16, 40});
      const Index m = random.pick<Index>({0, 1, 15, 64, 65, 511, 513, 1700}), d = random.pick<Index>({1, 5, 16, 32});
      const Index dv = random.pick<Index>({1, 16, 20, 64});
      INFO("h = " << h << ", hkv = " << hkv << ", n = " << n << ", m = " << m << ", d = " << d << ", dv = " << dv);
      auto cache = random_cache<T>(random, hkv, d, dv, m);
      const Matrix<float> q = test::normal<float>(random, n, h * d);
      const auto check = [&] {
        const Matrix<float> expected = heads_alone(h, q, cache, [&](Index) { return head; });
        CHECK(same_bits(fg::multi_head(fg::heads{h}, q, cache, head), expected));
        CHECK(same_bits(fg::multi_head(fg::heads{h}, q, cache, head).on(two), expected));
        CHECK(same_bits(fg::multi_head(fg::heads{h, hkv}, q, cache, head).on(five).with(workspace), expected));
      };
      check();
      cache.append(test::normal<float>(random, 3, hkv * d), test::normal<float>(random, 3, hkv * dv));
      check();
      cache.slide(2, std::min<Index>(cache.rows() - 2, 600));
      check();
    }
  };
  agrees(fg::causal() | fg::softmax({.sink = 0.25}));
  agrees(fg::streaming(2, 100) | fg::alibi(0.02) | fg::softmax());
  agrees(fg::causal() | fg::top_k(20) | fg::softmax());
  agrees(fg::threshold(0.2) | fg::softmax());
  agrees((fg::causal() && fg::random(5, 3)) | fg::softmax());
}

}  // namespace

TEST_CASE("multi_head over a cache has the bits of each head alone") {
  Random random(1611);
  check_caches<float>(random, 12);
}

TEST_CASE("multi_head over a cache of 16 bits has the bits of each head alone") {
  Random random(1612);
  check_caches<Eigen::half>(random, 4);
  check_caches<Eigen::bfloat16>(random, 4);
}

TEST_CASE("multi_head over a cache is multi_head over its rows") {
  Random random(1613);
  for (const Index n : {1, 5, 30})
    for (const Index m : {40, 700}) {
      const Matrix<float> q = test::normal<float>(random, n, 6 * 16), k = test::normal<float>(random, m, 2 * 16),
                          v = test::normal<float>(random, m, 2 * 32);
      auto cache = fg::key_value_cache<float>(2, 16, 32, {.capacity = 10});
      cache.append(k.topRows(m / 2), v.topRows(m / 2));
      cache.append(k.bottomRows(m - m / 2), v.bottomRows(m - m / 2));
      const auto head = [](Index i) { return fg::causal() | fg::alibi(0.1 * double(i)) | fg::softmax(); };
      CHECK(same_bits(fg::multi_head(fg::heads{6}, q, cache, head), fg::multi_head(fg::heads{6, 2}, q, k, v, head)));
      const auto kept = fg::causal() | fg::top_k(9) | fg::softmax();
      CHECK(same_bits(fg::multi_head(fg::heads{6}, q, cache, kept), fg::multi_head(fg::heads{6, 2}, q, k, v, kept)));
    }
}

TEST_CASE("multi_head over several caches has the bits of each cache alone") {
  Random random(1614);
  fg::thread_pool three(3);
  for (const Index n : {1, 2, 20}) {
    std::vector<fg::KeyValueCache<float>> caches;
    for (const Index m : {700, 0, 3, 1200, 64}) caches.push_back(random_cache<float>(random, 2, 16, 20, m));
    const Matrix<float> q = test::normal<float>(random, 5 * n, 6 * 16);
    const auto check = [&](const auto& head) {
      Matrix<float> expected(5 * n, 6 * 20);
      for (Index s = 0; s < 5; ++s)
        expected.middleRows(s * n, n) =
            fg::multi_head(fg::heads{6}, q.middleRows(s * n, n), caches[static_cast<std::size_t>(s)], head);
      CHECK(same_bits(fg::multi_head(fg::heads{6}, q, caches, head), expected));
      CHECK(same_bits(fg::multi_head(fg::heads{6}, q, caches, head).on(three), expected));
    };
    check(fg::causal() | fg::softmax());
    check(fg::top_k(10) | fg::softmax());
  }
  const std::vector<fg::KeyValueCache<float>> none;
  CHECK(Matrix<float>(fg::multi_head(fg::heads{6}, Matrix<float>(0, 6), none, fg::softmax())).rows() == 0);
}

TEST_CASE("multi_head over caches checks shapes") {
  Random random(1615);
  std::vector<fg::KeyValueCache<float>> caches(2, random_cache<float>(random, 2, 4, 3, 9));
  const auto& cache = caches[0];
  const auto error_of = [&](const auto& f) {
    try {
      (void)f();
    } catch (const fg::Error& e) {
      return std::string(e.what());
    }
    return std::string();
  };
  const Matrix<float> q = test::normal<float>(random, 3, 16), narrow = test::normal<float>(random, 3, 12);
  CHECK_THAT(error_of([&] { return fg::multi_head(fg::heads{3}, narrow, cache, fg::softmax()); }),
             contains("cache.heads() = 2 must divide h = 3"));
  CHECK_THAT(error_of([&] { return fg::multi_head(fg::heads{4}, narrow, cache, fg::softmax()); }),
             contains("Q.cols() = 12 must be h = 4 times cache.d() = 4"));
  CHECK_THAT(error_of([&] {
               return fg::multi_head(fg::heads{4, 4}, q, cache, fg::softmax());
             }),
             contains("hkv = 4 must equal cache.heads() = 2"));
  CHECK_THAT(error_of([&] { return fg::multi_head(fg::heads{4}, q, caches, fg::softmax()); }),
             contains("Q.rows() = 3 must be a multiple of the 2 caches"));
  caches[1] = random_cache<float>(random, 2, 4, 5, 9);
  CHECK_THAT(error_of([&] { return fg::multi_head(fg::heads{4}, q.topRows(2), caches, fg::softmax()); }),
             contains("all caches must have dv = 3, cache 1 has 5"));
  caches[1] = random_cache<float>(random, 2, 5, 3, 9);
  CHECK_THAT(error_of([&] { return fg::multi_head(fg::heads{4}, q.topRows(2), caches, fg::softmax()); }),
             contains("Q.cols() = 16 must be h = 4 times caches[1].d() = 5"));
  caches[1] = random_cache<float>(random, 3, 4, 3, 9);
  CHECK_THAT(error_of([&] { return fg::multi_head(fg::heads{4}, q.topRows(2), caches, fg::softmax()); }),
             contains("multi_head(heads{h}, Q, caches, ...): caches[1].heads() = 3 must divide h = 4"));
  CHECK_THAT(error_of([&] {
               return fg::multi_head(fg::heads{4, 2}, q.topRows(2), caches, fg::softmax());
             }),
             contains("caches[1].heads() = 3 must divide h = 4"));
}

#if FILIGREE_COUNTS_ALLOCATIONS
TEST_CASE("a decoding step allocates nothing") {
  Random random(1616);
  auto cache = fg::key_value_cache<float>(2, 16, 32, {.capacity = 4000});
  cache.append(test::normal<float>(random, 3000, 2 * 16), test::normal<float>(random, 3000, 2 * 32));
  const Matrix<float> q = test::normal<float>(random, 1, 8 * 16);
  Matrix<float> out(1, 8 * 32);
  const auto check = [&](const auto& head) {
    fg::Workspace workspace;
    const auto step = fg::multi_head(fg::heads{8}, q, cache, head).with(workspace);
    out = step;
    CHECK(test::allocated_by([&] { out = step; }) == 0);
  };
  check(fg::softmax());
  check(fg::streaming(4, 1000) | fg::softmax());
  check(fg::top_k(32) | fg::softmax());
}
#endif
