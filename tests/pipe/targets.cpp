// SPDX-License-Identifier: MIT
// Assignment of A and A * V to dense targets of every kind.
#include <filigree/filigree.hpp>

#include "catch.hpp"
#include "inputs.hpp"

namespace fg = filigree;
using test::ColMatrix;
using test::Index;
using test::Matrix;
using test::Random;

namespace {

struct Fixture {
  using S = float;
  Random random{401};
  Matrix<S> q = test::normal<S>(random, 5, 4), k = test::normal<S>(random, 8, 4), v = test::normal<S>(random, 8, 3);
  Matrix<S> b = test::normal<S>(random, 5, 3), w = test::normal<S>(random, 3, 6);
  Matrix<S> out = (fg::scores(q, k) | fg::top_k(3) | fg::softmax()) * v;
  Matrix<S> weights = fg::scores(q, k) | fg::top_k(3) | fg::softmax();
  auto a() const { return fg::scores(q, k) | fg::top_k(3) | fg::softmax(); }
};

float total(const Eigen::Ref<const Eigen::MatrixXf>& x) { return x.sum(); }
float total_of_matrix(const Eigen::MatrixXf& x) { return x.sum(); }

}  // namespace

TEST_CASE("products support =, += and -= for every writable expression with memory") {
  const Fixture f;
  const auto a = f.a();
  const auto check = [&](auto&& target) {
    target.setConstant(2);
    target = a * f.v;
    CHECK(test::same(target, f.out));
    target.setConstant(2);
    target += a * f.v;
    CHECK(test::same(target, Matrix<float>(2 + f.out.array())));
    target.setConstant(2);
    target -= a * f.v;
    CHECK(test::same(target, Matrix<float>(2 - f.out.array())));
    target.noalias() = a * f.v;
    CHECK(test::same(target, f.out));
    target.noalias() += a * f.v;
    CHECK(test::same(target, Matrix<float>(f.out + f.out)));
  };
  Matrix<float> rows(5, 3);
  ColMatrix<float> columns(5, 3);
  Eigen::Matrix<float, 5, 3> fixed;
  Matrix<float> big(20, 20);
  float memory[200];
  check(rows);
  check(columns);
  check(fixed);
  check(big.block(3, 4, 5, 3));
  check(big.block<5, 3>(1, 1));
  check(big.transpose().block(3, 4, 5, 3));
  check(Eigen::Map<Matrix<float>>(memory, 5, 3));
  check(Eigen::Map<ColMatrix<float>, 0, Eigen::Stride<Eigen::Dynamic, Eigen::Dynamic>>(memory + 1, 5, 3, {20, 3}));
  check(Eigen::Ref<ColMatrix<float>>(columns));
  check(Eigen::Ref<Matrix<float>, 0, Eigen::OuterStride<>>(rows));
  Matrix<float> wide(3, 5);
  check(wide.transpose());
}

TEST_CASE("products can be assigned to views without direct access") {
  const Fixture f;
  Matrix<float> big = Matrix<float>::Constant(9, 9, 7);
  const std::vector<Index> rows{8, 0, 3, 5, 1}, columns{2, 7, 4};
  big(rows, columns) = f.a() * f.v;
  CHECK(test::same(Matrix<float>(big(rows, columns)), f.out));
  CHECK(big.sum() == Approx(f.out.sum() + 7 * (81 - 15)));
  big.rowwise().reverse().topLeftCorner(5, 3) = f.a() * f.v;
  CHECK(test::same(Matrix<float>(big.rowwise().reverse().topLeftCorner(5, 3)), f.out));
}

TEST_CASE("products can be assigned to rows, columns and vectors") {
  const Fixture f;
  Matrix<float> rows = Matrix<float>::Zero(5, 3);
  for (Index i = 0; i < 5; ++i) rows.row(i) = f.a().middleRows(i, 1) * f.v;
  CHECK(test::same(rows, f.out));
  Eigen::MatrixXf columns(5, 3);
  for (Index j = 0; j < 3; ++j) columns.col(j) = f.a() * f.v.col(j);
  CHECK(test::same(columns, f.out));
  Eigen::RowVectorXf one;
  one = f.a().middleRows(2, 1) * f.v;
  CHECK(test::same(one, f.out.row(2)));
  Eigen::VectorXf column;  // a column vector accepts a row, as in Eigen
  column = f.a().middleRows(2, 1) * f.v;
  CHECK(test::same(column, f.out.row(2).transpose()));
  columns.row(1) += f.a().middleRows(1, 1) * f.v;
  CHECK(test::same(columns.row(1), 2 * f.out.row(1)));
}

TEST_CASE("resizable targets are resized") {
  const Fixture f;
  Matrix<float> rows;
  rows = f.a() * f.v;
  CHECK(test::same(rows, f.out));
  Eigen::MatrixXf columns(1, 1);
  columns = f.a() * f.v;
  CHECK(test::same(columns, f.out));
  Eigen::Matrix<float, 5, Eigen::Dynamic> half;
  half = f.a() * f.v;
  CHECK(test::same(half, f.out));
  Eigen::Matrix<float, Eigen::Dynamic, Eigen::Dynamic, 0, 6, 6> bounded;
  bounded = f.a() * f.v;
  CHECK(test::same(bounded, f.out));
}

TEST_CASE("products support direct and copy initialization, function arguments and auto") {
  const Fixture f;
  const auto a = f.a();
  const Matrix<float> copy = a * f.v;
  const Matrix<float> direct(a * f.v);
  const Eigen::MatrixXf columns{a * f.v};
  const Eigen::Matrix<float, 5, 3> fixed = a * f.v;
  CHECK(test::same(copy, f.out));
  CHECK(test::same(direct, f.out));
  CHECK(test::same(columns, f.out));
  CHECK(test::same(fixed, f.out));
  CHECK(total(a * f.v) == Eigen::MatrixXf(f.out).sum());
  CHECK(total_of_matrix(a * f.v) == Eigen::MatrixXf(f.out).sum());
  CHECK(total_of_matrix(a) == Eigen::MatrixXf(f.weights).sum());
  const auto lazy = a * f.v;
  CHECK(test::same(lazy.eval(), f.out));
  CHECK(lazy.rows() == 5);
  CHECK(lazy.cols() == 3);
  CHECK(a.rows() == 5);
  CHECK(a.cols() == 8);
}

TEST_CASE("weights can be assigned to dense targets") {
  const Fixture f;
  const auto a = f.a();
  const Matrix<float> rows = a;
  const Eigen::MatrixXf columns(a);
  Eigen::Matrix<float, 5, 8> fixed;
  fixed = a;
  CHECK(test::same(rows, f.weights));
  CHECK(test::same(columns, f.weights));
  CHECK(test::same(fixed, f.weights));
  Matrix<float> big = Matrix<float>::Constant(12, 12, 3);
  big.block(1, 2, 5, 8) = a;
  CHECK(test::same(Matrix<float>(big.block(1, 2, 5, 8)), f.weights));
  big.block(1, 2, 5, 8) += a;
  CHECK(test::same(Matrix<float>(big.block(1, 2, 5, 8)), Matrix<float>(2 * f.weights)));
  big.block(1, 2, 5, 8) -= a;
  CHECK(test::same(Matrix<float>(big.block(1, 2, 5, 8)), f.weights));
  CHECK(big(0, 0) == 3);
  CHECK(test::same(Matrix<float>(a.middleRows(1, 3)), Matrix<float>(f.weights.middleRows(1, 3))));
  CHECK(test::same(Matrix<float>(a.middleRows(1, 3).middleRows(1, 2)), Matrix<float>(f.weights.middleRows(2, 2))));
  CHECK(test::same(Matrix<float>(a.middleRows(1, 3) * f.v), Matrix<float>(f.out.middleRows(1, 3))));
  CHECK(Matrix<float>(a.middleRows(5, 0)).rows() == 0);
}
