// SPDX-License-Identifier: MIT
// One pipeline with every kind of Eigen expression as Q, K and V. The results must have the same bits as with plain
// matrices.
#include <array>
#include <complex>

#include <filigree/filigree.hpp>
#include "catch.hpp"
#include "inputs.hpp"

namespace fg = filigree;
using test::ColMatrix;
using test::Index;
using test::Matrix;
using test::Random;

namespace {

template <class S>
struct Fixture {
  Random random{201};
  Index n = 13, m = 37, d = 9, dv = 11;
  Matrix<S> q = test::normal<S>(random, n, d), k = test::normal<S>(random, m, d), v = test::normal<S>(random, m, dv);
  Matrix<S> expected = (fg::scores(q, k) | fg::causal() | fg::top_k(5) | fg::softmax()) * v;

  template <class Q, class K, class V>
  void check(const Q& queries, const K& keys, const V& values) const {
    const Matrix<S> out = (fg::scores(queries, keys) | fg::causal() | fg::top_k(5) | fg::softmax()) * values;
    CHECK(test::same(out, expected));
  }
};

}  // namespace

TEMPLATE_TEST_CASE("storage orders, arrays and maps give the same bits", "", FILIGREE_TEST_SCALARS) {
  using S = TestType;
  const Fixture<S> f;
  const ColMatrix<S> q = f.q, k = f.k, v = f.v;
  f.check(q, k, v);
  f.check(f.q, k, f.v);
  f.check(q.array(), f.k.array(), v.array());
  f.check(Eigen::Map<const Matrix<S>>(f.q.data(), f.n, f.d), Eigen::Map<const ColMatrix<S>>(k.data(), f.m, f.d),
          Eigen::Map<const Matrix<S>>(f.v.data(), f.m, f.dv));
  const Eigen::Ref<const Matrix<S>> q_ref(f.q);
  const Eigen::Ref<const ColMatrix<S>> k_ref(k);
  f.check(q_ref, k_ref, Eigen::Ref<const Matrix<S>>(f.v));
  const Eigen::Ref<const Matrix<S>, 0, Eigen::Stride<Eigen::Dynamic, Eigen::Dynamic>> any(f.q);
  f.check(any, k, v);
}

TEMPLATE_TEST_CASE("blocks and strided maps give the same bits", "", FILIGREE_TEST_SCALARS) {
  using S = TestType;
  const Fixture<S> f;
  Matrix<S> big = Matrix<S>::Constant(100, 100, std::numeric_limits<S>::quiet_NaN());
  big.block(3, 5, f.n, f.d) = f.q;
  big.block(20, 17, f.m, f.d) = f.k;
  big.block(60, 50, f.m, f.dv) = f.v;
  f.check(big.block(3, 5, f.n, f.d), big.block(20, 17, f.m, f.d), big.block(60, 50, f.m, f.dv));
  f.check(std::as_const(big).middleRows(3, f.n).middleCols(5, f.d), f.k, f.v);
  const ColMatrix<S> transposed = big.transpose();
  f.check(transposed.transpose().block(3, 5, f.n, f.d), transposed.block(17, 20, f.d, f.m).transpose(), f.v);
  test::Placed<S> q(const_cast<Random&>(f.random), f.q), k(const_cast<Random&>(f.random), f.k),
      v(const_cast<Random&>(f.random), f.v);
  f.check(q.map(), k.map(), v.map());
}

TEMPLATE_TEST_CASE("expressions without storage give the same bits", "", FILIGREE_TEST_SCALARS) {
  using S = TestType;
  const Fixture<S> f;
  const Matrix<S> half = f.q / S(2), identity = Matrix<S>::Identity(f.d, f.d);
  f.check(half + half, f.k.cwiseMax(f.k), S(2) * (f.v / S(2)));
  f.check(f.q.rowwise().reverse().rowwise().reverse(), f.k.colwise().reverse().colwise().reverse(), f.v.eval());
  f.check(f.q * identity, f.k * identity, f.v);
  std::vector<Index> all(static_cast<std::size_t>(f.m));
  for (std::size_t i = 0; i < all.size(); ++i) all[i] = static_cast<Index>(i);
  f.check(f.q, f.k(all, Eigen::indexing::all), f.v(all, Eigen::indexing::all));
}

TEST_CASE("cast expressions convert between scalars") {
  const Fixture<double> f;
  const Matrix<float> q = f.q.cast<float>(), k = f.k.cast<float>(), v = f.v.cast<float>();
  const Matrix<float> expected = (fg::scores(q, k) | fg::top_k(3)) * v;
  const Matrix<float> out = (fg::scores(f.q.cast<float>(), f.k.cast<float>()) | fg::top_k(3)) * f.v.cast<float>();
  CHECK(test::same(out, expected));
  const Eigen::MatrixXcf z = Eigen::MatrixXcf::Random(4, 3);
  const Matrix<float> real = z.real();
  CHECK(test::same(Matrix<float>(z.real() | fg::relu()), Matrix<float>(real | fg::relu())));
}

TEMPLATE_TEST_CASE("fixed sizes and vectors give the same bits", "", FILIGREE_TEST_SCALARS) {
  using S = TestType;
  Random random(202);
  const Eigen::Matrix<S, 4, 3> q = test::normal<S>(random, 4, 3);
  const Eigen::Matrix<S, 7, 3, Eigen::RowMajor> k = test::normal<S>(random, 7, 3);
  const Eigen::Matrix<S, 7, 2> v = test::normal<S>(random, 7, 2);
  const Matrix<S> q_dynamic = q, k_dynamic = k, v_dynamic = v;
  const Matrix<S> expected = (fg::scores(q_dynamic, k_dynamic) | fg::top_k(2) | fg::softmax()) * v_dynamic;
  const Eigen::Matrix<S, 4, 2> out = (fg::scores(q, k) | fg::top_k(2) | fg::softmax()) * v;
  CHECK(test::same(out, expected));
  // Q as a row vector with one query.
  const Eigen::Matrix<S, 1, 3> row = q.row(2);
  const Eigen::Matrix<S, 1, 2> one = (fg::scores(row, k, {.query_at = 5}) | fg::top_k(2) | fg::softmax()) * v;
  CHECK(test::same(one, expected.row(2)));
  // V as a column vector.
  const Eigen::Matrix<S, Eigen::Dynamic, 1> column = v.col(1);
  const Eigen::Matrix<S, Eigen::Dynamic, 1> single = (fg::scores(q, k) | fg::top_k(2) | fg::softmax()) * column;
  CHECK(test::same(single, expected.col(1)));
}

TEMPLATE_TEST_CASE("a compile-time row or column vector is treated as one row", "", FILIGREE_TEST_SCALARS) {
  using S = TestType;
  Eigen::Matrix<S, 6, 1> x;
  x << S(0.9), S(0.1), S(0.8), S(0.6), S(0.2), S(0.3);
  Eigen::Matrix<S, 6, 1> y;
  y << S(0.9), 0, S(0.8), S(0.6), 0, 0;
  const Eigen::Matrix<S, Eigen::Dynamic, 1> column = x | fg::threshold(0.5);
  CHECK(test::same(column, y));
  Eigen::Matrix<S, 1, Eigen::Dynamic> row;
  row = x.transpose() | fg::threshold(0.5);
  CHECK(test::same(row, y.transpose()));
  const Eigen::Matrix<S, Eigen::Dynamic, 1> best = x | fg::top_k(1);
  CHECK(best.sum() == S(0.9));
  CHECK(best.rows() == 6);
  const Eigen::SparseMatrix<S> sparse = x | fg::top_k(2);
  CHECK(sparse.rows() == 6);
  CHECK(sparse.cols() == 1);
  CHECK(sparse.nonZeros() == 2);
  Eigen::Array<S, 6, 1> array = x.array();
  const Eigen::Matrix<S, Eigen::Dynamic, 1> from_array = array | fg::threshold(0.5);
  CHECK(test::same(from_array, y));
}
