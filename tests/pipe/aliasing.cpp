// SPDX-License-Identifier: MIT
// Assignment to targets that share memory with an operand.
#include <filigree/filigree.hpp>

#include "catch.hpp"
#include "inputs.hpp"

namespace fg = filigree;
using test::Index;
using test::Matrix;
using test::Random;

namespace {

constexpr Index n = 40;

struct Fixture {
  Random random{431};
  Matrix<float> q = test::normal<float>(random, n, n), k = test::normal<float>(random, n, n),
                v = test::normal<float>(random, n, n);
};
const auto pipeline = fg::causal() | fg::top_k(5) | fg::softmax();

}  // namespace

TEST_CASE("a product can be assigned to one of its operands") {
  const Fixture f;
  const Matrix<float> out = (fg::scores(f.q, f.k) | pipeline) * f.v;
  const Matrix<float> k_out = (fg::scores(f.q, f.k) | pipeline) * f.k;
  {
    Matrix<float> k = f.k;
    k = (fg::scores(f.q, k) | pipeline) * k;
    CHECK(test::same(k, k_out));
  }
  {
    Matrix<float> k = f.k;
    k.noalias() = (fg::scores(f.q, k) | pipeline) * f.v;
    CHECK(test::same(k, out));
  }
  {
    Matrix<float> q = f.q;
    q = (fg::scores(q, f.k) | pipeline) * f.v;
    CHECK(test::same(q, out));
  }
  {
    Matrix<float> v = f.v;
    v = (fg::scores(f.q, f.k) | pipeline) * v;
    CHECK(test::same(v, out));
  }
  {
    Matrix<float> v = f.v;
    v += (fg::scores(f.q, f.k) | pipeline) * v;
    CHECK(test::same(v, Matrix<float>(f.v + out)));
  }
  {
    Matrix<float> x = f.q;
    x = (fg::scores(x, x) | pipeline) * x;
    CHECK(test::same(x, Matrix<float>((fg::scores(f.q, f.q) | pipeline) * f.q)));
  }
}

TEST_CASE("a product can be assigned to a block that overlaps an operand") {
  const Fixture f;
  Matrix<float> big = Matrix<float>::Zero(n + 8, n + 8);
  big.topLeftCorner(n, n) = f.v;
  big.block(3, 2, n, n) = (fg::scores(f.q, f.k) | pipeline) * big.topLeftCorner(n, n);
  CHECK(test::same(Matrix<float>(big.block(3, 2, n, n)), Matrix<float>((fg::scores(f.q, f.k) | pipeline) * f.v)));

  Matrix<float> k = f.k;
  k.transpose() = (fg::scores(f.q, k) | pipeline) * f.v;
  CHECK(test::same(k.transpose(), Matrix<float>((fg::scores(f.q, f.k) | pipeline) * f.v)));

  Matrix<float> row = f.v;
  row.row(7) = (fg::scores(f.q, f.k) | pipeline).middleRows(30, 1) * row;
  CHECK(test::same(row.row(7), Matrix<float>((fg::scores(f.q, f.k) | pipeline) * f.v).row(30)));

  Matrix<float> wide(n, 2 * n);  // the halves share no entry, but their rows interleave in memory
  wide.leftCols(n) = f.v;
  wide.rightCols(n) = (fg::scores(f.q, f.k) | pipeline) * wide.leftCols(n);
  CHECK(test::same(Matrix<float>(wide.leftCols(n)), f.v));
  CHECK(test::same(Matrix<float>(wide.rightCols(n)), Matrix<float>((fg::scores(f.q, f.k) | pipeline) * f.v)));
}

TEST_CASE("a product can be assigned to a matrix that an operand expression reads") {
  const Fixture f;
  Matrix<float> k = f.k;
  k = (fg::scores(f.q, 2 * k) | pipeline) * (k + k);
  CHECK(test::same(k, Matrix<float>((fg::scores(f.q, 2 * f.k) | pipeline) * (f.k + f.k))));
}

TEST_CASE("a result can be assigned to an operand of a stage") {
  const Fixture f;
  Matrix<float> b = f.v;
  const Matrix<float> expected = (fg::scores(f.q, f.k) | fg::bias(f.v) | pipeline) * f.k;
  b = (fg::scores(f.q, f.k) | fg::bias(b) | pipeline) * f.k;
  CHECK(test::same(b, expected));
  Matrix<float> c = f.v;
  c = fg::scores(f.q, f.k) | fg::bias(c) | pipeline;
  CHECK(test::same(c, Matrix<float>(fg::scores(f.q, f.k) | fg::bias(f.v) | pipeline)));
  Eigen::VectorXf table = f.v.col(0).head(n - 1);
  const Eigen::VectorXf column = f.v.col(1), before = table;
  Matrix<float> once = (fg::scores(f.q, f.k) | fg::relative_bias(before) | pipeline) * column;
  table.conservativeResize(n - 1);
  Eigen::VectorXf table_out = table;
  table_out = ((fg::scores(f.q, f.k) | fg::relative_bias(table_out) | pipeline).middleRows(0, n - 1) * column);
  CHECK(test::same(table_out, once.topRows(n - 1)));
}

TEST_CASE("X = X | stage gives the same result as a separate target") {
  const Fixture f;
  Matrix<float> x = f.q;
  x = x | fg::top_k(3);
  CHECK(test::same(x, Matrix<float>(f.q | fg::top_k(3))));
  x = f.q;
  x.transpose() = x | fg::softmax();
  CHECK(test::same(x.transpose(), Matrix<float>(f.q | fg::softmax())));
  x = f.q;
  x += x | fg::relu();
  CHECK(test::same(x, Matrix<float>(f.q + Matrix<float>(f.q | fg::relu()))));
  x = f.q;
  x.topRows(n - 1) = x.bottomRows(n - 1) | fg::winner_take_all(0.5);
  CHECK(test::same(Matrix<float>(x.topRows(n - 1)), Matrix<float>(f.q.bottomRows(n - 1) | fg::winner_take_all(0.5))));
  Eigen::VectorXf y = f.q.col(0);
  y = y | fg::threshold(0.1);
  CHECK(test::same(y, (f.q.col(0).array() > 0.1F).select(f.q.col(0), 0)));
}
