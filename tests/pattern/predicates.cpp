// SPDX-License-Identifier: MIT
// Each pattern against its formula, its errors, and how it holds its arguments.
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
using fg::Ranges;

namespace {

constexpr Index max_index = std::numeric_limits<Index>::max();

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

TEST_CASE("causal, window, first, same_block and where agree with their formulas") {
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

TEST_CASE("windows and blocks of the largest size do not overflow") {
  const Grid grid{.n = 9, .m = 7, .query_at = -20, .key_at = -12};
  const auto all = [](Index, Index) { return true; };
  agrees(fg::window(max_index), all, grid);
  agrees(
      fg::window(max_index, 0), [](Index p, Index j) { return j <= p; }, grid);
  agrees(fg::first(max_index), all, grid);
  agrees(fg::same_block(max_index), all, grid);
  for (const Index p : {-20, -14}) {
    fg::Ranges ranges;
    fg::detail::covers(fg::window(max_index), p, p + 3, grid, ranges);
    fg::detail::contains(fg::window(max_index), p, p + 3, grid, ranges);
    fg::detail::covers(fg::window(max_index, max_index), p, p + 3, grid, ranges);
    fg::detail::contains(fg::same_block(max_index), p, p + 3, grid, ranges);
    REQUIRE(ranges.size() == 4);
    for (const fg::Range& range : ranges) CHECK(range == fg::Range{-12, -5});
  }
}

TEST_CASE("global tokens attend to all keys and are visible to all queries; negative ids count from the end") {
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

TEST_CASE("documents keeps pairs with equal ids and no position without an id") {
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
  view = {};  // the pattern refers to the vector, not to the span
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

TEST_CASE("given keeps the stored entries of sparse matrices of every layout") {
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
  agrees(fg::given(2.f * columns), formula, grid);  // an expression is evaluated
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

TEST_CASE("given keeps the true entries of a dense mask") {
  const Grid grid{.n = 4, .m = 5, .query_at = -7, .key_at = 30};
  Eigen::Matrix<bool, Eigen::Dynamic, Eigen::Dynamic> mask(4, 5);
  mask << true, false, false, true, true, false, false, false, false, false, true, true, true, true, true, false, true,
      false, true, false;
  const auto formula = [&](Index p, Index j) { return mask(p + 7, j - 30); };
  agrees(fg::given(mask), formula, grid);
  agrees(fg::given(Eigen::Matrix<bool, Eigen::Dynamic, Eigen::Dynamic, Eigen::RowMajor>(mask)), formula, grid);
  agrees(fg::given(mask.array()), formula, grid);
  agrees(fg::given(mask.cast<float>().array() > 0.5F), formula, grid);
  agrees(
      fg::given(Eigen::Matrix<bool, 9, 9>::Constant(true).topLeftCorner(4, 5)), [](Index, Index) { return true; },
      grid);
  CHECK(&fg::given(mask).m == &mask);
  CHECK_THROWS_WITH(fg::given(mask).check({.n = 4, .m = 6}),
                    "filigree: given(M): M is 4x5 and must have the shape of the scores, 4x6");
}

TEST_CASE("given requires the shape of the scores and ascending indices") {
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
                    "filigree: given(S): the inner indices must ascend in each row (or column); those of row 0 do not. "
                    "Transposing the matrix twice sorts them");
  const Eigen::SparseMatrix<float> column_major = unsorted;
  agrees(fg::given(Eigen::SparseMatrix<float, Eigen::RowMajor>(column_major)),
         [](Index, Index j) { return j == 1 || j == 3; }, {.n = 1, .m = 4});
}

TEST_CASE("given rejects invalid index arrays") {
  using Map = Eigen::Map<const Eigen::SparseMatrix<float, Eigen::RowMajor>>;
  const float values[5] = {};
  const auto refuses = [&](std::vector<int> outer, std::vector<int> inner, const std::string& message) {
    const Map s(static_cast<Index>(outer.size()) - 1, 4, static_cast<Index>(inner.size()), outer.data(), inner.data(),
                values);
    CHECK_THROWS_WITH(fg::given(s), "filigree: given(S): " + message);
  };
  refuses({0, 5, 2, 4}, {0, 1, 2, 3, 3},
          "the entries of row 1 must begin at 5 or later and not end before they begin, are 5 to 2");
  refuses({0, 3, 2, 4}, {0, 1, 2, 3},
          "the entries of row 1 must begin at 3 or later and not end before they begin, are 3 to 2");
  refuses({-1, 1}, {0}, "the entries of row 0 must begin at 0 or later and not end before they begin, are -1 to 1");
  refuses({0, 2}, {1, 4}, "an index of row 0 must be at least 0 and below 4, got 4");
  refuses({0, 2}, {-3, 1}, "an index of row 0 must be at least 0 and below 4, got -3");
  refuses({0, 2}, {2, 2},
          "the inner indices must ascend in each row (or column); those of row 0 do not. "
          "Transposing the matrix twice sorts them");

  // Index arrays that become invalid later are found at evaluation.
  Eigen::SparseMatrix<float, Eigen::RowMajor> s(2, 4);
  s.insert(0, 1) = 1;
  s.insert(1, 2) = 1;
  s.makeCompressed();
  const auto pattern = fg::given(s);
  s.innerIndexPtr()[1] = 9;
  CHECK_THROWS_WITH(pattern.check({.n = 2, .m = 4}),
                    contains("an index of row 1 must be at least 0 and below 4, got 9"));

  // An index that overflowed its type is negative.
  const std::int8_t rows[] = {3, static_cast<std::int8_t>(200)}, starts[] = {0, 2, 2};
  const Eigen::Map<const Eigen::SparseMatrix<float, Eigen::ColMajor, std::int8_t>> wrapped(300, 2, 2, starts, rows,
                                                                                           values);
  CHECK_THROWS_WITH(fg::given(wrapped), contains("an index of column 0 must be at least 0 and below 300, got -56"));
  const std::int8_t few[] = {3, 120};
  const Eigen::Map<const Eigen::SparseMatrix<float, Eigen::ColMajor, std::int8_t>> fits(300, 2, 2, starts, few, values);
  agrees(fg::given(fits), [](Index i, Index j) { return j == 0 && (i == 3 || i == 120); }, {.n = 300, .m = 2});
}

TEST_CASE("basic patterns name an invalid argument") {
  CHECK_THROWS_WITH(fg::window(-1), "filigree: window(r): r must be at least 0, got -1");
  CHECK_THROWS_WITH(fg::window(-2, 0), "filigree: window(left, right): left must be at least 0, got -2");
  CHECK_THROWS_WITH(fg::window(0, -3), "filigree: window(left, right): right must be at least 0, got -3");
  CHECK_THROWS_WITH(fg::first(-1), "filigree: first(c): c must be at least 0, got -1");
  CHECK_THROWS_WITH(fg::same_block(0), "filigree: same_block(b): b must be at least 1, got 0");
  CHECK_THROWS_AS(fg::same_block(-4), fg::Error);
}

TEST_CASE("dilated_window, strided, columns and neighborhood agree with their formulas") {
  const auto mod = [](Index a, Index b) { return ((a % b) + b) % b; };
  for (const Grid grid : {Grid{9, 7, -2, 0}, Grid{5, 5, 0, 0}, Grid{6, 9, -20, -14}, Grid{1, 8, 7, 0}}) {
    for (const Index step : {1, 2, 5})
      for (const Index r : {0, 1, 3})
        agrees(
            fg::dilated_window(r, step),
            [=](Index p, Index j) { return std::abs(p - j) <= r * step && mod(p - j, step) == 0; }, grid);
    for (const Index l : {1, 2, 4, 100}) {
      agrees(
          fg::strided(l), [=](Index p, Index j) { return mod(p - j, l) == 0; }, grid);
      for (const Index c : {Index(0), Index(1), l})
        agrees(
            fg::columns(l, c), [=](Index, Index j) { return mod(j, l) >= l - c; }, grid);
    }
    // The w nearest keys: of two keys at the same distance the left one first, and shifted at the borders.
    for (const Index w : {1, 2, 3, 6, 7, 50})
      agrees(
          fg::neighborhood(w),
          [=](Index p, Index j) {
            Index begin = p - w / 2;
            begin = std::min(begin, grid.key_end() - w);
            begin = std::max(begin, grid.key_at);
            return begin <= j && j < begin + w;
          },
          grid);
  }
}

TEST_CASE("blocks applies a pattern to block indices") {
  const auto block = [](Index x, Index b) {
    return static_cast<Index>(std::floor(static_cast<double>(x) / static_cast<double>(b)));
  };
  for (const Grid grid : {Grid{9, 7, -2, 0}, Grid{10, 10, 0, 0}, Grid{6, 9, -20, -14}, Grid{1, 8, 7, 0}})
    for (const Index b : {1, 2, 3, 5, 100}) {
      agrees(
          fg::blocks(b, fg::window(1)), [=](Index p, Index j) { return std::abs(block(p, b) - block(j, b)) <= 1; },
          grid);
      agrees(
          fg::blocks(b, fg::causal() && !fg::strided(2)),
          [=](Index p, Index j) { return block(j, b) <= block(p, b) && (block(p, b) - block(j, b)) % 2 != 0; }, grid);
      // Negative ids count blocks of keys from the end. The last block may be incomplete.
      const Index last = block(grid.key_end() - 1, b);
      agrees(
          fg::blocks(b, fg::global({-1})), [=](Index p, Index j) { return block(p, b) == last || block(j, b) == last; },
          grid);
    }
}

TEST_CASE("random draws r keys for each query and no excluded key") {
  const Grid grid{.n = 50, .m = 40, .query_at = -10, .key_at = 3};
  const auto kept = [&](const auto& pattern, Index p) {
    std::vector<Index> keys;
    for (Index j = grid.key_at; j < grid.key_end(); ++j)
      if (fg::detail::keeps(pattern, p, j, grid)) keys.push_back(j);
    return keys;
  };
  std::vector<int> counts(40);
  for (std::uint64_t seed = 0; seed < 40; ++seed)
    for (Index p = -10; p < 40; ++p) {
      const auto keys = kept(fg::random(5, seed), p);
      REQUIRE(keys.size() == 5);
      for (const Index j : keys) ++counts[static_cast<std::size_t>(j - 3)];
    }
  for (const int count : counts) CHECK(std::abs(count - 250) < 80);  // 5 standard deviations of a binomial

  CHECK(kept(fg::random(3, 7), 0) != kept(fg::random(3, 7), 1));
  CHECK(kept(fg::random(3, 7), 0) != kept(fg::random(3, 8), 0));
  CHECK(kept(fg::random(0, 7), 0).empty());
  CHECK(kept(fg::random(1000, 7), 0).size() == 40);

  const auto excluded = fg::window(4) || fg::strided(3);
  for (Index p = -10; p < 40; ++p) {
    const auto keys = kept(fg::random(6, 9).excluding(excluded), p);
    CHECK(keys.size() == 6);
    for (const Index j : keys) CHECK_FALSE(fg::detail::keeps(excluded, p, j, grid));
  }
  CHECK(kept(fg::random(6, 9).excluding(fg::first(1000)), 5).empty());
  CHECK(kept(fg::random(6, 9).excluding(fg::first(41)), 5) == std::vector<Index>{41, 42});
}

TEST_CASE("random keeps given key indices") {
  const Grid grid{.n = 3, .m = 5, .query_at = 7, .key_at = -2};
  Eigen::MatrixXi indices(3, 2);
  indices << 0, 4, 2, 2, -1, 3;
  agrees(
      fg::random(indices), [&](Index p, Index j) { return indices(p - 7, 0) == j + 2 || indices(p - 7, 1) == j + 2; },
      grid);
  fg::detail::check(fg::random(indices), grid);
  CHECK_THROWS_WITH(fg::detail::check(fg::random(indices), Grid{.n = 4, .m = 5}),
                    contains("indices has 3 rows and must have one for each query"));
  CHECK_THROWS_WITH(fg::detail::check(fg::random(indices), Grid{.n = 3, .m = 4}),
                    contains("an index must be below 4, the number of keys, got 4"));
  indices(1, 1) = -2;
  CHECK_THROWS_WITH(fg::random(indices), contains("random(indices): an index must be at least -1, got -2"));
}

TEST_CASE("patterns from the literature agree with their formulas") {
  const Grid grid{.n = 23, .m = 23};
  agrees(
      fg::longformer(6, {0, -1}),
      [](Index p, Index j) { return std::abs(p - j) <= 3 || p == 0 || j == 0 || p == 22 || j == 22; }, grid);
  agrees(
      fg::longformer(2, std::vector<int>{4}), [](Index p, Index j) { return std::abs(p - j) <= 1 || p == 4 || j == 4; },
      grid);
  agrees(
      fg::sparse_transformer_strided(4), [](Index p, Index j) { return j <= p && (p - j < 4 || (p - j) % 4 == 0); },
      grid);
  agrees(
      fg::sparse_transformer_fixed(5, 2), [](Index p, Index j) { return j <= p && (p / 5 == j / 5 || j % 5 >= 3); },
      grid);
  agrees(
      fg::streaming(2, 3), [](Index p, Index j) { return j <= p && (j < 2 || p - j < 3); }, grid);

  // BigBird: 8 blocks of 3 keys, the last one of 2. Blocks 0 and 7 attend to all blocks. The other blocks attend to
  // themselves, their neighbors, blocks 0 and 7, and 2 other blocks.
  const auto big = fg::bigbird(3, 2, 11);
  for (Index p = 0; p < 23; ++p) {
    std::vector<int> counts(8);
    for (Index j = 0; j < 23; ++j)
      counts[static_cast<std::size_t>(j / 3)] += fg::detail::keeps(big, p, j, grid) ? 1 : 0;
    int others = 0;
    for (Index b = 0; b < 8; ++b) {
      const int size = b == 7 ? 2 : 3, count = counts[static_cast<std::size_t>(b)];
      CHECK((count == 0 || count == size));
      const bool fixed = p / 3 == 0 || p / 3 == 7 || b == 0 || b == 7 || std::abs(p / 3 - b) <= 1;
      if (fixed) CHECK(count == size);
      others += !fixed && count > 0 ? 1 : 0;
    }
    CHECK(others == (p / 3 == 0 || p / 3 == 7 ? 0 : 2));
  }
}

TEST_CASE("scattered and named patterns name an invalid argument") {
  CHECK_THROWS_WITH(fg::dilated_window(-1, 2), contains("dilated_window(r, step): r must be at least 0, got -1"));
  CHECK_THROWS_WITH(fg::dilated_window(1, 0), contains("dilated_window(r, step): step must be at least 1, got 0"));
  CHECK_THROWS_WITH(fg::dilated_window(max_index, 2), contains("dilated_window(r, step): r * step must be at most"));
  CHECK_THROWS_WITH(fg::neighborhood(0), contains("neighborhood(w): w must be at least 1, got 0"));
  CHECK_THROWS_WITH(fg::strided(0), contains("strided(l): l must be at least 1, got 0"));
  CHECK_THROWS_WITH(fg::columns(0, 0), contains("columns(l, c): l must be at least 1, got 0"));
  CHECK_THROWS_WITH(fg::columns(3, 4), contains("columns(l, c): c must be at least 0 and at most l = 3, got 4"));
  CHECK_THROWS_WITH(fg::random(-1, 0), contains("random(r, seed): r must be at least 0, got -1"));
  CHECK_THROWS_WITH(fg::blocks(0, fg::causal()), contains("blocks(b, P): b must be at least 1, got 0"));
  CHECK_THROWS_WITH(fg::longformer(-2, {0}), contains("longformer(w, ids): w must be at least 0, got -2"));
  CHECK_THROWS_WITH(fg::bigbird(0, 1, 1), contains("bigbird(b, r, seed): b must be at least 1, got 0"));
  CHECK_THROWS_WITH(fg::bigbird(4, -1, 1), contains("bigbird(b, r, seed): r must be at least 0, got -1"));
  CHECK_THROWS_WITH(fg::sparse_transformer_strided(0), contains("sparse_transformer_strided(l): l must be at least 1"));
  CHECK_THROWS_WITH(fg::sparse_transformer_fixed(4, 5),
                    contains("sparse_transformer_fixed(l, c): c must be at least 0 and at most l = 4, got 5"));
  CHECK_THROWS_WITH(fg::streaming(-1, 4), contains("streaming(sinks, recent): sinks must be at least 0, got -1"));
  CHECK_THROWS_WITH(fg::streaming(1, 0), contains("streaming(sinks, recent): recent must be at least 1, got 0"));
}

TEST_CASE("strides and blocks of the largest size do not overflow") {
  const Grid grid{.n = 9, .m = 7, .query_at = -20, .key_at = -12};
  agrees(
      fg::strided(max_index), [](Index p, Index j) { return p == j; }, grid);
  agrees(
      fg::dilated_window(1, max_index), [](Index p, Index j) { return p == j; }, grid);
  agrees(
      fg::columns(max_index, 1), [](Index, Index) { return false; }, grid);
  agrees(
      fg::columns(max_index, max_index), [](Index, Index) { return true; }, grid);
  agrees(
      fg::neighborhood(max_index), [](Index, Index) { return true; }, grid);
  agrees(
      fg::blocks(max_index, fg::causal()), [](Index, Index) { return true; }, grid);
  Ranges ranges;
  for (const Index p : {-20, -14}) {
    fg::detail::covers(fg::strided(max_index), p, p + 1, grid, ranges);
    fg::detail::covers(fg::columns(max_index, 1), p, p + 1, grid, ranges);
    fg::detail::covers(fg::blocks(max_index, fg::window(0)), p, p + 2, grid, ranges);
  }
  CHECK(ranges.size() == 2);
}
