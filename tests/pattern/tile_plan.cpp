// SPDX-License-Identifier: MIT
// Tile plans: an empty tile keeps no pair, a full tile every pair, and the transposed plan has the same tiles.
#include "filigree/pattern/tile_plan.hpp"

#include <vector>

#include "any_pattern.hpp"

namespace fg = filigree;
using namespace test;
using fg::TileKind;
using fg::TilePlan;
using fg::TileShape;

namespace {

/// Returns the kind of a tile by evaluating every pair.
template <class P>
TileKind evaluated(const P& pattern, const Grid& grid, const TileShape& shape, Index row, Index col) {
  bool any = false, all = true;
  for (Index i = row * shape.height; i < std::min((row + 1) * shape.height, grid.n); ++i)
    for (Index c = col * shape.width; c < std::min((col + 1) * shape.width, grid.m); ++c) {
      const bool kept = fg::detail::keeps(pattern, grid.query_at + i, grid.key_at + c, grid);
      any |= kept;
      all &= kept;
    }
  return all ? TileKind::full : any ? TileKind::partial : TileKind::empty;
}

/// Checks that the runs of each row are not empty, ascend, are disjoint, and that adjacent runs have different kinds.
bool has_canonical_runs(const TilePlan& plan) {
  bool canonical = true;
  for (Index row = 0; row < plan.rows(); ++row) {
    Index end = 0;
    TileKind kind = TileKind::empty;
    for (const fg::TileRun& run : plan.runs(row)) {
      canonical &= run.begin < run.end && run.end <= plan.cols() && run.kind != TileKind::empty;
      canonical &= run.begin > end || (run.begin == end && run.kind != kind);
      end = run.end;
      kind = run.kind;
    }
  }
  return canonical;
}

/// Checks a plan against every pair. If `exact`, partial tiles must keep some pairs and not all.
template <class P>
void agrees(const P& pattern, const Grid& grid, const TileShape& shape, bool exact = false) {
  const TilePlan plan = fg::tile_plan(pattern, grid, shape), transposed = plan.transposed();
  CAPTURE(grid.n, grid.m, grid.query_at, grid.key_at, shape.height, shape.width);
  REQUIRE(plan.rows() == (grid.n + shape.height - 1) / shape.height);
  REQUIRE(plan.cols() == (grid.m + shape.width - 1) / shape.width);
  REQUIRE(transposed.rows() == plan.cols());
  REQUIRE(transposed.cols() == plan.rows());
  REQUIRE(has_canonical_runs(plan));
  REQUIRE(has_canonical_runs(transposed));
  fg::TileCount count{.all = plan.rows() * plan.cols()};
  for (Index row = 0; row < plan.rows(); ++row)
    for (Index col = 0; col < plan.cols(); ++col) {
      const TileKind found = plan.kind(row, col), truth = evaluated(pattern, grid, shape, row, col);
      if (exact || found != TileKind::partial) REQUIRE(found == truth);
      REQUIRE(transposed.kind(col, row) == found);
      count.full += found == TileKind::full ? 1 : 0;
      count.partial += found == TileKind::partial ? 1 : 0;
    }
  REQUIRE(plan.count() == count);
  REQUIRE(transposed.count() == count);
  REQUIRE(transposed.transposed() == plan);
  REQUIRE(transposed.grid() == Grid{.n = grid.m, .m = grid.n, .query_at = grid.key_at, .key_at = grid.query_at});
}

TileShape random_shape(fg::Generator& g) { return {1 + g.below(6), 1 + g.below(6)}; }

}  // namespace

TEST_CASE("tile plans of random expressions agree with keeps() for each pair") {
  fg::Generator g(913);
  for (int trial = 0; trial < 3000; ++trial) {
    const Grid grid = random_grid(g);
    agrees(expression(g, grid, 3), grid, random_shape(g));
  }
}

TEST_CASE("tile plans of single rows with exact ranges are exact") {
  fg::Generator g(914);
  for (int trial = 0; trial < 300; ++trial) {
    const Grid grid = random_grid(g);
    const TileShape shape{1, 1 + g.below(6)};
    agrees(fg::random(g.below(5), g()), grid, shape, true);
    agrees(fg::causal() && !fg::strided(1 + g.below(4)), grid, shape, true);
    agrees(fg::bigbird(1 + g.below(4), g.below(3), g()), grid, shape, true);
  }
}

TEST_CASE("tile plans of common patterns are exact, at sizes around the tiles") {
  for (const Index n : {1, 15, 16, 17, 63, 64, 65, 200})
    for (const Index m : {1, 16, 47, 48, 49, 130})
      for (const TileShape shape : {TileShape{16, 48}, TileShape{6, 16}, TileShape{64, 64}, TileShape{300, 300}}) {
        const Grid grid{.n = n, .m = m, .query_at = m - n, .key_at = 0};
        agrees(fg::causal(), grid, shape, true);
        agrees(fg::window(20), grid, shape, true);
        agrees(!fg::window(3, 40), grid, shape, true);
        agrees(fg::window(5, 70) || fg::first(17), grid, shape);
        agrees(fg::same_block(32), grid, shape, true);
        agrees(fg::causal() && fg::same_block(50), grid, shape, true);
      }
}

TEST_CASE("tile plans of very large problems need memory and time for their runs only") {
  const Index n = 1 << 30;
  const TileShape shape{.height = 4096, .width = 4096};
  const TilePlan causal = fg::tile_plan(fg::causal(), n, n, shape);
  const Index blocks = n / shape.height;
  CHECK(causal.rows() == blocks);
  CHECK(causal.count() == fg::TileCount{.full = blocks * (blocks - 1) / 2, .partial = blocks, .all = blocks * blocks});
  CHECK(causal.bytes() < static_cast<std::size_t>(blocks) * 40);
  const TilePlan window = fg::tile_plan(fg::window(10000), n, n, shape);
  CHECK(window.transposed() == window);
  CHECK(window.bytes() < static_cast<std::size_t>(blocks) * 100);
  CHECK(fg::tile_plan(fg::same_block(n), n, n, shape).runs(blocks - 1).size() == 1);
}

TEST_CASE("tile plans without queries or keys are empty") {
  for (const Grid grid : {Grid{0, 5, 5, 0}, Grid{5, 0, -5, 0}, Grid{}}) {
    const TilePlan plan = fg::tile_plan(fg::window(3) || fg::random(2, 1), grid, {2, 2});
    CHECK(plan.count() == fg::TileCount{});
    CHECK(plan.rows() == (grid.n + 1) / 2);
    CHECK(plan.transposed().transposed() == plan);
  }
}

TEST_CASE("tile plans reject invalid shapes and patterns that do not fit") {
  CHECK_THROWS_WITH(fg::tile_plan(fg::causal(), -1, 3),
                    "filigree: tile_plan(pattern, n, m): n must be between 0 and 2147482623, got -1");
  CHECK_THROWS_WITH(fg::tile_plan(fg::causal(), 3, Index(1) << 31),
                    contains("m must be between 0 and 2147482623, got 2147483648"));
  CHECK_THROWS_WITH(fg::tile_plan(fg::causal(), 3, 3, {0, 4}), contains("both must be at least 1, got 0 and 4"));
  const Eigen::SparseMatrix<float> s(3, 3);
  CHECK_THROWS_WITH(fg::tile_plan(fg::given(s), 3, 4), contains("given(S): S is 3x3"));
}
