// SPDX-License-Identifier: MIT
// Key ranges of patterns: nothing is kept outside `covers`, and everything is kept inside `contains`.
#include <vector>

#include "any_pattern.hpp"

namespace fg = filigree;
using namespace test;

TEST_CASE("the ranges of each pattern agree with keeps()") {
  const std::uint64_t seed = 20240;
  CAPTURE(seed);
  fg::Generator g(seed);
  for (int trial = 0; trial < 300; ++trial) {
    const Grid grid = random_grid(g);
    sound(fg::causal(), grid, true, true);
    sound(fg::window(g.below(8)), grid, true, true);
    sound(fg::window(g.below(20), g.below(8)), grid, true, true);
    sound(fg::first(g.below(15)), grid, true, true);
    sound(fg::global(random_globals(g)), grid, true, true);
    sound(fg::documents(random_ids(g, true)), grid, true, true);
    sound(fg::documents(random_ids(g, false)), grid);
    sound(fg::same_block(1 + g.below(6)), grid, true, true);
    sound(fg::given(random_sparse<Eigen::RowMajor>(g, grid)), grid, false, true);
    sound(fg::given(random_sparse<Eigen::ColMajor>(g, grid)), grid);
    const double density = g.uniform();
    Eigen::Array<bool, Eigen::Dynamic, Eigen::Dynamic> mask(grid.n, grid.m);
    for (Index e = 0; e < mask.size(); ++e) mask.data()[e] = g.uniform() < density;
    sound(fg::given(mask), grid, false, true);
    sound(fg::where([](Index p, Index j) { return p % 3 == j % 2; }), grid);
    sound(fg::dilated_window(g.below(5), 1 + g.below(4)), grid);
    sound(fg::dilated_window(g.below(5), 1), grid, true, false);
    sound(fg::neighborhood(1 + g.below(8)), grid, true, true);
    sound(fg::strided(1 + g.below(6)), grid);
    sound(fg::strided(1), grid, true, true);
    sound(fg::columns(1 + g.below(6), 1), grid, true, true);
    sound(fg::columns(6, g.below(7)), grid, true, true);
    sound(fg::random(g.below(5), g()), grid, true, false);
    sound(fg::random(g.below(5), g()).excluding(fg::window(1)), grid, true, false);
    sound(fg::blocks(1 + g.below(6), fg::window(g.below(3))), grid, true, true);
    sound(fg::blocks(1 + g.below(6), fg::causal()), grid, true, true);
    sound(random_blocks(g), grid);
  }
}

TEST_CASE("the ranges of a single row are exact, even if its keys are scattered") {
  fg::Generator g(20242);
  for (int trial = 0; trial < 300; ++trial) {
    const Grid grid = random_grid(g);
    const auto exact = [&](const auto& pattern) {
      for (Index p = grid.query_at; p < grid.query_at + grid.n; ++p) {
        Ranges covers, contains;
        fg::detail::covers(pattern, p, p + 1, grid, covers);
        fg::detail::contains(pattern, p, p + 1, grid, contains);
        for (Index j = grid.key_at; j < grid.key_end(); ++j) {
          const bool keeps = fg::detail::keeps(pattern, p, j, grid);
          if (inside(covers, j) != keeps || inside(contains, j) != keeps) UNSCOPED_INFO("p " << p << ", j " << j);
          REQUIRE(inside(covers, j) == keeps);
          REQUIRE(inside(contains, j) == keeps);
        }
      }
    };
    exact(fg::dilated_window(g.below(5), 1 + g.below(4)));
    exact(fg::strided(1 + g.below(6)));
    exact(fg::random(g.below(5), g()));
    exact(fg::random(g.below(5), g()).excluding(fg::where([](Index p, Index j) { return (p + j) % 3 == 0; })));
    exact(fg::bigbird(1 + g.below(4), g.below(3), g()));
    exact(fg::sparse_transformer_strided(1 + g.below(5)));
    exact(fg::sparse_transformer_fixed(4, g.below(5)));
    exact(fg::streaming(g.below(4), 1 + g.below(4)));
    exact(fg::longformer(4, {0, -2}));
  }
}

TEST_CASE("the ranges of random expressions agree with keeps()") {
  const std::uint64_t seed = 20241;
  CAPTURE(seed);
  fg::Generator g(seed);
  for (int trial = 0; trial < 2000; ++trial) {
    const Grid grid = random_grid(g);
    sound(expression(g, grid, 4), grid);
  }
}

TEST_CASE("the ranges of common combinations are tight") {
  for (const Grid grid : {Grid{10, 14, 4, 0}, Grid{12, 12, 0, 0}, Grid{9, 6, -3, 0}}) {
    sound(fg::causal() && fg::window(3), grid, true, true);
    sound(fg::causal() && (fg::first(2) || fg::window(2, 0)), grid, true, false);
    sound(!fg::window(0), grid, true, true);
    sound(!fg::causal(), grid, true, true);
    sound(fg::window(2) || fg::global({0}), grid, true, false);
    sound(fg::causal() && fg::same_block(4), grid, true, true);
  }
}

TEST_CASE("the ranges of a sparse matrix exclude large gaps") {
  const Grid grid{.n = 2, .m = 1000, .query_at = 0, .key_at = 0};
  Eigen::SparseMatrix<float, Eigen::RowMajor> s(2, 1000);
  for (const int c : {3, 4, 60, 700, 999}) s.insert(0, c) = 1;
  s.insert(1, 61) = 1;
  Ranges covers;
  fg::detail::covers(fg::given(s), 0, 2, grid, covers);
  CHECK(std::vector<Range>(covers.begin(), covers.end()) == std::vector<Range>{{3, 62}, {700, 701}, {999, 1000}});
  Ranges beyond;
  fg::detail::covers(fg::given(s), -4, 6, grid, beyond);  // with padding rows of a block
  CHECK(beyond.size() == 3);
  const Eigen::SparseMatrix<float, Eigen::RowMajor> full = Eigen::MatrixXf::Ones(2, 1000).sparseView();
  Ranges all, none;
  fg::detail::contains(fg::given(full), 0, 2, grid, all);
  fg::detail::contains(fg::given(full), -1, 2, grid, none);
  fg::detail::contains(fg::given(full), 1, 3, grid, none);
  CHECK(all.size() == 1);
  CHECK(none.size() == 0);
}
