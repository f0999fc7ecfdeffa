// SPDX-License-Identifier: MIT
// The law of the library, checked for one type of pipeline and many random cases: a fused engine keeps exactly the
// entries of the general evaluator, bit for bit, and both agree with the reference implementation (oracle.hpp).
#pragma once

#include <cstdlib>

#include "catch.hpp"
#include "compare.hpp"
#include "general.hpp"
#include "twin.hpp"

namespace test {

/// Statistics of a test program, printed at its end.
struct Count {
  long compositions = 0, rows = 0, open_rows = 0, fused = 0;
  ~Count() {
    std::printf("%ld compositions (%ld fused), %ld rows, %ld of them undecided\n", compositions, fused, rows,
                open_rows);
  }
};
inline Count count;

/// Returns true if a dense matrix holds the entries of a sparse one, and 0 elsewhere.
template <class S, class D>
bool shows(const D& dense, const Eigen::SparseMatrix<S, Eigen::RowMajor>& w) {
  Matrix<S> expected = Matrix<S>::Zero(w.rows(), w.cols());
  for (Index i = 0; i < w.rows(); ++i)
    for (typename Eigen::SparseMatrix<S, Eigen::RowMajor>::InnerIterator e(w, i); e; ++e)
      expected(i, e.col()) = e.value();
  return same(dense, expected);
}

/// An executor that is serial or a thread pool, chosen at run time.
struct EitherExecutor {
  fg::ThreadPool* pool;
  void run(Index tasks, fg::TaskRef f) const { pool != nullptr ? pool->run(tasks, f) : fg::serial().run(tasks, f); }
  Index concurrency() const { return pool != nullptr ? pool->concurrency() : 1; }
};

inline Shape any_shape(Random& random) {
  Shape shape;
  shape.n = any_size(random, random.chance(0.2) ? 220 : 40);
  shape.m = any_size(random, random.chance(0.2) ? 300 : 140);
  shape.d = random.chance(0.1) ? 0 : random.pick<Index>({1, 2, 3, 4, 7, 8, 16, 17, 33});
  shape.dv = random.pick<Index>({0, 1, 2, 3, 8, 15, 16, 17, 40, 64, 70});
  shape.key_at = random.chance(0.6) ? 0 : random.between(-20, 40);
  shape.query_at = random.chance(0.7) ? shape.key_at + shape.m - shape.n : random.between(-30, 80);
  return shape;
}

/// Compares weights with the general evaluator, with every kind of target, and with the reference table after all
/// stages.
template <class S, class A>
void check_weights(const A& a, const oracle::Table& table, Random& random, Index dv) {
  using Sparse = Eigen::SparseMatrix<S, Eigen::RowMajor>;
  const Sparse w = a;
  REQUIRE(same_sparse(w, Sparse(general_sparse(a))));
  const auto wrong = differs<S>(table, w);
  if (wrong) FAIL(*wrong);

  Placed<S> dense(random, Matrix<S>(Matrix<S>::Constant(a.rows(), a.cols(), S(7))));
  dense.map() = a;
  REQUIRE(shows<S>(dense.map(), w));
  REQUIRE(dense.untouched_between());

  const Matrix<S> numbers_of_v = numbers<S>(random, a.cols(), dv, any_kind(random));
  const Placed<S> v(random, numbers_of_v);
  const auto values = v.map();
  // An engine that passes rows to the product adds the same numbers in the same order as the general evaluator. An
  // engine that computes the product itself is compared with the reference implementation only.
  const Matrix<S> general = general_product(a, values), expected = a * values;
  if (std::is_same_v<typename A::ProductEngine, typename A::Engine>) REQUIRE(same(expected, general));
  Placed<S> out(random, Matrix<S>(Matrix<S>::Constant(a.rows(), dv, S(3))));
  switch (random.between(0, 2)) {
    case 0:
      out.map() = a * values;
      REQUIRE(same(out.map(), expected));
      break;
    case 1:
      out.map() += a * values;
      REQUIRE(same(out.map(), Matrix<S>(expected.array() + S(3))));
      break;
    default:
      out.map() -= a * values;
      REQUIRE(same(out.map(), Matrix<S>(S(3) - expected.array())));
      break;
  }
  REQUIRE(out.untouched_between());
  for (const Matrix<S>& product : {general, expected}) {
    const auto wrong_product = product_differs(table, numbers_of_v, product);
    if (wrong_product) FAIL(*wrong_product);
  }

  ++count.compositions;
  count.fused += fg::is_fused<A> ? 1 : 0;
  count.rows += table.n;
  for (const char open : table.open) count.open_rows += open;
}

/// Checks scores(Q, K) | twin, in a random workspace and with a random executor.
template <class S, class Twin, class Q, class K>
void check_case(const Twin& twin, const Q& queries, const K& keys, const Shape& shape, double scale, Random& random) {
  static fg::thread_pool pool(3);
  static fg::Workspace reused;
  fg::Workspace fresh;
  const EitherExecutor executor{random.chance(0.2) ? &pool : nullptr};
  const auto scores = fg::scores(queries, keys, {.scale = scale, .query_at = shape.query_at, .key_at = shape.key_at});
  const auto a = (scores | twin.word).with(random.chance(0.3) ? reused : fresh).on(executor);

  oracle::Table table(shape.n, shape.m, shape.query_at, shape.key_at, sizeof(S) == 4);
  REQUIRE(fill_scores(table, Matrix<S>(queries), Matrix<S>(keys), static_cast<S>(scale)));
  twin.step(table);
  check_weights<S>(a, table, random, shape.dv);
}

/// Returns FILIGREE_LAW_PERCENT percent of the cases; all of them if it is not set.
inline int case_count(int cases) {
  const char* percent = std::getenv("FILIGREE_LAW_PERCENT");
  return percent == nullptr ? cases : std::max(1, cases * std::atoi(percent) / 100);
}

inline double any_scale(Random& random, const Shape& shape) {
  return random.chance(0.5) ? (shape.d > 0 ? 1 / std::sqrt(double(shape.d)) : 1.0) : random.pick({1.0, -0.5, 0.1, 0.0});
}

/// Checks `cases` random cases of scores(Q, K) | make(words), or of make(words, Q, K) for stages that depend on queries
/// and keys.
template <class S, class Make>
void law(std::uint64_t stream, int cases, Make make) {
  for (int number = 0; number < case_count(cases); ++number) {
    Random random(stream * 1'000'000 + static_cast<std::uint64_t>(number) + (std::is_same_v<S, float> ? 0 : 500'000));
    const Shape shape = any_shape(random);
    const auto check = [&](const auto& twin, const auto& queries, const auto& keys) {
      const double scale = any_scale(random, shape);
      INFO("stream " << stream << ", case " << number << ", " << (sizeof(S) == 4 ? "float" : "double") << ", n "
                     << shape.n << ", m " << shape.m << ", d " << shape.d << ", query_at " << shape.query_at
                     << ", key_at " << shape.key_at << ", scale " << scale << ": " << twin.text);
      check_case<S>(twin, queries, keys, shape, scale, random);
    };
    if constexpr (std::is_invocable_v<Make, Words<S>>) {
      const auto twin = as_twin(make(Words<S>{random, shape}));
      const Placed<S> q(random, numbers<S>(random, shape.n, shape.d, any_kind(random)));
      const Placed<S> k(random, numbers<S>(random, shape.m, shape.d, any_kind(random)));
      check(twin, q.map(), k.map());
    } else {
      const Matrix<S> queries = numbers<S>(random, shape.n, shape.d, any_kind(random));
      const Matrix<S> keys = numbers<S>(random, shape.m, shape.d, any_kind(random));
      const auto twin = as_twin(make(Words<S>{random, shape}, queries, keys));
      const Placed<S> q(random, queries), k(random, keys);
      check(twin, q.map(), k.map());
    }
  }
}

/// Checks `cases` random cases of X | make(words) for a dense X.
template <class S, class Make>
void dense_law(std::uint64_t stream, int cases, Make make) {
  for (int number = 0; number < case_count(cases); ++number) {
    Random random(stream * 1'000'000 + static_cast<std::uint64_t>(number) + (std::is_same_v<S, float> ? 0 : 500'000));
    Shape shape = any_shape(random);
    shape.n = std::min<Index>(shape.n, 64);
    shape.key_at = 0;
    shape.query_at = shape.m - shape.n;
    const auto twin = as_twin(make(Words<S>{random, shape}));
    const Placed<S> x(random, numbers<S>(random, shape.n, shape.m, any_kind(random)));
    const auto source = x.map();
    INFO("stream " << stream << ", case " << number << ", " << (sizeof(S) == 4 ? "float" : "double") << ", dense "
                   << shape.n << " x " << shape.m << ": " << twin.text);
    const auto a = source | twin.word;
    oracle::Table table(shape.n, shape.m, shape.query_at, 0, sizeof(S) == 4);
    for (Index i = 0; i < shape.n; ++i)
      for (Index c = 0; c < shape.m; ++c) table.at(i, c).value = source(i, c);
    twin.step(table);
    check_weights<S>(a, table, random, shape.dv);
  }
}

/// Checks the law for float and double.
template <class Make>
void law_of_both(std::uint64_t stream, int cases, Make make) {
  law<float>(stream, cases, make);
  law<double>(stream, cases, make);
}
template <class Make>
void dense_law_of_both(std::uint64_t stream, int cases, Make make) {
  dense_law<float>(stream, cases, [&](auto words) { return make(words); });
  dense_law<double>(stream, cases, [&](auto words) { return make(words); });
}

}  // namespace test
