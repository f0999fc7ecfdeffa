// SPDX-License-Identifier: MIT
// batch_top_k keeps the same entries of a large batch in a network as of a matrix, for any distribution of the values.
// The estimated bound, which avoids listing most entries, may be far off.
#include <filigree/filigree.hpp>

#include "catch.hpp"
#include "inputs.hpp"

namespace fg = filigree;
using test::Index;
using test::Matrix;
using test::Random;

namespace {

template <class S>
void check(const Matrix<S>& z, Index k) {
  INFO(z.rows() << " x " << z.cols() << ", k = " << k);
  const Eigen::SparseMatrix<S, Eigen::RowMajor> expected = z | fg::batch_top_k(k);
  fg::detail::BatchChoice<S> choice;
  fg::Activations<S> activations;
  activations.set_view(z.rows(), z.cols(), z.data());
  const fg::Grid grid = {.n = z.rows(), .m = z.cols()};
  Matrix<S> memory(1, z.cols() + fg::Row<S>::padding);
  std::vector<fg::Column> columns(static_cast<std::size_t>(memory.size()));
  fg::RowScratch scratch;
  for (int repeat = 0; repeat < 2; ++repeat) {
    const fg::RowList<S>& list = choice.choose(fg::batch_top_k(k), activations, grid, [&](Index i) -> fg::Row<S> {
      Index count = 0;
      for (Index j = 0; j < z.cols(); ++j) {
        memory(0, count) = z(i, j);
        columns[static_cast<std::size_t>(count)] = static_cast<fg::Column>(j);
        count += z(i, j) == -std::numeric_limits<S>::infinity() ? 0 : 1;
      }
      return {.grid = grid,
              .index = i,
              .values = memory.data(),
              .columns = columns.data(),
              .count = count,
              .scratch = scratch};
    });
    REQUIRE(list.count() == expected.nonZeros());
    std::size_t e = 0;
    bool same = true;
    for (Index i = 0; i < z.rows(); ++i) {
      same = same && list.start[static_cast<std::size_t>(i)] == static_cast<Index>(e);
      for (typename Eigen::SparseMatrix<S, Eigen::RowMajor>::InnerIterator it(expected, i); it; ++it, ++e)
        same = same && list.columns[e] == it.col() &&
               (list.values[e] == it.value() || (it.value() != it.value() && list.values[e] != list.values[e]));
    }
    REQUIRE(same);
  }
}

}  // namespace

TEMPLATE_TEST_CASE("batch_top_k keeps the same entries of a large batch in a network as of a matrix", "", float,
                   double) {
  using S = TestType;
  Random random(771);
  const Index n = 160, m = 512;
  Matrix<S> z = test::normal<S>(random, n, m);
  for (const Index k : {1, 3, 32, 500, 511, 512, 600}) check<S>(z, k);
  check<S>(Matrix<S>::Constant(n, m, S(2)), 5);                                      // all values tie
  check<S>((z.array() * 2).round().matrix(), 20);                                    // many values tie
  check<S>(Matrix<S>::Constant(n, m, -std::numeric_limits<S>::infinity()), 3);       // all entries are absent
  check<S>((z.array() > S(2.5)).select(std::numeric_limits<S>::quiet_NaN(), z), 3);  // NaN ranks highest
  check<S>(Matrix<S>::Constant(n, m, std::numeric_limits<S>::quiet_NaN()), 3);       // all values are NaN
  Matrix<S> hidden = -z.cwiseAbs();  // large values that the sample of the estimate misses
  for (Index e = 0; e < hidden.size(); ++e)
    if (e % 5 != 0) hidden.data()[e] = S(1) + static_cast<S>(e % 97);
  for (const Index k : {1, 10, 100}) check<S>(hidden, k);
  check<S>(-hidden, 10);  // large values only where the sample looks
  check<S>(z.topRows(1), 7);
}
