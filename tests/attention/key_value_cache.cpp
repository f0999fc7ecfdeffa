// SPDX-License-Identifier: MIT
// Caches of keys and values against concatenated matrices.
#include <algorithm>
#include <cmath>
#include <cstdlib>
#include <filigree/filigree.hpp>
#include <tuple>
#include <type_traits>
#include <utility>
#include <vector>

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
using Computed = typename fg::KeyValueCache<T>::Computed;

/// What a cache must hold: its rows of all heads, as numbers of the computation. Dropped rows are zeros.
template <class T>
struct Model {
  using S = Computed<T>;
  Index hkv, d, dv;
  Matrix<S> k = Matrix<S>(0, hkv*d), v = Matrix<S>(0, hkv*dv);
  fg::Range dropped{0, 0};

  void append(const Matrix<S>& more_k, const Matrix<S>& more_v) {
    const fg::detail::RoundToNearest rounding;  // Eigen's conversion to half depends on the rounding mode
    const Index rows = k.rows();
    k.conservativeResize(rows + more_k.rows(), hkv * d);
    v.conservativeResize(rows + more_v.rows(), hkv * dv);
    k.bottomRows(more_k.rows()) = more_k.unaryExpr([](S x) { return static_cast<S>(T(x)); });
    v.bottomRows(more_v.rows()) = more_v.unaryExpr([](S x) { return static_cast<S>(T(x)); });
  }
  void truncate(Index rows) {
    k.conservativeResize(rows, hkv * d);
    v.conservativeResize(rows, hkv * dv);
    if (rows < dropped.end) dropped = {0, 0};
  }
  void drop(Index begin, Index end) {
    dropped = {begin, std::max(end, dropped.end)};
    k.middleRows(begin, dropped.end - begin).setZero();
    v.middleRows(begin, dropped.end - begin).setZero();
  }
  // A matrix without rows has no address, so no columns are taken of it.
  Matrix<S> keys(Index i) const { return k.rows() == 0 ? Matrix<S>(0, d) : Matrix<S>(k.middleCols(i * d, d)); }
  Matrix<S> values(Index i) const { return v.rows() == 0 ? Matrix<S>(0, dv) : Matrix<S>(v.middleCols(i * dv, dv)); }
};

/// The pattern that keeps the rows that were not dropped.
auto retained(fg::Range dropped) {
  return fg::where([dropped](Index, Index j) { return j < dropped.begin || j >= dropped.end; });
}

/// Compares numbers that are computed from a cache and from the model. Without dropped rows they have the same bits.
/// With dropped rows, another engine may compute the expected numbers.
template <class S>
void compare(const Matrix<S>& got, const Matrix<S>& expected, bool bits) {
  if (bits) {
    REQUIRE(test::same(got, expected));
    return;
  }
  REQUIRE(got.rows() == expected.rows());
  REQUIRE(got.cols() == expected.cols());
  Index different = 0;
  for (Index i = 0; i < got.size(); ++i) {
    const double x = got.data()[i], y = expected.data()[i];
    if (!test::same_bits(got.data()[i], expected.data()[i]) && !(std::abs(x - y) <= 2e-5 * (1 + std::abs(y))))
      ++different;
  }
  REQUIRE(different == 0);
}

template <class T, class Q, class Pipeline, class Patterns>
void check_pipeline(const fg::KeyValueCache<T>& cache, const Model<T>& model, Index i, const Q& q,
                    const Patterns& patterns, const Pipeline& rest) {
  using S = Computed<T>;
  const Matrix<S> k = model.keys(i), v = model.values(i);
  const bool bits = model.dropped.begin == model.dropped.end;
  const auto got = fg::scores(q, cache.head(i)) | patterns | rest;
  if (bits) {
    const auto expected = fg::scores(q, fg::pack(k)) | patterns | rest;  // packed: compiles the same engines
    compare<S>(got, expected, true);
    compare<S>(got * cache.values(i), expected * v, true);
    compare<S>(got * v, expected * v, true);
    compare<S>(expected * cache.values(i), expected * v, true);
  } else {
    const auto expected = fg::scores(q, fg::pack(k)) | (patterns && retained(model.dropped)) | rest;
    compare<S>(got, expected, false);
    compare<S>(got * cache.values(i), expected * v, false);
    compare<S>(got * v, expected * v, false);
  }
}

/// Returns FILIGREE_LAW_PERCENT of the number of random histories, all by default.
int histories(int number) {
  const char* text = std::getenv("FILIGREE_LAW_PERCENT");
  return text == nullptr ? number : std::max(number * std::atoi(text) / 100, 1);
}

const auto all = fg::where([](Index, Index) { return true; });

/// Checks pipelines of all engines: selection, online softmax, kept keys in panels, gathered keys, strided softmax, the
/// general evaluator, lazy rows and routers.
template <class T>
void check(const fg::KeyValueCache<T>& cache, const Model<T>& model, Random& random, int pipelines = 9) {
  using S = Computed<T>;
  REQUIRE(cache.rows() == model.k.rows());
  REQUIRE(cache.dropped() == model.dropped);
  const Index n = random.pick<Index>({0, 1, 1, 2, 4, 5, 6, 7, 33});
  const Matrix<S> q = test::normal<S>(random, n, model.d);
  const Index i = random.between(0, model.hkv - 1);
  const bool bits = model.dropped.begin == model.dropped.end;
  const Matrix<S> k = model.keys(i), v = model.values(i);
  const int first = pipelines == 9 ? 0 : static_cast<int>(random.between(0, 8));
  for (int p = first; p < first + pipelines; ++p) {
    INFO("pipeline " << p % 9 << ", n " << n << ", head " << i);
    switch (p % 9) {
      case 0: {
        if (bits) {
          compare<S>(fg::scores(q, cache.head(i)), fg::scores(q, fg::pack(k)), true);
          const auto got = fg::scores(q, cache.head(i)) | fg::softmax();
          compare<S>(got * cache.values(i), (fg::scores(q, fg::pack(k)) | fg::softmax()) * v, true);
          const auto attended = fg::attend(got, cache.values(i));
          const auto expected = fg::attend(fg::scores(q, fg::pack(k)) | fg::softmax(), v);
          REQUIRE(test::same(attended.out, expected.out));
          REQUIRE(test::same(attended.lse, expected.lse));
        } else {
          compare<S>(fg::scores(q, cache.head(i)), fg::scores(q, fg::pack(k)) | retained(model.dropped), true);
          compare<S>((fg::scores(q, cache.head(i)) | fg::softmax()) * cache.values(i),
                     (fg::scores(q, fg::pack(k)) | retained(model.dropped) | fg::softmax()) * v, false);
          compare<S>((fg::scores(q, cache.head(i)) | fg::top_k(9) | fg::softmax()) * cache.values(i),
                     (fg::scores(q, fg::pack(k)) | retained(model.dropped) | fg::top_k(9) | fg::softmax()) * v, false);
        }
        break;
      }
      case 1: check_pipeline(cache, model, i, q, all, fg::top_k(5) | fg::softmax()); break;
      case 2: check_pipeline(cache, model, i, q, fg::causal(), fg::softmax()); break;
      case 3: check_pipeline(cache, model, i, q, fg::streaming(3, 70), fg::alibi(0.1) | fg::softmax()); break;
      case 4: check_pipeline(cache, model, i, q, fg::causal(), fg::sparsemax()); break;
      case 5: check_pipeline(cache, model, i, q, fg::strided(7), fg::softmax()); break;
      case 6:  // a block that is dropped in part is pooled from the rows that remain
        if (model.dropped.begin % 16 == 0 && (model.dropped.end % 16 == 0 || model.dropped.end == model.k.rows()))
          check_pipeline(cache, model, i, q, fg::causal(), fg::block_top_k(16, 3) | fg::softmax());
        break;
      case 7: check_pipeline(cache, model, i, q, fg::causal() || fg::random(5, 3), fg::softmax()); break;
      default: check_pipeline(cache, model, i, q, fg::causal(), fg::prob_sparse(1, 2) | fg::softmax()); break;
    }
  }
}

/// Applies a random operation to a cache and its model.
template <class T>
void change(fg::KeyValueCache<T>& cache, Model<T>& model, Random& random, Index max_rows) {
  using S = Computed<T>;
  switch (random.between(0, 7)) {
    default: {
      const Index n = std::min(random.pick<Index>({0, 1, 1, 1, 3, 64, 200, 700}), max_rows - cache.rows());
      const Matrix<S> k = test::normal<S>(random, n, model.hkv * model.d),
                      v = test::normal<S>(random, n, model.hkv * model.dv);
      const test::Placed<S> placed_k(random, k), placed_v(random, v);
      if (random.chance(0.3))
        cache.append(S(2) * (S(0.5) * k), v.array());  // an expression without direct access, and an array
      else
        cache.append(placed_k.map(), placed_v.map());
      model.append(k, v);
      break;
    }
    case 4: {
      Index rows = random.between(0, cache.rows());
      if (rows > model.dropped.begin && rows < model.dropped.end) rows = model.dropped.begin;
      cache.truncate(rows);
      model.truncate(rows);
      break;
    }
    case 5: {
      Index first = random.between(0, cache.rows());
      if (random.chance(0.5)) first -= first % 16;
      cache.slide(first);
      if (first > 0) model.drop(0, first);
      break;
    }
    case 6: {
      Index sinks = random.pick<Index>({0, 1, 4, 64, 70});
      if (model.dropped.begin < model.dropped.end) sinks = std::min(sinks, model.dropped.begin);
      Index window = random.pick<Index>({0, 1, 63, 300, 900});
      if (window < cache.rows() && random.chance(0.5)) window += (cache.rows() - window) % 16;
      cache.slide(sinks, window);
      const bool between = model.dropped.begin < model.dropped.end && cache.rows() - window < model.dropped.begin;
      if (sinks + window < cache.rows() && !between) model.drop(sinks, cache.rows() - window);
      break;
    }
  }
}

}  // namespace

TEMPLATE_TEST_CASE("a cache equals the concatenated matrices", "", float, half, bfloat16) {
  using T = TestType;
  Random random(9100);
  for (int number = 0; number < 3; ++number) {
    const Index hkv = random.between(1, 3), d = random.between(0, 40), dv = random.between(0, 40);
    INFO("history " << number << ", hkv " << hkv << ", d " << d << ", dv " << dv);
    fg::KeyValueCache<T> cache(hkv, d, dv, {.capacity = random.between(0, 100)});
    Model<T> model{hkv, d, dv};
    for (int step = 0; step < 8; ++step) {
      change(cache, model, random, 4000);
      check(cache, model, random);
    }
  }
}

TEMPLATE_TEST_CASE("random histories of caches and their forks", "", float, half, bfloat16) {
  using T = TestType;
  Random random(9200);
  for (int number = 0; number < histories(1000); ++number) {
    const Index hkv = random.between(1, 2), d = random.between(1, 20), dv = random.between(1, 20);
    INFO("history " << number << ", hkv " << hkv << ", d " << d << ", dv " << dv);
    std::vector<fg::KeyValueCache<T>> caches;
    std::vector<Model<T>> models;
    caches.emplace_back(hkv, d, dv, fg::cache_options{.capacity = random.between(0, 1500)});
    models.push_back({hkv, d, dv});
    for (int step = 0; step < 10; ++step) {
      const auto at = static_cast<std::size_t>(random.between(0, static_cast<Index>(caches.size()) - 1));
      if (random.chance(0.2) && caches.size() < 4) {
        Index rows = random.between(0, caches[at].rows());
        if (rows > models[at].dropped.begin && rows < models[at].dropped.end) rows = models[at].dropped.begin;
        caches.push_back(caches[at].fork(rows));
        models.push_back(Model<T>(models[at]));
        models.back().truncate(rows);
      } else if (random.chance(0.1) && caches.size() > 1) {
        caches.erase(caches.begin() + static_cast<std::ptrdiff_t>(at));
        models.erase(models.begin() + static_cast<std::ptrdiff_t>(at));
      } else {
        change(caches[at], models[at], random, 3000);
      }
      for (std::size_t c = 0; c < caches.size(); ++c) check(caches[c], models[c], random, 1);
    }
  }
}
