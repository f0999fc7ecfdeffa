// SPDX-License-Identifier: MIT
// Patterns on other indices: the pairs and the ranges are those of the pattern at the other positions.
#include "filigree/pattern/reindexed.hpp"

#include <algorithm>
#include <filigree/engine/lazy_rows.hpp>
#include <filigree/engine/strided_softmax.hpp>
#include <filigree/pattern/coverage.hpp>
#include <vector>

#include "any_pattern.hpp"

namespace fg = filigree;
using namespace test;
using fg::detail::Reindexed;

namespace {

struct Reading {
  using Category = fg::Pattern;
  static constexpr bool keeps_is_expensive = true, ranges_are_exact = true;
  const float* data;
  bool keeps(Index, Index) const { return true; }
  Index same_keys_until(Index p, const Grid&) const { return p + 10; }
  bool is_scattered(const Grid& grid) const { return grid.m > 5; }
  void check(const Grid& grid) const { fg::detail::require(grid.m != 13, "m must not be 13"); }
  bool reads(const fg::AddressRange& target) const { return target.overlaps(fg::AddressRange::of(data, data + 1)); }
};

/// Checks the pairs of a pattern on other indices, then its ranges.
template <class P, class Query, class Key>
void agrees(const P& reindexed, const Any& pattern, const Grid& grid, const Grid& original, Query query, Key key) {
  for (Index p = grid.query_at; p < grid.query_at + grid.n; ++p)
    for (Index j = grid.key_at; j < grid.key_end(); ++j)
      REQUIRE(fg::detail::keeps(reindexed, p, j, grid) == pattern.keeps(query(p), key(j), original));
  sound(reindexed, grid);
}

}  // namespace

TEST_CASE("patterns of a residue agree with the pattern") {
  fg::Generator g(611);
  for (int trial = 0; trial < 1000; ++trial) {
    const Grid grid = random_grid(g);
    if (grid.n == 0 || grid.m == 0) continue;
    const Any pattern = expression(g, grid, 2);
    const Index step = 1 + g.below(5), i = g.below(grid.n), c = g.below(grid.m);
    const fg::detail::Residue residue{.step = step,
                                      .p0 = grid.query_at + i,
                                      .j0 = grid.key_at + c,
                                      .keys = (grid.m - c - 1) / step + 1,
                                      .grid = grid};
    const Grid own{.n = (grid.n - i - 1) / step + 1, .m = residue.keys};
    agrees(
        Reindexed<const Any&, const fg::detail::Residue&>{pattern, residue}, pattern, own, grid,
        [&](Index s) { return residue.p0 + s * step; }, [&](Index t) { return residue.j0 + t * step; });
  }
}

TEST_CASE("patterns of a subset of the rows agree with the pattern") {
  fg::Generator g(612);
  for (int trial = 0; trial < 1000; ++trial) {
    const Grid grid = random_grid(g);
    const Any pattern = expression(g, grid, 2);
    std::vector<Index> rows;
    for (Index i = 0; i < grid.n; ++i)
      if (g.below(2) == 0) rows.push_back(i);
    const Grid own{.n = static_cast<Index>(rows.size()), .m = grid.m, .key_at = grid.key_at};
    agrees(
        Reindexed<const Any&, fg::detail::RowIndices>{pattern, {rows, grid}}, pattern, own, grid,
        [&](Index r) { return grid.query_at + rows[static_cast<std::size_t>(r)]; }, [](Index j) { return j; });
    const Reindexed<const Any&, fg::detail::RowIndices> reindexed{pattern, {rows, grid}};
    if (rows.empty()) CHECK(fg::detail::same_keys_until_row(reindexed, 0, own) == 0);
  }
}

TEST_CASE("patterns of queries and keys in any order keep the same pairs and promise no ranges") {
  fg::Generator g(613);
  for (int trial = 0; trial < 300; ++trial) {
    const Grid grid = random_grid(g);
    if (grid.n == 0 || grid.m == 0) continue;
    const Any pattern = expression(g, grid, 2);
    std::vector<fg::Column> queries(7), keys(9);
    for (fg::Column& i : queries) i = static_cast<fg::Column>(g.below(grid.n));
    for (fg::Column& c : keys) c = static_cast<fg::Column>(g.below(grid.m));
    const fg::detail::Order order{queries, keys};
    using Ordered = Reindexed<const Any&, fg::detail::OrderIndices>;
    static_assert(!Ordered::ranges_are_exact && !Ordered::keeps_is_expensive);
    agrees(
        Ordered{pattern, {order, grid}}, pattern, {.n = 7, .m = 9}, grid,
        [&](Index p) { return grid.query_at + queries[static_cast<std::size_t>(p)]; },
        [&](Index j) { return grid.key_at + keys[static_cast<std::size_t>(j)]; });
  }
}

TEST_CASE("patterns on other indices forward all members") {
  const float data[4] = {};
  const auto blocks = fg::blocks(2, Reading{data + 2});
  using Blocks = std::remove_const_t<decltype(blocks)>;
  static_assert(fg::detail::keeps_is_expensive<Blocks> && fg::detail::ranges_are_exact<Blocks>);
  CHECK(fg::detail::same_keys_until(blocks, 5, {.n = 90, .m = 90}) == 24);
  CHECK(fg::detail::is_scattered(blocks, {.n = 12, .m = 12}));
  CHECK_FALSE(fg::detail::is_scattered(blocks, {.n = 10, .m = 10}));
  CHECK_FALSE(fg::detail::is_scattered(fg::blocks(8, Reading{data}), {.n = 800, .m = 800}));
  CHECK(fg::detail::reads(blocks, fg::AddressRange::of(data, data + 4)));
  CHECK_FALSE(fg::detail::reads(blocks, fg::AddressRange::of(data, data + 2)));
  CHECK_THROWS_AS(fg::detail::check(blocks, {.n = 26, .m = 26}), fg::Error);
  CHECK_NOTHROW(fg::detail::check(blocks, {.n = 13, .m = 13}));
}
