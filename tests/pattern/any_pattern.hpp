// SPDX-License-Identifier: MIT
// Random patterns built at run time, and checks that hold for the ranges of every pattern.
#pragma once

#include <algorithm>
#include <concepts>
#include <memory>
#include <utility>
#include <vector>

#include "catch.hpp"
#include "filigree/core/generator.hpp"
#include "filigree/pattern/pattern.hpp"

namespace test {

namespace fg = filigree;
using Eigen::Index;
using fg::Grid;
using fg::Range;
using fg::Ranges;

/// A type-erased pattern, so that random expressions can be built at run time with &&, || and !.
class Any {
 public:
  using Category = fg::Pattern;

  template <fg::PatternStage P>
    requires(!std::same_as<P, Any>)
  Any(P pattern) : held_(std::make_shared<Model<P>>(std::move(pattern))) {}

  bool keeps(Index p, Index j, const Grid& grid) const { return held_->keeps(p, j, grid); }
  Index same_keys_until(Index p, const Grid& grid) const { return held_->same_keys_until(p, grid); }
  void covers(Index p0, Index p1, const Grid& grid, Ranges& out) const { held_->covers(p0, p1, grid, out); }
  void contains(Index p0, Index p1, const Grid& grid, Ranges& out) const { held_->contains(p0, p1, grid, out); }

 private:
  struct Base {
    virtual ~Base() = default;
    virtual bool keeps(Index p, Index j, const Grid& grid) const = 0;
    virtual Index same_keys_until(Index p, const Grid& grid) const = 0;
    virtual void covers(Index p0, Index p1, const Grid& grid, Ranges& out) const = 0;
    virtual void contains(Index p0, Index p1, const Grid& grid, Ranges& out) const = 0;
  };
  template <class P>
  struct Model : Base {
    explicit Model(P p) : pattern(std::move(p)) {}
    bool keeps(Index p, Index j, const Grid& grid) const override { return fg::detail::keeps(pattern, p, j, grid); }
    Index same_keys_until(Index p, const Grid& grid) const override {
      return fg::detail::same_keys_until(pattern, p, grid);
    }
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

inline bool inside(const Ranges& ranges, Index j) {
  bool found = false;
  for (const Range& r : ranges) found |= r.begin <= j && j < r.end;
  return found;
}

inline bool normal(const Ranges& ranges, const Grid& grid) {
  Index from = grid.key_at - 1;  // ranges must not be adjacent
  for (const Range& r : ranges) {
    if (r.begin <= from || r.begin >= r.end || r.end > grid.key_end()) return false;
    from = r.end;
  }
  return true;
}

/// Checks the ranges of every block of rows. With `exact_covers` or `exact_contains`, the ranges must also be as tight
/// as possible.
template <class P>
void sound(const P& pattern, const Grid& grid, bool exact_covers = false, bool exact_contains = false) {
  for (Index p = grid.query_at; p < grid.query_at + grid.n; ++p) {
    const Index until = fg::detail::same_keys_until(pattern, p, grid);
    REQUIRE(until > p);
    for (Index other = p + 1; other < std::min(until, grid.query_at + grid.n); ++other)
      for (Index j = grid.key_at; j < grid.key_end(); ++j)
        REQUIRE(fg::detail::keeps(pattern, other, j, grid) == fg::detail::keeps(pattern, p, j, grid));
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
        const bool exact = fg::detail::ranges_are_exact<P> && p1 - p0 == 1;
        const bool check_covered = any || exact_covers || exact, check_contained = !all || exact_contains || exact;
        if ((check_covered && covered != any) || (check_contained && contained != all))
          UNSCOPED_INFO("n " << grid.n << ", m " << grid.m << ", query_at " << grid.query_at << ", key_at "
                             << grid.key_at << ", rows " << p0 << " to " << p1 << ", key " << j);
        if (check_covered) REQUIRE(covered == any);
        if (check_contained) REQUIRE(contained == all);
      }
    }
}

inline Grid random_grid(fg::Generator& g) {
  Grid grid{.n = g.below(12), .m = g.below(14)};
  if (g.below(2) == 0) grid.key_at = g.below(21) - 10;
  grid.query_at = grid.key_at + grid.m - grid.n;
  if (g.below(3) == 0) grid.query_at = g.below(41) - 20;
  return grid;
}

inline std::vector<int> random_ids(fg::Generator& g, bool sorted) {
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

inline std::vector<Index> random_globals(fg::Generator& g) {
  std::vector<Index> ids(static_cast<std::size_t>(g.below(4)));
  for (Index& id : ids) id = g.below(31) - 15;
  return ids;
}

inline Any random_blocks(fg::Generator& g) {
  const Index b = 1 + g.below(5);
  switch (g.below(4)) {
    case 0: return fg::blocks(b, fg::window(g.below(3)));
    case 1: return fg::blocks(b, fg::causal() && fg::global({0, -1}));
    case 2: return fg::blocks(b, fg::blocks(2, fg::window(1)));
    default: return fg::bigbird(b, g.below(3), g());
  }
}

inline Any leaf(fg::Generator& g, const Grid& grid) {
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

inline Any expression(fg::Generator& g, const Grid& grid, int depth) {
  using fg::operator&&, fg::operator||, fg::operator!;  // Any is not in namespace filigree
  if (depth == 0) return leaf(g, grid);
  switch (g.below(4)) {
    case 0: return expression(g, grid, depth - 1) && expression(g, grid, depth - 1);
    case 1: return expression(g, grid, depth - 1) || expression(g, grid, depth - 1);
    case 2: return !expression(g, grid, depth - 1);
    default: return leaf(g, grid);
  }
}

}  // namespace test
