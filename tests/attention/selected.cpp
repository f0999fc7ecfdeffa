// SPDX-License-Identifier: MIT
#include <filigree/filigree.hpp>

#include "catch.hpp"
#include "inputs.hpp"

namespace fg = filigree;
using test::Index;
using test::Matrix;
using test::Random;

TEMPLATE_TEST_CASE("selected lists entries in descending order, with ties in ascending columns", "",
                   FILIGREE_TEST_SCALARS) {
  using S = TestType;
  Matrix<S> x(3, 5);
  x << 1, 3, 3, 2, 3,      //
      -1, -2, -1, -2, -1,  //
      0, 0, 0, 0, 0;
  const auto [columns, weights] = fg::selected(x | fg::top_k(4));
  Matrix<S> values(3, 4);
  Eigen::Matrix<Index, 3, 4> expected;
  expected << 1, 2, 4, 3, 0, 2, 4, 1, 0, 1, 2, 3;
  values << 3, 3, 3, 2, -1, -1, -1, -2, 0, 0, 0, 0;
  CHECK(columns == expected);
  CHECK(weights == values);
}

TEMPLATE_TEST_CASE("selected pads rows with fewer entries with -1 and 0", "", FILIGREE_TEST_SCALARS) {
  using S = TestType;
  Random random(321);
  const Matrix<S> q = test::normal<S>(random, 5, 3), k = test::normal<S>(random, 5, 3);
  const auto [columns, weights] = fg::selected(fg::scores(q, k) | fg::causal() | fg::top_k(3) | fg::softmax());
  CHECK(columns.cols() == 3);
  CHECK(columns(0, 0) == 0);
  CHECK(columns(0, 1) == -1);
  CHECK(columns(0, 2) == -1);
  CHECK(weights(0, 0) == S(1));
  CHECK(weights(0, 1) == S(0));
  CHECK(columns(1, 2) == -1);
  for (Index i = 0; i < 5; ++i) CHECK(std::abs(weights.row(i).sum() - 1) < 8 * std::numeric_limits<S>::epsilon());
}

TEST_CASE("the width of selected is min(k, m) of the last top_k, or the longest row") {
  Matrix<float> x(2, 4);
  x << 1, 2, 3, 4, -1, -2, 3, -4;
  CHECK(fg::selected(x | fg::top_k(9)).columns.cols() == 4);
  CHECK(fg::selected(x | fg::top_k(3) | fg::top_k(2)).columns.cols() == 2);
  CHECK(fg::selected(x | fg::top_k(3) | fg::softmax() | fg::threshold(0.9)).columns.cols() == 3);
  CHECK(fg::selected(x | fg::threshold(0)).columns.cols() == 4);
  CHECK(fg::selected(x | fg::threshold(2.5)).columns.cols() == 2);
}

TEMPLATE_TEST_CASE("selected lists NaN first, also with middleRows", "", FILIGREE_TEST_SCALARS) {
  using S = TestType;
  constexpr S nan = std::numeric_limits<S>::quiet_NaN(), inf = std::numeric_limits<S>::infinity();
  Matrix<S> x(3, 5);
  x << 0, 0, 0, 0, 0,       //
      1, nan, inf, nan, 2,  //
      0, 0, 0, 0, 0;
  const auto kept = fg::selected((x | fg::top_k(4)).middleRows(1, 1));
  REQUIRE(kept.columns.rows() == 1);
  Eigen::Matrix<Index, 1, 4> expected;
  expected << 1, 3, 2, 4;
  CHECK(kept.columns == expected);
}

TEMPLATE_TEST_CASE("selected agrees with the sparse weights", "", FILIGREE_TEST_SCALARS) {
  using S = TestType;
  Random random(322);
  fg::thread_pool pool(3);
  const Matrix<S> q = test::normal<S>(random, 40, 8), k = test::normal<S>(random, 150, 8);
  const auto a = fg::scores(q, k) | fg::top_k(6) | fg::softmax();
  const auto kept = fg::selected(a.on(pool));
  const Eigen::SparseMatrix<S, Eigen::RowMajor> w = a;
  CHECK(w.nonZeros() == 240);
  for (Index i = 0; i < 40; ++i)
    for (Index e = 0; e < 6; ++e) {
      CHECK(test::same_bits(w.coeff(i, kept.columns(i, e)), kept.weights(i, e)));
      if (e > 0) CHECK(kept.weights(i, e - 1) >= kept.weights(i, e));
    }
}
