// SPDX-License-Identifier: MIT
// verify() accepts every pattern of the library and finds each kind of wrong promise.
#include "any_pattern.hpp"
#include "filigree/core/check.hpp"

namespace fg = filigree;
using namespace test;

namespace {

/// causal() with promises that can be wrong.
struct Promises {
  using Category = fg::Pattern;
  Index covers_less = 0, contains_more = 0, alike = 0;

  bool keeps(Index p, Index j) const { return j <= p; }
  void covers(Index, Index p1, const Grid& grid, Ranges& out) const { out.add(grid.key_at, p1 - covers_less); }
  void contains(Index p0, Index, const Grid& grid, Ranges& out) const { out.add(grid.key_at, p0 + 1 + contains_more); }
  Index same_keys_until(Index p, const Grid&) const { return p + 1 + alike; }
};

struct WronglyExact {
  using Category = fg::Pattern;
  static constexpr bool ranges_are_exact = true;

  bool keeps(Index p, Index j) const { return j % 2 == p % 2; }
};

}  // namespace

TEST_CASE("verify accepts random patterns of the library") {
  fg::Generator g(99);
  for (int trial = 0; trial < 60; ++trial) {
    const Grid grid = random_grid(g);
    CAPTURE(trial);
    CHECK_NOTHROW(fg::verify(fg::causal() && !fg::window(g.below(4)), grid));
    CHECK_NOTHROW(fg::verify(fg::random(g.below(5), g()) || fg::strided(1 + g.below(5)), grid));
    CHECK_NOTHROW(fg::verify(fg::documents(random_ids(g, true)), grid));
    CHECK_NOTHROW(fg::verify(fg::global(random_globals(g)), grid));
    CHECK_NOTHROW(fg::verify(fg::same_block(1 + g.below(6)), grid));
    CHECK_NOTHROW(fg::verify(fg::columns(6, g.below(7)), grid));
  }
  CHECK_NOTHROW(fg::verify(fg::longformer(4, {0}), 33, 40));
  CHECK_NOTHROW(fg::verify(fg::bigbird(4, 2, 7), 41, 41));
  CHECK_NOTHROW(fg::verify(fg::causal(), 0, 0));
}

TEST_CASE("verify names the first wrong promise") {
  CHECK_NOTHROW(fg::verify(Promises{}, 7, 9));
  CHECK_THROWS_WITH(fg::verify(Promises{.covers_less = 1}, 7, 9),
                    "filigree: verify(pattern): keeps(2, 2) is true, but covers(2, 3) does not cover key 2");
  CHECK_THROWS_WITH(fg::verify(Promises{.contains_more = 1}, 7, 9),
                    "filigree: verify(pattern): keeps(2, 3) is false, but contains(2, 3) contains key 3");
  CHECK_THROWS_WITH(fg::verify(Promises{.alike = 2}, 7, 9),
                    "filigree: verify(pattern): same_keys_until(2) is 5, but keeps(2, 3) differs from keeps(3, 3)");
  CHECK_THROWS_WITH(
      fg::verify(WronglyExact{}, 3, 3),
      "filigree: verify(pattern): ranges_are_exact is true, but covers(0, 1) and contains(0, 1) differ at "
      "key 0");
}

TEST_CASE("verify reads promises at the given positions") {
  // Query -3 keeps no key: covers() may be empty there only.
  CHECK_NOTHROW(fg::verify(Promises{}, Grid{.n = 5, .m = 4, .query_at = -3, .key_at = -1}));
  CHECK_THROWS_AS(fg::verify(Promises{.covers_less = 1}, Grid{.n = 5, .m = 4, .query_at = -3, .key_at = -1}),
                  fg::Error);
}

TEST_CASE("verify rejects negative sizes") {
  CHECK_THROWS_WITH(fg::verify(fg::causal(), -1, 3), "filigree: verify(pattern, n, m): n must be at least 0, got -1");
  CHECK_THROWS_WITH(fg::verify(fg::causal(), 1, -3), "filigree: verify(pattern, n, m): m must be at least 0, got -3");
}
