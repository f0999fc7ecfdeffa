// SPDX-License-Identifier: MIT
// Each pattern against its line in the table, written out; its errors; how it holds what it was given.
#include <array>
#include <cmath>
#include <limits>
#include <span>
#include <vector>

#include "catch.hpp"
#include "filigree/pattern/pattern.hpp"

namespace fg = filigree;
using Eigen::Index;
using fg::Grid;

namespace {

constexpr Index most = std::numeric_limits<Index>::max();

template <class P, class Formula>
void agrees(const P& pattern, const Formula& formula,
            const Grid& grid = {.n = 9, .m = 7, .query_at = -2, .key_at = 0}) {
  for (Index p = grid.query_at; p < grid.query_at + grid.n; ++p)
    for (Index j = grid.key_at; j < grid.key_end(); ++j) {
      CAPTURE(p, j);
      CHECK(fg::detail::keeps(pattern, p, j, grid) == formula(p, j));
    }
}

}  // namespace

TEST_CASE("causal, window, first, same_block and where") {
  for (const Grid grid :
       {Grid{9, 7, -2, 0}, Grid{5, 5, 0, 0}, Grid{6, 9, -20, -14}, Grid{1, 8, 7, 0}, Grid{4, 4, 50, 48}}) {
    agrees(
        fg::causal(), [](Index p, Index j) { return j <= p; }, grid);
    for (const Index l : {0, 1, 3})
      for (const Index r : {0, 2, 100})
        agrees(
            fg::window(l, r), [=](Index p, Index j) { return p - l <= j && j <= p + r; }, grid);
    agrees(
        fg::window(2), [](Index p, Index j) { return std::abs(p - j) <= 2; }, grid);
    for (const Index c : {0, 1, 50})
      agrees(
          fg::first(c), [=](Index, Index j) { return j < c; }, grid);
    for (const Index b : {1, 2, 5, 1000}) {
      const auto block = [=](Index x) { return std::floor(static_cast<double>(x) / static_cast<double>(b)); };
      agrees(
          fg::same_block(b), [=](Index p, Index j) { return block(p) == block(j); }, grid);
    }
    agrees(
        fg::where([](Index p, Index j) { return (p + 2 * j) % 3 == 0; }),
        [](Index p, Index j) { return (p + 2 * j) % 3 == 0; }, grid);
  }
}

TEST_CASE("windows and blocks as large as an Index can say") {
  const Grid grid{.n = 9, .m = 7, .query_at = -20, .key_at = -12};
  const auto all = [](Index, Index) { return true; };
  agrees(fg::window(most), all, grid);
  agrees(
      fg::window(most, 0), [](Index p, Index j) { return j <= p; }, grid);
  agrees(fg::first(most), all, grid);
  agrees(fg::same_block(most), all, grid);
  for (const Index p : {-20, -14}) {
    fg::Ranges ranges;
    fg::detail::covers(fg::window(most), p, p + 3, grid, ranges);
    fg::detail::contains(fg::window(most), p, p + 3, grid, ranges);
    fg::detail::covers(fg::window(most, most), p, p + 3, grid, ranges);
    fg::detail::contains(fg::same_block(most), p, p + 3, grid, ranges);
    REQUIRE(ranges.size() == 4);
    for (const fg::Range& range : ranges) CHECK(range == fg::Range{-12, -5});
  }
}

TEST_CASE("global sees and is seen, and counts negative ids from the end of the keys") {
  const Grid grid{.n = 9, .m = 7, .query_at = 2, .key_at = 4};  // keys 4..10
  agrees(
      fg::global({5, -1}), [](Index p, Index j) { return p == 5 || j == 5 || p == 10 || j == 10; }, grid);
  agrees(
      fg::global({0, -7, 1000}), [](Index p, Index j) { return p == 4 || j == 4; }, grid);
  agrees(
      fg::global({-9, -8}), [](Index p, Index) { return p == 2 || p == 3; },
      grid);  // before the keys, among the queries
  agrees(
      fg::global({}), [](Index, Index) { return false; }, grid);
  const Grid after{.n = 9, .m = 3, .query_at = 0, .key_at = 0};  // queries beyond the keys
  agrees(
      fg::global({1, -2}), [](Index p, Index j) { return p == 1 || j == 1; }, after);
  const Grid before{
      .n = 4, .m = 3, .query_at = -2, .key_at = -6};  // keys -6..-4: negative ids still count from the end
  agrees(
      fg::global({-1, 0}), [](Index p, Index j) { return p == 0 || j == -4; }, before);

  const auto formula = [](Index p, Index j) { return p == 3 || j == 3 || p == 6 || j == 6; };
  const Grid plain{.n = 9, .m = 9};
  const std::vector<int> vector{6, 3, 3, 6};
  const std::array<std::uint8_t, 2> bytes{3, 6};
  Eigen::VectorXi eigen(2);
  eigen << 6, -6;
  agrees(fg::global(vector), formula, plain);
  agrees(fg::global(std::span<const int>(vector)), formula, plain);
  agrees(fg::global(bytes), formula, plain);
  agrees(fg::global(eigen), formula, plain);
  agrees(fg::global(eigen.array().max(3)), formula, plain);
}

TEST_CASE("documents keeps equal ids, and nothing outside them") {
  const std::vector<int> ids{4, 4, 2, 2, 2, 9};
  const auto formula = [&](Index p, Index j) {
    return p >= 0 && p < 6 && j >= 0 && j < 6 && ids[static_cast<std::size_t>(p)] == ids[static_cast<std::size_t>(j)];
  };
  const Grid grid{.n = 10, .m = 9, .query_at = -2, .key_at = -1};
  Eigen::VectorXi eigen(6);
  eigen << 4, 4, 2, 2, 2, 9;
  agrees(fg::documents(ids), formula, grid);
  agrees(fg::documents(std::vector<long>(ids.begin(), ids.end())), formula, grid);
  agrees(fg::documents(std::span<const int>(ids)), formula, grid);
  agrees(fg::documents(eigen), formula, grid);
  agrees(fg::documents(eigen.transpose()), formula, grid);
  agrees(fg::documents(3 * eigen.array()), formula, grid);
  agrees(
      fg::documents(std::vector<unsigned>{}), [](Index, Index) { return false; }, grid);
}

TEST_CASE("documents holds an lvalue by reference and a temporary by value") {
  std::vector<int> ids{0, 0, 1};
  Eigen::VectorXi eigen = Eigen::VectorXi::Zero(3);
  auto view = std::span<int>(ids);
  const auto by_reference = fg::documents(ids);
  const auto of_view = fg::documents(view);
  const auto of_eigen = fg::documents(eigen);
  const auto of_block = fg::documents(eigen.head(2));
  const auto of_copy = fg::documents(std::vector<int>(ids));
  CHECK(&by_reference.ids == &ids);
  CHECK(of_view.ids.data() == ids.data());
  CHECK(of_eigen.ids.data() == eigen.data());
  CHECK(of_block.ids.data() == eigen.data());
  CHECK(of_copy.ids.data() != ids.data());
  view = {};  // the span may go, the vector must stay
  CHECK(of_view.keeps(0, 1));

  CHECK(by_reference.sorted);
  ids = {1, 0, 1};
  CHECK(of_copy.keeps(0, 1));
  CHECK_FALSE(by_reference.keeps(0, 1));
  CHECK_THROWS_WITH(by_reference.check({}),
                    "filigree: documents(ids): ids ascended when the pattern was made and no longer do");
  CHECK_NOTHROW(of_copy.check({}));
  CHECK_NOTHROW(fg::documents(ids).check({}));
}

TEST_CASE("given keeps what is stored, at its row and column, in every layout") {
  using Entries = std::vector<Eigen::Triplet<float>>;
  const Entries entries{{0, 0, 1.f}, {0, 4, 0.f}, {2, 1, -1.f}, {2, 2, 3.f}, {3, 4, 0.f}};
  const Grid grid{.n = 4, .m = 5, .query_at = -7, .key_at = 30};
  const auto formula = [&](Index p, Index j) {
    bool found = false;
    for (const auto& e : entries) found |= e.row() == p + 7 && e.col() == j - 30;
    return found;
  };
  Eigen::SparseMatrix<float> columns(4, 5);
  columns.setFromTriplets(entries.begin(), entries.end());
  const Eigen::SparseMatrix<float, Eigen::RowMajor, std::int64_t> rows = columns;
  const Eigen::SparseMatrix<double, Eigen::ColMajor, short> shorts = columns.cast<double>();
  REQUIRE(columns.nonZeros() == 5);
  agrees(fg::given(columns), formula, grid);
  agrees(fg::given(rows), formula, grid);
  agrees(fg::given(shorts), formula, grid);
  agrees(fg::given(Eigen::SparseMatrix<float>(columns)), formula, grid);
  agrees(fg::given(Eigen::SparseMatrix<float>(columns.transpose()).transpose()), formula, grid);
  agrees(fg::given(2.f * columns), formula, grid);  // an expression has a value of its own
  CHECK(&fg::given(columns).s == &columns);

  Eigen::SparseMatrix<float, Eigen::RowMajor> loose(4, 5);
  loose.reserve(Eigen::VectorXi::Constant(4, 3));
  for (const auto& e : entries) loose.insert(e.row(), e.col()) = e.value();
  REQUIRE_FALSE(loose.isCompressed());
  agrees(fg::given(loose), formula, grid);

  Eigen::SparseMatrix<float, Eigen::RowMajor> tall(9, 5);
  tall.middleRows(3, 4) = Eigen::SparseMatrix<float, Eigen::RowMajor>(columns);
  agrees(fg::given(tall.middleRows(3, 4)), formula, grid);

  Eigen::SparseVector<float, Eigen::RowMajor> one(5);
  one.insert(1) = 0.f;
  one.insert(4) = 2.f;
  agrees(fg::given(one), [](Index, Index j) { return j == 1 || j == 4; }, {.n = 1, .m = 5});
}

TEST_CASE("given wants the shape of the scores and ascending indices") {
  Eigen::SparseMatrix<float> s(3, 4);
  CHECK_NOTHROW(fg::given(s).check({.n = 3, .m = 4}));
  CHECK_THROWS_WITH(fg::given(s).check({.n = 3, .m = 5}),
                    "filigree: given(S): S is 3x4 and must have the shape of the scores, 3x5");
  CHECK_THROWS_AS(fg::given(s).check({.n = 4, .m = 4}), fg::Error);
  CHECK_THROWS_AS((fg::causal() && !(fg::given(s) || fg::first(2))).check({.n = 4, .m = 4}), fg::Error);

  int outer[] = {0, 2}, inner[] = {3, 1};
  float values[] = {1, 2};
  const Eigen::Map<const Eigen::SparseMatrix<float, Eigen::RowMajor>> unsorted(1, 4, 2, outer, inner, values);
  CHECK_THROWS_WITH(fg::given(unsorted),
                    "filigree: given(S): the inner indices of S must ascend in each row (or column); "
                    "transposing S twice sorts them");
  const Eigen::SparseMatrix<float> turned = unsorted;
  agrees(fg::given(Eigen::SparseMatrix<float, Eigen::RowMajor>(turned)),
         [](Index, Index j) { return j == 1 || j == 3; }, {.n = 1, .m = 4});
}

TEST_CASE("arguments that cannot work are errors that name them") {
  CHECK_THROWS_WITH(fg::window(-1), "filigree: window(r): r must be at least 0, got -1");
  CHECK_THROWS_WITH(fg::window(-2, 0), "filigree: window(left, right): left must be at least 0, got -2");
  CHECK_THROWS_WITH(fg::window(0, -3), "filigree: window(left, right): right must be at least 0, got -3");
  CHECK_THROWS_WITH(fg::first(-1), "filigree: first(c): c must be at least 0, got -1");
  CHECK_THROWS_WITH(fg::same_block(0), "filigree: same_block(b): b must be at least 1, got 0");
  CHECK_THROWS_AS(fg::same_block(-4), fg::Error);
}
