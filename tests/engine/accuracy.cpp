// SPDX-License-Identifier: MIT
// For the same kept entries, the error of A * V is at most 1.5 times the error of a plain implementation in the same
// precision, plus a few eps of the largest value. The reference is computed in long double.
#include <cmath>
#include <filigree/filigree.hpp>

#include "catch.hpp"
#include "inputs.hpp"

namespace fg = filigree;
using test::Index;
using test::Matrix;
using test::Random;

namespace {

enum class Normalizer { softmax, sink, sparsemax, entmax15, normalize_sum, none };

constexpr double sink = 0.25;

/// Returns the normalized weights of one row, by a plain implementation in T.
template <class T>
std::vector<T> plain(std::vector<T> s, Normalizer normalizer) {
  if (s.empty()) return s;
  const T top = *std::max_element(s.begin(), s.end());
  if (normalizer == Normalizer::softmax || normalizer == Normalizer::sink) {
    const T high = normalizer == Normalizer::sink ? std::max(top, T(sink)) : top;
    T sum = normalizer == Normalizer::sink ? std::exp(T(sink) - high) : T(0);
    for (T& x : s) sum += x = std::exp(x - high);
    for (T& x : s) x /= sum;
  } else if (normalizer == Normalizer::sparsemax) {
    std::vector<T> z = s;
    std::sort(z.begin(), z.end(), std::greater<>());
    T sum = 0, tau = 0;
    for (std::size_t k = 0; k < z.size(); ++k) {
      sum += z[k];
      if (1 + static_cast<T>(k + 1) * z[k] > sum) tau = (sum - 1) / static_cast<T>(k + 1);
    }
    for (T& x : s) x = std::max(x - tau, T(0));
  } else if (normalizer == Normalizer::entmax15) {
    for (T& x : s) x = (x - top) / 2;
    std::vector<T> z = s;
    std::sort(z.begin(), z.end(), std::greater<>());
    T sum = 0, squares = 0, tau = 0;
    for (std::size_t k = 0; k < z.size(); ++k) {
      const T count = static_cast<T>(k + 1);
      sum += z[k];
      squares += z[k] * z[k];
      const T mean = sum / count, spread = count * (squares / count - mean * mean);
      if (spread > 1) break;
      const T t = mean - std::sqrt((1 - spread) / count);
      if (t <= z[k]) tau = t;
    }
    for (T& x : s) x = std::max(x - tau, T(0)) * std::max(x - tau, T(0));
  } else if (normalizer == Normalizer::normalize_sum) {
    T sum = 0;
    for (const T x : s) sum += x;
    for (T& x : s) x /= sum;
  }
  return s;
}

/// Returns one row of A * V over the kept columns, computed in T.
template <class T, class Q, class K, class V>
std::vector<T> plain_row(const Q& q, const K& k, const V& v, T scale, const std::vector<Index>& kept,
                         Normalizer normalizer) {
  std::vector<T> s;
  for (const Index c : kept) {
    T sum = 0;
    for (Index f = 0; f < q.size(); ++f) sum += T(q(f)) * T(k(c, f));
    s.push_back(sum * scale);
  }
  s = plain(s, normalizer);
  std::vector<T> out(static_cast<std::size_t>(v.cols()), T(0));
  for (std::size_t e = 0; e < kept.size(); ++e)
    for (std::size_t f = 0; f < out.size(); ++f) out[f] += s[e] * T(v(kept[e], static_cast<Index>(f)));
  return out;
}

template <class S, class Stage>
void check(Normalizer normalizer, const Stage& stage, std::uint64_t stream) {
  Random random(stream);
  long double worst = 0, ours_total = 0, plain_total = 0;
  for (int number = 0; number < 40; ++number) {
    const Index n = 12, m = random.between(20, 200), d = random.between(1, 80), dv = 9, count = random.between(2, 60);
    const auto kind = random.pick({test::Kind::normal, test::Kind::normal, test::Kind::low_rank, test::Kind::integers});
    Matrix<S> q = test::numbers<S>(random, n, d, kind), k = test::numbers<S>(random, m, d, kind);
    const Matrix<S> v = test::normal<S>(random, m, dv);
    if (normalizer == Normalizer::normalize_sum) {  // terms of one sign, so that the sum is well-conditioned
      q = q.cwiseAbs();
      k = k.cwiseAbs();
    }
    const double scale = 1 / std::sqrt(static_cast<double>(d));
    const auto raw = fg::scores(q, k) | fg::top_k(count);
    const Eigen::SparseMatrix<S, Eigen::RowMajor> kept = raw;
    const Matrix<S> out = (raw | stage) * v;
    long double ours = 0, theirs = 0, largest = 0;
    for (Index i = 0; i < n; ++i) {
      std::vector<Index> columns;
      for (typename Eigen::SparseMatrix<S, Eigen::RowMajor>::InnerIterator e(kept, i); e; ++e)
        columns.push_back(e.col());
      const auto truth = plain_row<long double>(q.row(i), k, v, static_cast<S>(scale), columns, normalizer);
      const auto simple = plain_row<S>(q.row(i), k, v, static_cast<S>(scale), columns, normalizer);
      for (std::size_t f = 0; f < truth.size(); ++f) {
        ours = std::max(ours, std::abs(out(i, static_cast<Index>(f)) - truth[f]));
        theirs = std::max(theirs, std::abs(simple[f] - truth[f]));
        largest = std::max(largest, std::abs(truth[f]));
      }
    }
    const long double floor =
        4 * static_cast<long double>(std::numeric_limits<S>::epsilon()) * std::max<long double>(largest, 1);
    INFO("case " << number << ", m " << m << ", d " << d << ", k " << count << ": ours " << static_cast<double>(ours)
                 << ", plain " << static_cast<double>(theirs) << ", largest value " << static_cast<double>(largest));
    CHECK(ours <= 1.5L * theirs + floor);
    worst = std::max(worst, ours / (1.5L * theirs + floor));
    ours_total += ours;
    plain_total += theirs;
  }
  std::printf("%s: error / error of the plain implementation %.2f, largest fraction of the bound %.2f\n",
              sizeof(S) == 4 ? "float" : "double", static_cast<double>(ours_total / plain_total),
              static_cast<double>(worst));
}

}  // namespace

TEMPLATE_TEST_CASE("softmax is as accurate as a plain implementation", "", FILIGREE_TEST_SCALARS) {
  check<TestType>(Normalizer::softmax, fg::softmax(), 521);
  check<TestType>(Normalizer::sink, fg::softmax({.sink = sink}), 522);
}
TEMPLATE_TEST_CASE("sparsemax and entmax15 are as accurate as plain implementations", "", FILIGREE_TEST_SCALARS) {
  check<TestType>(Normalizer::sparsemax, fg::sparsemax(), 523);
  check<TestType>(Normalizer::entmax15, fg::entmax15(), 524);
}
TEMPLATE_TEST_CASE("normalize_sum and raw scores are as accurate as plain implementations", "", FILIGREE_TEST_SCALARS) {
  check<TestType>(Normalizer::normalize_sum, fg::normalize_sum(), 525);
  check<TestType>(Normalizer::none, fg::top_k(1000), 526);
}
