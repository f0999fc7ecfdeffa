// SPDX-License-Identifier: MIT
// NaN and infinities: in masked positions they do not change the result; elsewhere they affect only their own row.
#include <filigree/filigree.hpp>

#include "catch.hpp"
#include "general.hpp"

namespace fg = filigree;
using test::Index;
using test::Matrix;
using test::Random;

namespace {

template <class S>
constexpr S bad[] = {std::numeric_limits<S>::quiet_NaN(), std::numeric_limits<S>::infinity(),
                     -std::numeric_limits<S>::infinity()};

template <class M>
bool is_nan(const M& row) {
  for (Index f = 0; f < row.size(); ++f)
    if (row(f) == row(f)) return false;
  return true;
}

}  // namespace

TEMPLATE_TEST_CASE("NaN and Inf in masked keys and values do not change the result", "", FILIGREE_TEST_SCALARS) {
  using S = TestType;
  Random random(301);
  // The mask ends at the border of a panel, inside a panel, and covers several panels.
  for (const Index m : {5, 70, 200})
    for (const auto& pipeline :
         {fg::causal() | fg::top_k(7) | fg::softmax(), fg::causal() | fg::top_k(300) | fg::softmax()}) {
      const Index n = m / 2, clean_keys = m - n / 2;  // keys below `clean_keys` stay finite
      const Matrix<S> q = test::normal<S>(random, n, 6), k = test::normal<S>(random, m, 6),
                      v = test::normal<S>(random, m, 10);
      const Matrix<S> clean = (fg::scores(q, k) | pipeline) * v;
      for (const S poison : bad<S>) {
        Matrix<S> k2 = k, v2 = v;
        k2.bottomRows(m - clean_keys).setConstant(poison);
        v2.bottomRows(m - clean_keys).setConstant(poison);
        const auto a = fg::scores(q, k2) | pipeline;
        const Matrix<S> out = a * v2;
        const Index safe = clean_keys - (m - n);  // number of rows with a position below `clean_keys`
        REQUIRE(test::same(out.topRows(safe), clean.topRows(safe)));
        REQUIRE(test::same(Matrix<S>(test::general_product(a, v2).topRows(safe)), Matrix<S>(clean.topRows(safe))));
      }
    }
}

TEMPLATE_TEST_CASE("NaN and Inf in values of dropped keys do not change the result", "", FILIGREE_TEST_SCALARS) {
  using S = TestType;
  Random random(302);
  const Matrix<S> q = test::normal<S>(random, 3, 4), k = test::normal<S>(random, 90, 4),
                  v = test::normal<S>(random, 90, 5);
  const auto a = fg::scores(q, k) | fg::top_k(2) | fg::softmax();
  const Matrix<S> clean = a * v;
  const auto kept = fg::selected(a);
  for (const S poison : bad<S>) {
    Matrix<S> v2 = Matrix<S>::Constant(90, 5, poison);
    for (Index i = 0; i < 3; ++i)
      for (Index e = 0; e < 2; ++e) v2.row(kept.columns(i, e)) = v.row(kept.columns(i, e));
    REQUIRE(test::same(Matrix<S>(a * v2), clean));
  }
}

TEMPLATE_TEST_CASE("NaN in a query makes only its own row NaN", "", FILIGREE_TEST_SCALARS) {
  using S = TestType;
  Random random(303);
  Matrix<S> q = test::normal<S>(random, 30, 6), k = test::normal<S>(random, 100, 6),
            v = test::normal<S>(random, 100, 7);
  const auto check = [&](const auto& pipeline) {
    const Matrix<S> clean = (fg::scores(q, k) | pipeline) * v;
    for (const Index row : {0, 5, 29}) {
      Matrix<S> q2 = q;
      q2(row, 3) = std::numeric_limits<S>::quiet_NaN();
      const auto a = fg::scores(q2, k) | pipeline;
      const Matrix<S> out = a * v;
      for (Index i = 0; i < 30; ++i) REQUIRE((i == row ? is_nan(out.row(i)) : test::same(out.row(i), clean.row(i))));
      using A = std::remove_const_t<decltype(a)>;
      if (std::is_same_v<typename A::ProductEngine, typename A::Engine>)
        REQUIRE(test::same(out, test::general_product(a, v)));
    }
  };
  check(fg::top_k(5) | fg::softmax());
  check(fg::top_k(5) | fg::sparsemax());
  check(fg::top_k(5) | fg::entmax15());
  check(fg::top_k(5) | fg::normalize_sum());
  check(fg::top_k(5));
  check(fg::causal() | fg::threshold(0) | fg::softmax());
  check(fg::softcap(5) | fg::top_k(500) | fg::softmax({.sink = 1}));
  check(fg::softmax());
  check((fg::window(40) || fg::global({3})) | fg::softcap(2) | fg::softmax());
  check(fg::top_p(0.5) | fg::softmax());
  check(fg::drop_lowest(0.7) | fg::softmax());
  check(fg::hard_threshold(0.1) | fg::normalize_sum());
  check(fg::soft_threshold(0.1) | fg::softmax());
}

TEMPLATE_TEST_CASE("NaN in a key ranks highest and affects every row that attends to it", "", FILIGREE_TEST_SCALARS) {
  using S = TestType;
  Random random(304);
  Matrix<S> q = test::normal<S>(random, 80, 3), k = test::normal<S>(random, 80, 3);
  const Matrix<S> v = test::normal<S>(random, 80, 2);
  const Matrix<S> clean = (fg::scores(q, k) | fg::causal() | fg::top_k(2) | fg::softmax()) * v;
  k(66, 1) = std::numeric_limits<S>::quiet_NaN();
  const auto a = fg::scores(q, k) | fg::causal() | fg::top_k(2) | fg::softmax();
  const Matrix<S> out = a * v;
  CHECK(test::same(out.topRows(66), clean.topRows(66)));
  for (Index i = 66; i < 80; ++i) CHECK(is_nan(out.row(i)));
  const auto kept = fg::selected(fg::scores(q, k) | fg::top_k(2));
  for (Index i = 0; i < 80; ++i) CHECK(kept.columns(i, 0) == 66);
}

TEMPLATE_TEST_CASE("+Inf scores rank first and -Inf scores are absent", "", FILIGREE_TEST_SCALARS) {
  using S = TestType;
  constexpr S inf = std::numeric_limits<S>::infinity();
  Matrix<S> q(1, 1), k(4, 1), v(4, 1);
  q << 1;
  k << 1, inf, -inf, 2;
  v << 1, 10, 100, 1000;
  // +inf comes first, -inf is absent.
  const auto raw = fg::selected(fg::scores(q, k) | fg::top_k(4));
  CHECK(raw.columns(0, 0) == 1);
  CHECK(raw.columns(0, 1) == 3);
  CHECK(raw.columns(0, 2) == 0);
  CHECK(raw.columns(0, 3) == -1);
  CHECK(std::isnan(Matrix<S>((fg::scores(q, k) | fg::top_k(2) | fg::softmax()) * v)(0, 0)));
  k(1, 0) = -inf;
  const Eigen::SparseMatrix<S, Eigen::RowMajor> w = fg::scores(q, k) | fg::threshold(-1e30) | fg::softmax();
  CHECK(w.nonZeros() == 2);
  const Matrix<S> dense = fg::scores(q, k) | fg::softmax();
  CHECK(test::same_bits(dense(0, 1), S(0)));
  CHECK(test::same_bits(dense(0, 2), S(0)));
  // A score of 0 * Inf is NaN.
  q << 0;
  k << inf, 1, 1, 1;
  CHECK(std::isnan(Matrix<S>((fg::scores(q, k) | fg::top_k(1)) * v)(0, 0)));
}
