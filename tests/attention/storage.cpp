// SPDX-License-Identifier: MIT
// K and V of half and bfloat16: results must be bitwise equal to those of widened copies.
#include <array>
#include <cstring>
#include <filigree/core/thread_pool.hpp>
#include <filigree/filigree.hpp>

#include "catch.hpp"
#include "inputs.hpp"

namespace fg = filigree;
using Eigen::bfloat16;
using Eigen::half;
using test::ColMatrix;
using test::Index;
using test::Matrix;
using test::Random;

namespace {

template <class S, class X>
Matrix<S> widened(const X& x) {
  Matrix<S> y(x.rows(), x.cols());
  for (Index i = 0; i < x.rows(); ++i)
    for (Index j = 0; j < x.cols(); ++j) y(i, j) = static_cast<S>(static_cast<float>(x.coeff(i, j)));
  return y;
}

template <class T>
Matrix<T> narrow(const Matrix<float>& x) {
  return x.unaryExpr([](float value) { return T(value); });
}

/// Returns random numbers, some of them with random bits, which may be NaN, infinite or subnormal.
template <class T>
Matrix<T> any_numbers(Random& random, Index rows, Index cols) {
  Matrix<T> x = narrow<T>(test::numbers<float>(random, rows, cols, test::any_kind(random)));
  const double random_bits = random.pick({0.0, 0.0, 0.001, 0.02});
  for (Index i = 0; i < rows; ++i)
    for (Index j = 0; j < cols; ++j)
      if (random.chance(random_bits))
        x(i, j) = Eigen::numext::bit_cast<T>(static_cast<std::uint16_t>(random.between(0, 65535)));
  return x;
}

/// Pipelines of the selection engine and of the online softmax engine.
const auto top = fg::causal() | fg::top_k(5) | fg::softmax();
const auto local = (fg::window(9) || fg::global({0, -1})) | fg::softmax();

/// Calls f with one pipeline for each engine and for each way in which an engine reads keys.
template <class F>
void for_each_pipeline(F&& f) {
  f(top);
  f(local);
  f(fg::causal() | fg::sparsemax());   // kept keys in panels
  f(fg::strided(7) | fg::softmax());   // gathered keys
  f(fg::softcap(2) | fg::entmax15());  // the general evaluator
}

template <class S, class Q, class K, class V, class Pipeline>
void check(const Q& q, const K& k, const V& v, const Pipeline& pipeline) {
  const Matrix<S> wide_k = widened<S>(k), wide_v = widened<S>(v);
  const Matrix<S> expected = (fg::scores(q, wide_k) | pipeline) * wide_v;
  REQUIRE(test::same(Matrix<S>((fg::scores(q, k) | pipeline) * v), expected));
  REQUIRE(test::same(Matrix<S>((fg::scores(q, k) | pipeline) * wide_v), expected));
}

/// Checks random shapes with random layouts of K and V.
template <class S, class T>
void random_cases(std::uint64_t stream, int count) {
  Random random(stream);
  for (int number = 0; number < count; ++number) {
    const Index n = test::any_size(random, 80), m = std::max<Index>(test::any_size(random, 300), 1),
                d = std::max<Index>(test::any_size(random, 140), 1), dv = test::any_size(random, 70);
    INFO("case " << number << ", n " << n << ", m " << m << ", d " << d << ", dv " << dv);
    const Matrix<S> q = test::normal<S>(random, n, d);
    const test::Placed<T> k(random, any_numbers<T>(random, m, d)), v(random, any_numbers<T>(random, m, dv));
    for_each_pipeline([&](const auto& pipeline) { check<S>(q, k.map(), v.map(), pipeline); });
  }
}

}  // namespace

TEST_CASE("half K and V with float Q") { random_cases<float, half>(471, 60); }
TEST_CASE("bfloat16 K and V with float Q") { random_cases<float, bfloat16>(472, 60); }
TEST_CASE("half K and V with double Q") { random_cases<double, half>(473, 30); }

TEST_CASE("16-bit K and V with many queries, keys and features") {
  Random random(475);
  const Matrix<float> q = test::normal<float>(random, 150, 130);
  const auto k = narrow<half>(test::normal<float>(random, 700, 130));
  const auto v = narrow<bfloat16>(test::normal<float>(random, 700, 33));
  check<float>(q, k, v, top);
  check<float>(q, k, v, local);
}

TEMPLATE_TEST_CASE("16-bit K and V of any storage order, as maps and as blocks", "", half, bfloat16) {
  using T = TestType;
  Random random(474);
  const Matrix<float> q = test::normal<float>(random, 20, 70);
  const auto k = narrow<T>(test::normal<float>(random, 90, 70)), v = narrow<T>(test::normal<float>(random, 90, 10));
  check<float>(q, ColMatrix<T>(k), ColMatrix<T>(v), top);
  check<float>(q, Eigen::Map<const Matrix<T>>(k.data(), 90, 70), Eigen::Map<const ColMatrix<T>>(v.data(), 90, 10), top);
  check<float>(q.leftCols(20), k.middleCols(3, 20), v.rightCols(7), top);
  const Matrix<T> transposed = k.transpose();
  check<float>(q, transposed.transpose(), v.array(), top);
}

TEMPLATE_TEST_CASE("16-bit K and V as expressions that are not stored in memory", "", half, bfloat16) {
  using T = TestType;
  Random random(476);
  const Matrix<float> q = test::normal<float>(random, 20, 12);
  const auto k = narrow<T>(test::normal<float>(random, 90, 12));
  const auto v = narrow<T>(test::normal<float>(random, 90, 10));
  check<float>(q, T(0.5F) * k, v + v, top);
  check<float>(q, k.colwise().reverse(), v.array().abs(), local);
  const Matrix<float> out = (fg::scores(q, k.template cast<float>()) | top) * v.template cast<float>();
  CHECK(test::same(out, Matrix<float>((fg::scores(q, k) | top) * v)));
}

TEMPLATE_TEST_CASE("16-bit K and V in pack, attend, selected, middleRows and +=", "", half, bfloat16) {
  using T = TestType;
  Random random(477);
  const Matrix<float> q = test::normal<float>(random, 70, 20);
  const auto k = any_numbers<T>(random, 130, 20), v = any_numbers<T>(random, 130, 18);
  const Matrix<float> wide_k = widened<float>(k), wide_v = widened<float>(v);
  const auto& pipeline = local;
  fg::thread_pool pool(3);
  fg::Workspace workspace;
  const Matrix<float> expected = (fg::scores(q, wide_k) | pipeline) * wide_v;
  CHECK(test::same(Matrix<float>((fg::scores(q, fg::pack(k)) | pipeline) * v), expected));
  CHECK(test::same(Matrix<float>((fg::scores(q, k) | pipeline).on(pool).with(workspace) * v), expected));
  const auto part = fg::attend(fg::scores(q, k) | pipeline, v);
  const auto wide_part = fg::attend(fg::scores(q, wide_k) | pipeline, wide_v);
  CHECK(test::same(part.out, wide_part.out));
  CHECK(test::same(part.lse, wide_part.lse));
  const auto kept = fg::selected(fg::scores(q, k) | top), wide_kept = fg::selected(fg::scores(q, wide_k) | top);
  CHECK((kept.columns.array() == wide_kept.columns.array()).all());
  CHECK(test::same(kept.weights, wide_kept.weights));
  // For a few rows, panels are packed on first use.
  CHECK(test::same(Matrix<float>((fg::scores(q, k) | pipeline).middleRows(60, 5) * v),
                   Matrix<float>((fg::scores(q, wide_k) | pipeline).middleRows(60, 5) * wide_v)));
  Matrix<float> sum = Matrix<float>::Ones(70, 18), wide_sum = sum;
  sum += (fg::scores(q, k) | top) * v;
  wide_sum += (fg::scores(q, wide_k) | top) * wide_v;
  CHECK(test::same(sum, wide_sum));
}

TEMPLATE_TEST_CASE("16-bit K and V in multi_head", "", half, bfloat16) {
  using T = TestType;
  Random random(478);
  const Matrix<float> q = test::normal<float>(random, 40, 4 * 9);
  const auto k = any_numbers<T>(random, 75, 2 * 9), v = any_numbers<T>(random, 75, 2 * 11);
  const Matrix<float> wide_k = widened<float>(k), wide_v = widened<float>(v);
  const Matrix<float> expected = fg::multi_head(fg::heads{4, 2}, q, wide_k, wide_v, top);
  CHECK(test::same(Matrix<float>(fg::multi_head(fg::heads{4, 2}, q, k, v, top)), expected));
  CHECK(test::same(Matrix<float>(fg::multi_head(fg::heads{4, 2}, q, ColMatrix<T>(k), wide_v, top)), expected));
  CHECK(test::same(Matrix<float>(fg::multi_head(fg::heads{4, 2}, q, wide_k, v.cwiseMax(v), top)), expected));
  const Matrix<double> wide_q = q.cast<double>();
  const Matrix<double> out = fg::multi_head(fg::heads{4, 2}, wide_q, k, v, top);
  CHECK(test::same(
      out, Matrix<double>(fg::multi_head(fg::heads{4, 2}, wide_q, widened<double>(k), widened<double>(v), top))));
}

TEST_CASE("16-bit K and V with sizes of 0") {
  for (const Index n : {0, 3})
    for (const Index m : {0, 70})
      for (const Index d : {0, 2})
        for (const Index dv : {0, 3}) {
          INFO("n " << n << ", m " << m << ", d " << d << ", dv " << dv);
          const Matrix<float> q = Matrix<float>::Ones(n, d);
          check<float>(q, Matrix<half>(Matrix<half>::Ones(m, d)), Matrix<half>(Matrix<half>::Ones(m, dv)), top);
        }
}

TEMPLATE_TEST_CASE("a target may share memory with 16-bit K or V", "", half, bfloat16) {
  using T = TestType;
  Random random(479);
  constexpr Index n = 32;
  const Matrix<float> q = test::normal<float>(random, n, n);
  const auto k = narrow<T>(test::normal<float>(random, 2 * n, n)), v = narrow<T>(test::normal<float>(random, 2 * n, n));
  const Matrix<float> expected = (fg::scores(q, k) | top) * v;
  const auto bytes = static_cast<std::size_t>(2 * n * n) * sizeof(T);  // size of K, of V, and of n x n floats
  for (const bool of_k : {true, false}) {
    alignas(64) static std::array<unsigned char, std::size_t(2 * n * n) * sizeof(T)> memory;
    std::memcpy(memory.data(), of_k ? k.data() : v.data(), bytes);
    const Eigen::Map<const Matrix<T>> stored(reinterpret_cast<const T*>(memory.data()), 2 * n, n);
    Eigen::Map<Matrix<float>> target(reinterpret_cast<float*>(memory.data()), n, n);
    if (of_k)
      target = (fg::scores(q, stored) | top) * v;
    else
      target = (fg::scores(q, k) | top) * stored;
    Matrix<float> got(n, n);
    std::memcpy(got.data(), memory.data(), bytes);
    CHECK(test::same(got, expected));
  }
}
