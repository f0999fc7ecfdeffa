// SPDX-License-Identifier: MIT
// What patterns tell the planner: outside `covers` nothing is kept, inside `contains` everything is.
#include <memory>
#include <utility>
#include <vector>

#include "catch.hpp"
#include "filigree/core/random.hpp"
#include "filigree/pattern/pattern.hpp"

namespace fg = filigree;
using Eigen::Index;
using fg::Grid;
using fg::Range;
using fg::Ranges;

namespace {

/// Any pattern, so that random expressions can be put together at run time by the operators of the face.
class Any {
 public:
  using Category = fg::Pattern;

  template <fg::PatternStage P>
    requires(!std::same_as<P, Any>)
  Any(P pattern) : held_(std::make_shared<Model<P>>(std::move(pattern))) {}

  bool keeps(Index p, Index j, const Grid& grid) const { return held_->keeps(p, j, grid); }
  void covers(Index p0, Index p1, const Grid& grid, Ranges& out) const { held_->covers(p0, p1, grid, out); }
  void contains(Index p0, Index p1, const Grid& grid, Ranges& out) const { held_->contains(p0, p1, grid, out); }

 private:
  struct Base {
    virtual ~Base() = default;
    virtual bool keeps(Index p, Index j, const Grid& grid) const = 0;
    virtual void covers(Index p0, Index p1, const Grid& grid, Ranges& out) const = 0;
    virtual void contains(Index p0, Index p1, const Grid& grid, Ranges& out) const = 0;
  };
  template <class P>
  struct Model : Base {
    explicit Model(P p) : pattern(std::move(p)) {}
    bool keeps(Index p, Index j, const Grid& grid) const override { return fg::detail::keeps(pattern, p, j, grid); }
    void covers(Index p0, Index p1, const Grid& grid, Ranges& out) const override {
      fg::detail::covers(pattern, p0, p1, grid, out);
    }
    void contains(Index p0, Index p1, const Grid& grid, Ranges& out) const override {
      fg::detail::contains(pattern, p0, p1, grid, out);
    }
    P pattern;
  };
  std::shared_ptr<const Base> held_;
};

bool inside(const Ranges& ranges, Index j) {
  bool found = false;
  for (const Range& r : ranges) found |= r.begin <= j && j < r.end;
  return found;
}

bool normal(const Ranges& ranges, const Grid& grid) {
  Index from = grid.key_at - 1;  // ranges may not touch
  for (const Range& r : ranges) {
    if (r.begin <= from || r.begin >= r.end || r.end > grid.key_end()) return false;
    from = r.end;
  }
  return true;
}

/// Every block of rows; with `exact_covers` and `exact_contains` the lists must be as tight as they can be.
template <class P>
void sound(const P& pattern, const Grid& grid, bool exact_covers = false, bool exact_contains = false) {
  for (Index p = grid.query_at; p < grid.query_at + grid.n; ++p) {
    const Index until = fg::detail::alike_until(pattern, p, grid);
    REQUIRE(until > p);
    for (Index like = p + 1; like < std::min(until, grid.query_at + grid.n); ++like)
      for (Index j = grid.key_at; j < grid.key_end(); ++j)
        REQUIRE(fg::detail::keeps(pattern, like, j, grid) == fg::detail::keeps(pattern, p, j, grid));
  }
  for (Index first = 0; first < grid.n; ++first)
    for (Index last = first + 1; last <= grid.n; ++last) {
      const Index p0 = grid.query_at + first, p1 = grid.query_at + last;
      Ranges covers, contains;
      fg::detail::covers(pattern, p0, p1, grid, covers);
      fg::detail::contains(pattern, p0, p1, grid, contains);
      REQUIRE(normal(covers, grid));
      REQUIRE(normal(contains, grid));
      for (Index j = grid.key_at; j < grid.key_end(); ++j) {
        bool any = false, all = true;
        for (Index p = p0; p < p1; ++p) {
          const bool kept = fg::detail::keeps(pattern, p, j, grid);
          any |= kept;
          all &= kept;
        }
        const bool covered = inside(covers, j), contained = inside(contains, j);
        CAPTURE(grid.n, grid.m, grid.query_at, grid.key_at, p0, p1, j, covered, contained);
        const bool exact = fg::detail::covers_exactly<P> && p1 - p0 == 1;
        if (any || exact_covers || exact) REQUIRE(covered == any);
        if (!all || exact_contains || exact) REQUIRE(contained == all);
      }
    }
}

Grid random_grid(fg::Generator& g) {
  Grid grid{.n = g.below(12), .m = g.below(14)};
  if (g.below(2) == 0) grid.key_at = g.below(21) - 10;
  grid.query_at = grid.key_at + grid.m - grid.n;
  if (g.below(3) == 0) grid.query_at = g.below(41) - 20;
  return grid;
}

std::vector<int> random_ids(fg::Generator& g, bool sorted) {
  std::vector<int> ids(static_cast<std::size_t>(g.below(20)));
  for (int& id : ids) id = static_cast<int>(g.below(4));
  if (sorted) std::sort(ids.begin(), ids.end());
  return ids;
}

template <int options>
Eigen::SparseMatrix<double, options> random_sparse(fg::Generator& g, const Grid& grid) {
  std::vector<Eigen::Triplet<double>> entries;
  const double density = g.uniform();
  const bool banded = g.below(2) == 0;
  for (int i = 0; i < grid.n; ++i)
    for (int c = 0; c < grid.m; ++c)
      if (banded ? std::abs(i - c) < 4 : g.uniform() < density) entries.emplace_back(i, c, 0.0);
  Eigen::SparseMatrix<double, options> s(grid.n, grid.m);
  s.setFromTriplets(entries.begin(), entries.end());
  return s;
}

std::vector<Index> random_globals(fg::Generator& g) {
  std::vector<Index> ids(static_cast<std::size_t>(g.below(4)));
  for (Index& id : ids) id = g.below(31) - 15;
  return ids;
}

Any random_blocks(fg::Generator& g) {
  const Index b = 1 + g.below(5);
  switch (g.below(4)) {
    case 0: return fg::blocks(b, fg::window(g.below(3)));
    case 1: return fg::blocks(b, fg::causal() && fg::global({0, -1}));
    case 2: return fg::blocks(b, fg::blocks(2, fg::window(1)));
    default: return fg::bigbird(b, g.below(3), g());
  }
}

Any leaf(fg::Generator& g, const Grid& grid) {
  switch (g.below(16)) {
    case 9: return fg::dilated_window(g.below(5), 1 + g.below(4));
    case 10: return fg::neighborhood(1 + g.below(8));
    case 11: return fg::strided(1 + g.below(6));
    case 12: return fg::columns(5, g.below(6));
    case 13: return fg::random(g.below(5), g());
    case 14: return fg::random(g.below(5), g()).excluding(fg::causal() && fg::strided(2));
    case 15: return random_blocks(g);
    case 0: return fg::causal();
    case 1: return fg::window(g.below(8), g.below(8));
    case 2: return fg::first(g.below(12));
    case 3: return fg::global(random_globals(g));
    case 4: return fg::documents(random_ids(g, g.below(2) == 0));
    case 5: return fg::same_block(1 + g.below(6));
    case 6: return fg::where([](Index p, Index j) { return (p * 7 + j * 3) % 4 == 0; });
    case 7: return fg::given(random_sparse<Eigen::RowMajor>(g, grid));
    default: return fg::given(random_sparse<Eigen::ColMajor>(g, grid));
  }
}

Any expression(fg::Generator& g, const Grid& grid, int depth) {
  using fg::operator&&, fg::operator||, fg::operator!;  // Any lies outside filigree
  if (depth == 0) return leaf(g, grid);
  switch (g.below(4)) {
    case 0: return expression(g, grid, depth - 1) && expression(g, grid, depth - 1);
    case 1: return expression(g, grid, depth - 1) || expression(g, grid, depth - 1);
    case 2: return !expression(g, grid, depth - 1);
    default: return leaf(g, grid);
  }
}

}  // namespace

TEST_CASE("each pattern plans exactly what it keeps") {
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

TEST_CASE("the ranges of one row are exact, however scattered") {
  fg::Generator g(20242);
  for (int trial = 0; trial < 300; ++trial) {
    const Grid grid = random_grid(g);
    const auto exact = [&](const auto& pattern) {
      for (Index p = grid.query_at; p < grid.query_at + grid.n; ++p) {
        Ranges covers, contains;
        fg::detail::covers(pattern, p, p + 1, grid, covers);
        fg::detail::contains(pattern, p, p + 1, grid, contains);
        for (Index j = grid.key_at; j < grid.key_end(); ++j) {
          CAPTURE(p, j);
          REQUIRE(inside(covers, j) == fg::detail::keeps(pattern, p, j, grid));
          REQUIRE(inside(contains, j) == inside(covers, j));
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

TEST_CASE("expressions plan soundly") {
  const std::uint64_t seed = 20241;
  CAPTURE(seed);
  fg::Generator g(seed);
  for (int trial = 0; trial < 2000; ++trial) {
    const Grid grid = random_grid(g);
    sound(expression(g, grid, 4), grid);
  }
}

TEST_CASE("named shapes plan as tightly as they are") {
  for (const Grid grid : {Grid{10, 14, 4, 0}, Grid{12, 12, 0, 0}, Grid{9, 6, -3, 0}}) {
    sound(fg::causal() && fg::window(3), grid, true, true);
    sound(fg::causal() && (fg::first(2) || fg::window(2, 0)), grid, true, false);
    sound(!fg::window(0), grid, true, true);
    sound(!fg::causal(), grid, true, true);
    sound(fg::window(2) || fg::global({0}), grid, true, false);
    sound(fg::causal() && fg::same_block(4), grid, true, true);
  }
}

TEST_CASE("a sparse matrix is planned around its gaps") {
  const Grid grid{.n = 2, .m = 1000, .query_at = 0, .key_at = 0};
  Eigen::SparseMatrix<float, Eigen::RowMajor> s(2, 1000);
  for (const int c : {3, 4, 60, 700, 999}) s.insert(0, c) = 1;
  s.insert(1, 61) = 1;
  Ranges covers;
  fg::detail::covers(fg::given(s), 0, 2, grid, covers);
  CHECK(std::vector<Range>(covers.begin(), covers.end()) == std::vector<Range>{{3, 62}, {700, 701}, {999, 1000}});
  Ranges beyond;
  fg::detail::covers(fg::given(s), -4, 6, grid, beyond);  // rows that pad a block
  CHECK(beyond.size() == 3);
  const Eigen::SparseMatrix<float, Eigen::RowMajor> full = Eigen::MatrixXf::Ones(2, 1000).sparseView();
  Ranges all, none;
  fg::detail::contains(fg::given(full), 0, 2, grid, all);
  fg::detail::contains(fg::given(full), -1, 2, grid, none);
  fg::detail::contains(fg::given(full), 1, 3, grid, none);
  CHECK(all.size() == 1);
  CHECK(none.size() == 0);
}
