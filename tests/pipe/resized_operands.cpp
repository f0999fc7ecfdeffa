// SPDX-License-Identifier: MIT
// A lazy expression uses the shapes that its operands have at evaluation, and throws if they do not fit.
#include <filigree/filigree.hpp>

#include "catch.hpp"
#include "inputs.hpp"

namespace fg = filigree;
using test::Index;
using Matrix = test::Matrix<float>;

namespace {

Matrix normal(Index rows, Index cols) {
  static test::Random random(3001);
  return test::normal<float>(random, rows, cols);
}

/// Checks that the assignment of `expression` throws and does not change the target.
template <class Expression>
void refuses(const Expression& expression, const std::string& message) {
  Matrix target = Matrix::Constant(3, 2, 7);
  const Matrix before = target;
  CHECK_THROWS_WITH(target = expression, "filigree: " + message);
  CHECK(target == before);
}

}  // namespace

TEST_CASE("scores and products follow the shapes of their operands") {
  Matrix q = normal(20, 8), k = normal(30, 8), v = normal(30, 5);
  const auto a = fg::scores(q, k) | fg::causal() | fg::top_k(4) | fg::softmax();
  const auto product = a * v;
  const auto check = [&] {
    const auto fresh = fg::scores(q, k) | fg::causal() | fg::top_k(4) | fg::softmax();
    CHECK(Matrix(a) == Matrix(fresh));
    CHECK(Matrix(product) == Matrix(fresh * v));
    CHECK(Matrix(product + product) == Matrix(2 * Matrix(fresh * v)));
    CHECK(fg::attend(a, v).out == fg::attend(fresh, v).out);
    CHECK(fg::selected(a).columns == fg::selected(fresh).columns);
    CHECK((a.rows() == q.rows() && a.cols() == k.rows() && product.rows() == q.rows() && product.cols() == v.cols()));
    const Eigen::SparseMatrix<float> sparse = a;
    CHECK((sparse.rows() == q.rows() && sparse.cols() == k.rows()));
  };
  check();
  q = normal(2, 8);
  check();
  k = normal(400, 8), v = normal(400, 3);
  check();
  q = normal(50, 16), k = normal(10, 16), v = normal(10, 3);  // also changes the scale, 1 / sqrt(d)
  check();

  const std::string other_width = "scores(Q, K): Q.cols() = 4 must equal K.cols() = 16";
  q = normal(2, 4);
  refuses(a, other_width);
  refuses(product, other_width);
  refuses(2 * product, other_width);
  CHECK_THROWS_WITH(fg::attend(a, v), contains(other_width));
  CHECK_THROWS_WITH(fg::selected(a), contains(other_width));
  Eigen::SparseMatrix<float> sparse(3, 3);
  sparse.insert(1, 2) = 5;
  CHECK_THROWS_WITH(sparse = a, contains(other_width));
  CHECK((sparse.rows() == 3 && sparse.coeff(1, 2) == 5));

  q = normal(2, 16), v = normal(9, 3);
  refuses(product, "A * V: V.rows() = 9 must equal A.cols() = 10");
  CHECK_THROWS_WITH(fg::attend(a, v), contains("V.rows() = 9 must equal A.cols() = 10"));
}

TEST_CASE("middleRows throws if its rows no longer exist") {
  Matrix q = normal(20, 8), k = normal(30, 8), v = normal(30, 5);
  const auto rows = (fg::scores(q, k) | fg::softmax()).middleRows(15, 5);
  CHECK(rows.rows() == 5);
  q = normal(25, 8);
  CHECK(Matrix(rows * v) == Matrix((fg::scores(q, k) | fg::softmax()).middleRows(15, 5) * v));
  q = normal(19, 8);
  refuses(rows, "A.middleRows(first, count): rows 15 to 20 must be within the 19 rows that A has now");
  refuses(rows * v, "A.middleRows(first, count): rows 15 to 20 must be within the 19 rows that A has now");
}

TEST_CASE("stages follow the shapes of a bias, a sparse pattern and a table") {
  Matrix q = normal(6, 8), k = normal(9, 8), v = normal(9, 5), b = normal(6, 9);
  Eigen::VectorXf table = normal(5, 1);
  Eigen::SparseMatrix<float, Eigen::RowMajor> s = b.sparseView();
  const auto biased = fg::scores(q, k) | fg::bias(b) | fg::softmax();
  const auto given = fg::scores(q, k) | fg::given(s) | fg::softmax();
  const auto relative = fg::scores(q, k) | fg::relative_bias(table) | fg::softmax();
  b = normal(5, 9), s = b.sparseView(), table = normal(4, 1);
  refuses(biased * v, "bias(B): B is 5x9 and must have the shape of the scores, 6x9");
  refuses(given * v, "given(S): S is 5x9 and must have the shape of the scores, 6x9");
  refuses(relative, "relative_bias(table): the table must have an odd size 2r+1, got 4");
  q = normal(5, 8), table = normal(7, 1);
  CHECK(Matrix(biased * v) == Matrix((fg::scores(q, k) | fg::bias(b) | fg::softmax()) * v));
  CHECK(Matrix(given * v) == Matrix((fg::scores(q, k) | fg::given(s) | fg::softmax()) * v));
  CHECK(Matrix(relative) == Matrix(fg::scores(q, k) | fg::relative_bias(table) | fg::softmax()));
}

TEST_CASE("dense sources and multi_head follow the shapes of their operands") {
  Matrix x = normal(4, 10);
  const auto best = x | fg::top_k(3);
  x = normal(7, 100);
  CHECK(Matrix(best) == Matrix(x | fg::top_k(3)));
  x = normal(1, 2);
  CHECK(Matrix(best) == Matrix(x | fg::top_k(3)));

  Matrix q = normal(6, 8), k = normal(9, 4), v = normal(9, 6);
  const auto heads = fg::multi_head(fg::heads{2, 1}, q, k, v, fg::softmax());
  q = normal(3, 16), k = normal(20, 8), v = normal(20, 2);
  CHECK(Matrix(heads) == Matrix(fg::multi_head(fg::heads{2, 1}, q, k, v, fg::softmax())));
  v = normal(21, 2);
  refuses(heads, "multi_head(heads, Q, K, V, ...): V.rows() = 21 must equal K.rows() = 20");
  q = normal(3, 7), v = normal(20, 2);
  refuses(heads, "multi_head(heads, Q, K, V, ...): Q.cols() = 7 must be a multiple of h = 2");
}
