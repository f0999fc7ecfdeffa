// SPDX-License-Identifier: MIT
// Matrices with sizes of 0.
#include <filigree/filigree.hpp>

#include "catch.hpp"
#include "inputs.hpp"

namespace fg = filigree;
using test::Index;
using test::Matrix;
using test::Random;

namespace {

template <class M>
bool positive_zero(const M& x) {
  for (Index i = 0; i < x.rows(); ++i)
    for (Index j = 0; j < x.cols(); ++j)
      if (x(i, j) != 0 || std::signbit(x(i, j))) return false;
  return true;
}

}  // namespace

TEMPLATE_TEST_CASE("any of n, m, d and dv may be 0", "", FILIGREE_TEST_SCALARS) {
  using S = TestType;
  Random random(313);
  for (const Index n : {0, 1, 3})
    for (const Index m : {0, 1, 5, 70})
      for (const Index d : {0, 2})
        for (const Index dv : {0, 1, 4}) {
          INFO("n " << n << ", m " << m << ", d " << d << ", dv " << dv);
          const Matrix<S> q = test::normal<S>(random, n, d), k = test::normal<S>(random, m, d),
                          v = test::normal<S>(random, m, dv);
          const auto check = [&](const auto& a) {
            const Matrix<S> out = a * v, weights = a;
            REQUIRE(out.rows() == n);
            REQUIRE(out.cols() == dv);
            REQUIRE(weights.cols() == m);
            if (m == 0) REQUIRE(positive_zero(out));
            REQUIRE(Eigen::SparseMatrix<S>(a).rows() == n);
            REQUIRE(fg::selected(a).columns.rows() == n);
          };
          check(fg::scores(q, k) | fg::top_k(2) | fg::softmax());
          check(fg::scores(q, k) | fg::causal() | fg::threshold(-1) | fg::softmax());
          check(fg::scores(q, fg::pack(k)) | fg::softmax());
          check(fg::scores(q, k));
          const auto [out, lse] = fg::attend(fg::scores(q, k) | fg::top_k(2) | fg::softmax(), v);
          REQUIRE(out.rows() == n);
          REQUIRE(lse.size() == n);
          if (m == 0) REQUIRE((lse.array() == -std::numeric_limits<S>::infinity()).all());
          const Matrix<S> heads =
              fg::multi_head(fg::heads{2}, test::normal<S>(random, n, 2 * d), test::normal<S>(random, m, 2 * d),
                             test::normal<S>(random, m, 2 * dv), fg::top_k(2) | fg::softmax());
          REQUIRE(heads.rows() == n);
          REQUIRE(heads.cols() == 2 * dv);
        }
}

TEMPLATE_TEST_CASE("without features all scores are 0, so the lowest keys win the ties", "", FILIGREE_TEST_SCALARS) {
  using S = TestType;
  const Matrix<S> q(3, 0), k(100, 0);
  const auto kept = fg::selected(fg::scores(q, k) | fg::top_k(3) | fg::softmax());
  for (Index i = 0; i < 3; ++i)
    for (Index e = 0; e < 3; ++e) {
      CHECK(kept.columns(i, e) == e);
      CHECK(kept.weights(i, e) == S(1) / S(3));
    }
  const Matrix<S> empty_x(0, 4), narrow_x(4, 0);
  CHECK(Matrix<S>(empty_x | fg::top_k(2)).rows() == 0);
  CHECK(Matrix<S>(narrow_x | fg::softmax()).rows() == 4);
  CHECK(Eigen::SparseMatrix<S>(narrow_x | fg::batch_top_k(2)).nonZeros() == 0);
  CHECK(Eigen::SparseMatrix<S>(empty_x | fg::winner_take_all(0.5)).nonZeros() == 0);
  CHECK(Eigen::SparseMatrix<S>(empty_x | fg::prune_magnitude(0.5)).nonZeros() == 0);
}
