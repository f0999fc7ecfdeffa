// SPDX-License-Identifier: MIT
// Dense matrix products: compared with a wider type, for row-major and transposed operands, and invariance to the bit.
#include <cmath>
#include <filigree/engine/matrix_product.hpp>
#include <filigree/filigree.hpp>

#include "catch.hpp"
#include "inputs.hpp"

namespace fg = filigree;
using test::Index;
using test::Matrix;
using test::Random;

namespace {

struct Serial {
  fg::Workspace workspace;
  fg::detail::Session session{{fg::ExecutorRef(fg::serial()), &workspace}};
};

template <class S>
Matrix<S> product(const fg::detail::MatrixView<S>& a, const fg::detail::MatrixView<S>& b,
                  const fg::detail::Session& session, const S* start = nullptr) {
  Matrix<S> out = Matrix<S>::Constant(a.rows, b.cols, S(-9));
  fg::detail::multiply<S>(a, b, {.data = out.data(), .stride = b.cols, .start = start}, session);
  return out;
}

}  // namespace

TEMPLATE_TEST_CASE("a matrix product agrees with a product in a wider type", "", FILIGREE_TEST_SCALARS) {
  using S = TestType;
  using Wide = std::conditional_t<std::is_same_v<S, float>, double, long double>;
  Random random(571);
  for (int number = 0; number < 120; ++number) {
    const Index n = random.between(0, 130), m = random.between(0, 150);
    const Index d = number % 10 == 0 ? random.between(1000, 5000) : random.between(0, 300);
    const Matrix<S> a = test::normal<S>(random, n, d), b = test::normal<S>(random, d, m);
    const Matrix<S> a_transposed = a.transpose(), b_transposed = b.transpose(), start = test::normal<S>(random, 1, m);
    const auto va = number % 2 == 0 ? fg::detail::view(a) : fg::detail::view(a_transposed).transposed();
    const auto vb = number % 4 < 2 ? fg::detail::view(b) : fg::detail::view(b_transposed).transposed();
    INFO("case " << number << ": " << n << " x " << d << " x " << m);
    const Matrix<S> out = product<S>(va, vb, Serial().session, start.data());
    for (Index i = 0; i < n; ++i)
      for (Index j = 0; j < m; ++j) {
        Wide sum = start(0, j), size = std::abs(sum);
        for (Index f = 0; f < d; ++f) {
          const Wide term = static_cast<Wide>(a(i, f)) * b_transposed(j, f);
          sum += term;
          size += std::abs(term);
        }
        // Each of d multiply-adds rounds once or twice, relative to the partial sum.
        const auto bound = 2 * static_cast<Wide>(d + 1) * size * std::numeric_limits<S>::epsilon();
        REQUIRE(std::abs(static_cast<Wide>(out(i, j)) - sum) <= bound);
      }
  }
}

TEMPLATE_TEST_CASE("a number of a product does not depend on the other rows and columns", "", FILIGREE_TEST_SCALARS) {
  using S = TestType;
  Random random(572);
  const Index n = 203, d = 3000, m = 151;  // several blocks of rows, panels and ranges of the inner dimension
  const Matrix<S> a = test::normal<S>(random, n, d), b = test::normal<S>(random, d, m);
  const auto va = fg::detail::view(a), vb = fg::detail::view(b);
  const Matrix<S> whole = product<S>(va, vb, Serial().session);

  for (const Index threads : {2, 3}) {
    fg::thread_pool pool(threads);
    fg::Workspace workspace;
    CHECK(test::same(product<S>(va, vb, fg::detail::Session({fg::ExecutorRef(pool), &workspace})), whole));
  }
  for (const Index i : {0, 7, 202}) {
    const Matrix<S> row = a.row(i);
    CHECK(test::same(product<S>(fg::detail::view(row), vb, Serial().session), Matrix<S>(whole.row(i))));
  }
  const Matrix<S> middle = b.middleCols(60, 11);
  CHECK(test::same(product<S>(va, fg::detail::view(middle), Serial().session), Matrix<S>(whole.middleCols(60, 11))));

  // The inner dimension in two calls; the second adds to the first.
  const Matrix<S> a1 = a.leftCols(1111), a2 = a.rightCols(d - 1111), b1 = b.topRows(1111), b2 = b.bottomRows(d - 1111);
  Matrix<S> out = product<S>(fg::detail::view(a1), fg::detail::view(b1), Serial().session);
  fg::detail::multiply<S>(fg::detail::view(a2), fg::detail::view(b2), {.data = out.data(), .stride = m, .add = true},
                          Serial().session);
  CHECK(test::same(out, whole));
}

TEMPLATE_TEST_CASE("few rows, for which b is read in place or packed in ranges, give the bits of many", "",
                   FILIGREE_TEST_SCALARS) {
  using S = TestType;
  Random random(575);
  const Matrix<S> a = test::normal<S>(random, 140, 301), b = test::normal<S>(random, 301, 272),
                  start = test::normal<S>(random, 1, 272);
  const auto va = fg::detail::view(a), vb = fg::detail::view(b);
  const Matrix<S> whole = product<S>(va, vb, Serial().session, start.data());
  for (const Index rows : {1, 2, 7, 8, 9, 12, 23, 41})
    for (const Index threads : {1, 3}) {
      fg::thread_pool pool(threads);
      fg::Workspace workspace;
      const fg::detail::Session session({fg::ExecutorRef(pool), &workspace});
      const Matrix<S> top = a.middleRows(5, rows);
      Index finished = 0;
      const auto count = [&](Index first, Index last) { finished += last - first; };
      const fg::TaskRef finish(count);
      Matrix<S> out(rows, 280);
      out.setConstant(S(7));
      fg::detail::multiply<S>(fg::detail::view(top), vb,
                              {.data = out.data(), .stride = 280, .start = start.data(), .finish = &finish}, session);
      CHECK(test::same(Matrix<S>(out.leftCols(272)), Matrix<S>(whole.middleRows(5, rows))));
      CHECK((out.rightCols(8).array() == S(7)).all());
      CHECK(finished == rows);

      // The inner dimension in two calls; the second adds to the first.
      const Matrix<S> left = top.leftCols(100), right = top.rightCols(201), upper = b.topRows(100),
                      lower = b.bottomRows(201);
      Matrix<S> sum = product<S>(fg::detail::view(left), fg::detail::view(upper), session, start.data());
      fg::detail::multiply<S>(fg::detail::view(right), fg::detail::view(lower),
                              {.data = sum.data(), .stride = 272, .add = true}, session);
      CHECK(test::same(sum, Matrix<S>(whole.middleRows(5, rows))));
    }
}

TEMPLATE_TEST_CASE("a product writes only to its target", "", FILIGREE_TEST_SCALARS) {
  using S = TestType;
  Random random(573);
  for (const Index m : {1, 15, 16, 25, 64, 70}) {
    const Matrix<S> a = test::normal<S>(random, 9, 5), b = test::normal<S>(random, 5, m);
    Matrix<S> out = Matrix<S>::Constant(11, m + 6, S(-9));
    fg::detail::multiply<S>(fg::detail::view(a), fg::detail::view(b),
                            {.data = out.data() + (m + 6) + 3, .stride = m + 6}, Serial().session);
    CHECK(test::same(Matrix<S>(out.block(1, 3, 9, m)),
                     product<S>(fg::detail::view(a), fg::detail::view(b), Serial().session)));
    out.block(1, 3, 9, m).setConstant(S(-9));
    CHECK((out.array() == S(-9)).all());
  }
}

TEMPLATE_TEST_CASE("a product calls finish once for each row, when the row is complete", "", FILIGREE_TEST_SCALARS) {
  using S = TestType;
  Random random(574);
  for (int number = 0; number < 60; ++number) {
    const Index n = random.between(1, 400), m = random.between(1, 300);  // covers both orders of packing
    const Index d = number % 5 == 0 ? random.between(4000, 6000) : random.between(0, 40);
    const Matrix<S> a = test::normal<S>(random, n, d), b = test::normal<S>(random, d, m);
    const Matrix<S> whole = product<S>(fg::detail::view(a), fg::detail::view(b), Serial().session);
    fg::thread_pool pool(random.between(1, 3));
    fg::Workspace workspace;
    Matrix<S> out = Matrix<S>::Constant(n, m, S(-9)), finished = Matrix<S>::Zero(n, m);
    const auto finish = [&](Index first, Index last) {
      finished.middleRows(first, last - first) += out.middleRows(first, last - first);
    };
    const fg::TaskRef finish_ref(finish);
    fg::detail::multiply<S>(fg::detail::view(a), fg::detail::view(b),
                            {.data = out.data(), .stride = m, .finish = &finish_ref},
                            fg::detail::Session({fg::ExecutorRef(pool), &workspace}));
    INFO("case " << number << ": " << n << " x " << d << " x " << m);
    REQUIRE(test::same(finished, whole));
  }
}
