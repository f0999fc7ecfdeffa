// SPDX-License-Identifier: MIT
#include <filigree/filigree.hpp>

#include "catch.hpp"
#include "inputs.hpp"

namespace fg = filigree;
using test::Index;
using test::Matrix;
using test::Random;

namespace {

template <class Sparse, class A>
void check(const A& a, const Matrix<float>& expected, Index stored) {
  Sparse w = a;
  REQUIRE(w.isCompressed());
  REQUIRE(w.nonZeros() == stored);
  REQUIRE(test::same(Matrix<float>(w), expected));
  for (Index o = 0; o < w.outerSize(); ++o) {
    Index last = -1;
    for (typename Sparse::InnerIterator e(w, o); e; ++e) {
      REQUIRE(e.index() > last);
      last = e.index();
    }
  }
  Sparse assigned(2, 2);
  assigned.insert(1, 1) = 5;
  assigned = a;
  REQUIRE(test::same(Matrix<float>(assigned), expected));
  const Sparse direct(a);
  REQUIRE(test::same(Matrix<float>(direct), expected));
}

}  // namespace

TEST_CASE("sparse targets of every storage order and index type") {
  Random random(421);
  const Matrix<float> q = test::normal<float>(random, 60, 4), k = test::normal<float>(random, 90, 4);
  const auto a = fg::scores(q, k) | fg::top_k(5) | fg::softmax();
  const Matrix<float> expected = a;
  check<Eigen::SparseMatrix<float, Eigen::RowMajor, int>>(a, expected, 300);
  check<Eigen::SparseMatrix<float, Eigen::ColMajor, int>>(a, expected, 300);
  check<Eigen::SparseMatrix<float, Eigen::RowMajor, long>>(a, expected, 300);
  check<Eigen::SparseMatrix<float, Eigen::ColMajor, long>>(a, expected, 300);
  check<Eigen::SparseMatrix<float, Eigen::RowMajor, short>>(a, expected, 300);
  check<Eigen::SparseMatrix<float, Eigen::ColMajor, short>>(a, expected, 300);
  fg::thread_pool pool(3);
  check<Eigen::SparseMatrix<float, Eigen::RowMajor>>(a.on(pool), expected, 300);
  check<Eigen::SparseMatrix<float>>(a.middleRows(7, 20), expected.middleRows(7, 20), 100);
}

TEST_CASE("large sparse targets, nearly full and nearly empty") {
  Random random(422);
  fg::thread_pool pool(3);
  for (const double t : {-9.0, -1.0, 0.5, 2.0, 9.0}) {
    Matrix<float> x = test::normal<float>(random, 700, 150);
    x.row(5).setConstant(-10);
    x.middleRows(300, 256).setConstant(-10);
    x.col(149).setConstant(-10);
    const Matrix<float> expected = (x.array() > static_cast<float>(t)).select(x, 0.0F);
    const Index stored = (x.array() > static_cast<float>(t)).count();
    CAPTURE(t);
    check<Eigen::SparseMatrix<float>>(x | fg::threshold(t), expected, stored);
    check<Eigen::SparseMatrix<float>>((x | fg::threshold(t)).on(pool), expected, stored);
    check<Eigen::SparseMatrix<float, Eigen::RowMajor>>((x | fg::threshold(t)).on(pool), expected, stored);
    const Eigen::MatrixXf by_column = x;
    check<Eigen::SparseMatrix<float>>((by_column | fg::threshold(t)).on(pool), expected, stored);
  }
}

TEST_CASE("present entries are stored even if their value is 0") {
  Matrix<float> x(2, 3);
  x << 0, -1, -0.0F, 2, 0, -3;
  const Eigen::SparseMatrix<float, Eigen::RowMajor> kept = x | fg::top_k(2);
  CHECK(kept.nonZeros() == 4);
  CHECK(kept.innerVector(0).nonZeros() == 2);
  const Eigen::SparseMatrix<float> all = x | fg::threshold(-9);
  CHECK(all.nonZeros() == 6);
  Matrix<float> distant(1, 2);
  distant << 0, -1000;
  CHECK(Eigen::SparseMatrix<float>(distant | fg::softmax()).nonZeros() == 2);    // a weight that underflows is present
  CHECK(Eigen::SparseMatrix<float>(distant | fg::sparsemax()).nonZeros() == 1);  // an exact zero is absent
}

TEST_CASE("a StorageIndex that is too small throws") {
  const Matrix<float> x = Matrix<float>::Ones(200, 200);
  using Short = Eigen::SparseMatrix<float, Eigen::RowMajor, short>;
  Short target(1, 1);
  target.insert(0, 0) = 4;
  try {
    target = x | fg::relu();
    FAIL("nothing was thrown");
  } catch (const fg::Error& error) {
    CHECK(std::string(error.what()) ==
          "filigree: Sparse = A: the StorageIndex of the target must hold 40000, its largest value is 32767");
  }
  CHECK(target.nonZeros() == 1);  // unchanged
  const Matrix<float> wide = Matrix<float>::Zero(1, 40000);
  CHECK_THROWS_AS(Short(wide | fg::top_k(1)), fg::Error);
  CHECK(Short(x.topRows(100) | fg::top_k(3)).nonZeros() == 300);
}

TEST_CASE("sparse weights times V equal A * V") {
  Random random(422);
  const Matrix<double> q = test::normal<double>(random, 12, 4), k = test::normal<double>(random, 20, 4),
                       v = test::normal<double>(random, 20, 3);
  const auto a = fg::scores(q, k) | fg::causal() | fg::top_k(5) | fg::softmax();
  const Eigen::SparseMatrix<double, Eigen::RowMajor> w = a;
  CHECK(Matrix<double>(w * v).isApprox(Matrix<double>(a * v), 1e-14));
  CHECK(Matrix<double>((fg::scores(q, k) | fg::given(w)) * v).allFinite());
  CHECK(Eigen::SparseMatrix<double>(fg::scores(q, k) | fg::given(w)).nonZeros() == w.nonZeros());
}
