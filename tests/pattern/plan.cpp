// SPDX-License-Identifier: MIT
// A plan is equivalent to its pattern: it keeps the same pairs, has valid ranges and gives bitwise equal results.
#include "filigree/pattern/plan.hpp"

#include <filigree/filigree.hpp>
#include <sstream>
#include <string>

#include "../inputs.hpp"
#include "any_pattern.hpp"

namespace fg = filigree;
using namespace test;

namespace {

/// The same pattern, marked as expensive to evaluate.
struct Expensive {
  using Category = fg::Pattern;
  static constexpr bool keeps_is_expensive = true;
  Any pattern;

  bool keeps(Index p, Index j, const Grid& grid) const { return pattern.keeps(p, j, grid); }
  Index same_keys_until(Index p, const Grid& grid) const { return pattern.same_keys_until(p, grid); }
  void covers(Index p0, Index p1, const Grid& grid, Ranges& out) const { pattern.covers(p0, p1, grid, out); }
  void contains(Index p0, Index p1, const Grid& grid, Ranges& out) const { pattern.contains(p0, p1, grid, out); }
};

Grid square(Index n) { return {.n = n, .m = n, .query_at = 0, .key_at = 0}; }

/// Returns the matrix of kept pairs.
template <class P>
Eigen::Matrix<char, Eigen::Dynamic, Eigen::Dynamic> table(const P& pattern, const Grid& grid) {
  Eigen::Matrix<char, Eigen::Dynamic, Eigen::Dynamic> kept(grid.n, grid.m);
  for (Index i = 0; i < grid.n; ++i)
    for (Index c = 0; c < grid.m; ++c)
      kept(i, c) = fg::detail::keeps(pattern, grid.query_at + i, grid.key_at + c, grid) ? 1 : 0;
  return kept;
}

template <class P>
void keeps_the_same(const P& pattern, const Grid& grid) {
  const auto plan = fg::plan(pattern, grid);
  REQUIRE(table(plan, grid) == table(pattern, grid));
  REQUIRE(plan.pairs() == table(pattern, grid).template cast<Index>().sum());
  sound(plan, grid);
}

/// Checks the ranges of single rows, register groups and blocks that start at any row.
template <class P>
void sound_at_length(const P& pattern, Index n, Random& random) {
  const Grid grid = square(n);
  const auto plan = fg::plan(pattern, n, n);
  const auto kept = table(pattern, grid);
  CHECK(plan.pairs() == kept.template cast<Index>().sum());
  for (int trial = 0; trial < 120; ++trial) {
    const Index p0 = random.between(0, n - 1), p1 = std::min(p0 + random.pick<Index>({1, 4, 6, 6, 7, 48, 96}), n);
    Ranges covers, contains;
    fg::detail::covers(plan, p0, p1, grid, covers);
    fg::detail::contains(plan, p0, p1, grid, contains);
    REQUIRE(normal(covers, grid));
    REQUIRE(normal(contains, grid));
    bool is_sound = true;
    for (Index j = 0; j < n; ++j) {
      const auto column = kept.block(p0, j, p1 - p0, 1).array();
      is_sound &= inside(covers, j) || !(column != 0).any();
      is_sound &= !inside(contains, j) || (column != 0).all();
    }
    if (!is_sound) UNSCOPED_INFO("n " << n << ", rows " << p0 << " to " << p1);
    REQUIRE(is_sound);
  }
}

template <class F>
void each_pattern(Index n, F&& f) {
  std::vector<int> ids(static_cast<std::size_t>(n));
  for (std::size_t i = 0; i < ids.size(); ++i) ids[i] = static_cast<int>(i * i / 150);
  f(Any(fg::window(20) || fg::global({0, 1, -3})));
  f(Any(fg::causal() && !fg::window(2)));
  f(Any(fg::longformer(16, {0, n / 2})));
  f(Expensive{fg::bigbird(13, 2, 5)});
  f(Any(fg::sparse_transformer_strided(9)));
  f(Any(fg::sparse_transformer_fixed(10, 2)));
  f(Any(fg::streaming(3, 30)));
  f(Any(fg::neighborhood(15)));
  f(Any(fg::dilated_window(4, 3) || fg::first(2)));
  f(Any(fg::documents(ids)));
  f(Expensive{fg::random(6, 7)});
  f(Expensive{fg::same_block(100) && !fg::random(3, 1)});
  f(Any(fg::where([](Index p, Index j) { return (3 * p + j) % 5 == 0; })));
}

/// A user's pattern whose same_keys_until() does not advance.
struct Stuck {
  using Category = fg::Pattern;
  bool keeps(Index p, Index j) const { return j <= p; }
  Index same_keys_until(Index p, const fg::Grid&) const { return p; }
};

}  // namespace

TEST_CASE("a pattern whose same_keys_until() does not advance can be planned") {
  CHECK(fg::plan(Stuck(), 70, 70).pairs() == fg::plan(fg::causal(), 70, 70).pairs());
  CHECK(!fg::describe(Stuck(), 70, 70).empty());
}

TEST_CASE("plans of random expressions keep the same pairs and have valid ranges") {
  fg::Generator g(731);
  for (int trial = 0; trial < 800; ++trial) {
    const Grid grid = random_grid(g);
    const Any pattern = expression(g, grid, 3);
    keeps_the_same(pattern, grid);
    keeps_the_same(Expensive{pattern}, grid);
    keeps_the_same(fg::plan(pattern, grid), grid);
  }
}

TEST_CASE("plans can be combined with &&, || and !") {
  using fg::operator&&, fg::operator||, fg::operator!;  // Any is not in namespace filigree
  fg::Generator g(732);
  for (int trial = 0; trial < 200; ++trial) {
    const Grid grid = random_grid(g);
    const Any a = expression(g, grid, 2), b = expression(g, grid, 2);
    const auto planned = [&](const Any& pattern) { return fg::plan(pattern, grid); };
    sound((planned(a) && !planned(b)) || planned(!b), grid);
    CHECK(table((planned(a) && !planned(b)) || fg::causal(), grid) == table((a && !b) || fg::causal(), grid));
  }
}

TEST_CASE("plans of any length have valid ranges for groups, blocks and single rows") {
  Random random(733);
  for (const Index n : {1, 63, 64, 65, 127, 1000})
    each_pattern(n, [&](const auto& pattern) { sound_at_length(pattern, n, random); });
}

TEST_CASE("the ranges of a single query are the same in the plan and the pattern") {
  const Index n = 200;
  const Grid grid = square(n);
  each_pattern(n, [&](const auto& pattern) {
    const auto plan = fg::plan(pattern, n, n);
    for (Index p = 0; p < n; ++p) {
      fg::detail::Coverage planned, own;
      fg::detail::plan_rows(plan, p, p + 1, grid, planned);
      fg::detail::plan_rows(pattern, p, p + 1, grid, own);
      REQUIRE(std::ranges::equal(planned.maybe, own.maybe));
      REQUIRE(std::ranges::equal(planned.sure, own.sure));
    }
  });
}

TEST_CASE("attention with a plan is bitwise equal to attention with its pattern") {
  using fg::operator&&, fg::operator!;
  Random random(734);
  fg::thread_pool pool(2);
  for (const Index n : {1, 63, 64, 65, 127, 1000}) {
    const Matrix<float> q = normal<float>(random, n, 8), k = normal<float>(random, n, 8),
                        v = normal<float>(random, n, 4);
    each_pattern(n, [&](const auto& pattern) {
      const auto plan = fg::plan(pattern, n, n);
      const auto same_with = [&](const auto& a, const auto& b) {
        CHECK(same(Matrix<float>(a * v), Matrix<float>(b * v)));
        CHECK(same(Matrix<float>(a.on(pool) * v), Matrix<float>(b.on(pool) * v)));
        static_assert(fg::is_fused<decltype(a)> == fg::is_fused<decltype(b)>);
      };
      const auto s = fg::scores(q, k);
      same_with(s | pattern | fg::softmax(), s | plan | fg::softmax());
      same_with(s | pattern | fg::alibi(0.1) | fg::top_k(5) | fg::softmax(),
                s | plan | fg::alibi(0.1) | fg::top_k(5) | fg::softmax());
      if (n > 200) return;
      same_with(s | (fg::causal() && !pattern) | fg::softmax(), s | (fg::causal() && !plan) | fg::softmax());
      same_with(s | pattern | fg::sparsemax(), s | plan | fg::sparsemax());
      CHECK(same(Matrix<float>(fg::multi_head(fg::heads{2}, q, k, v, pattern | fg::softmax())),
                 Matrix<float>(fg::multi_head(fg::heads{2}, q, k, v, plan | fg::softmax()))));
      CHECK(same(Matrix<float>((s | plan | fg::softmax()).middleRows(n / 3, n / 2) * v),
                 Matrix<float>(Matrix<float>((s | plan | fg::softmax()) * v).middleRows(n / 3, n / 2))));
    });
  }
}

TEST_CASE("plans support other positions and blocks") {
  Random random(735);
  const Matrix<float> q = normal<float>(random, 30, 8), k = normal<float>(random, 70, 8),
                      v = normal<float>(random, 70, 4);
  const auto s = fg::scores(q, k, {.query_at = 500, .key_at = 480});
  const auto pattern = fg::window(9) || fg::global({490, -1});
  const auto plan = fg::plan(pattern, {.n = 30, .m = 70, .query_at = 500, .key_at = 480});
  CHECK(plan.grid().query_at == 500);
  CHECK(same(Matrix<float>((s | plan | fg::softmax()) * v), Matrix<float>((s | pattern | fg::softmax()) * v)));

  // A plan over blocks of queries and keys.
  const auto blocks = fg::blocks(10, fg::plan(fg::causal() && fg::random(2, 1), 3, 7));
  const auto without = fg::blocks(10, fg::causal() && fg::random(2, 1));
  CHECK(same(Matrix<float>((fg::scores(q, k) | blocks | fg::softmax()) * v),
             Matrix<float>((fg::scores(q, k) | without | fg::softmax()) * v)));
}

TEST_CASE("a plan rejects scores of another shape or position") {
  const Matrix<float> x = Matrix<float>::Ones(8, 4), y = Matrix<float>::Ones(9, 4);
  const auto plan = fg::plan(fg::window(2), 8, 8);
  CHECK_NOTHROW(fg::scores(x, x) | plan | fg::softmax());
  CHECK_THROWS_WITH(fg::scores(x, y) | plan | fg::softmax(),
                    "filigree: plan(pattern, n, m): the plan is for 8x8 and must have the shape of the scores, 8x9");
  CHECK_THROWS_WITH(fg::scores(x, x, {.query_at = 5}) | (plan || fg::causal()) | fg::softmax(),
                    "filigree: plan(pattern, n, m): the plan is for query_at = 0 and key_at = 0 and must have the "
                    "positions of the scores, 5 and 0; use plan(pattern, grid) to plan for other positions");
  CHECK_THROWS_WITH(fg::multi_head(fg::heads{2}, y, y, y, plan | fg::softmax()), contains("for 8x8"));
  CHECK_THROWS_WITH(fg::plan(fg::causal(), -1, 3),
                    "filigree: plan(pattern, n, m): n must be between 0 and 2147482623, got -1");
  CHECK_THROWS_WITH(fg::plan(fg::causal(), 3, Index(1) << 31),
                    contains("m must be between 0 and 2147482623, got 2147"));
  const Eigen::SparseMatrix<float> s(3, 3);
  CHECK_THROWS_WITH(fg::plan(fg::given(s), 3, 4), contains("given(S): S is 3x3"));
}

TEST_CASE("plans without queries or keys are empty") {
  for (const Grid grid : {Grid{0, 5, 5, 0}, Grid{5, 0, -5, 0}, Grid{}}) {
    const auto plan = fg::plan(fg::window(3) || fg::random(2, 1), grid);
    CHECK(plan.pairs() == 0);
    CHECK(plan.density() == 0);
    CHECK(plan.tiles().all == 0);
  }
}

TEST_CASE("tiles() counts full and partial tiles correctly") {
  const auto counted = [](const auto& pattern, const Grid& grid, bool exact) {
    const auto kept = table(pattern, grid);
    fg::TileCount truth;
    for (Index r = 0; r < grid.n; r += 64)
      for (Index c = 0; c < grid.m; c += 64) {
        const auto tile = kept.block(r, c, std::min<Index>(64, grid.n - r), std::min<Index>(64, grid.m - c)).array();
        const bool full = (tile != 0).all();
        truth.full += full ? 1 : 0;
        truth.partial += !full && (tile != 0).any() ? 1 : 0;
        ++truth.all;
      }
    const fg::TileCount found = fg::plan(pattern, grid).tiles();
    CHECK(found.all == truth.all);
    CHECK(found.full <= truth.full);
    CHECK(found.full + found.partial >= truth.full + truth.partial);
    if (exact) CHECK((found.full == truth.full && found.partial == truth.partial));
  };
  for (const Grid& grid : {square(64), square(130), square(500), Grid{90, 300, 210, 0}, Grid{300, 90, -210, 5}}) {
    counted(fg::causal(), grid, true);
    counted(fg::window(100), grid, true);
    counted(fg::window(5, 170) || fg::first(70), grid, true);
    counted(fg::bigbird(32, 1, 3), grid, true);
    counted(fg::same_block(100), grid, true);
    counted(fg::sparse_transformer_strided(130), grid, false);
    counted(fg::where([](Index, Index) { return true; }), grid, false);
  }
}

TEST_CASE("a plan of a million queries needs little memory") {
  const Index n = 1048576;
  const auto plan = fg::plan(fg::window(256) || fg::global({0, 1}), n, n);
  CHECK(plan.bytes() < 12'000'000);
  CHECK(static_cast<double>(plan.bytes()) <
        16.1 * static_cast<double>(fg::plan(fg::window(256) || fg::global({0, 1}), n / 16, n / 16).bytes()));
  Index pairs = 2 * n;  // the pairs of the two global queries
  for (Index p = 2; p < n; ++p) {
    const Index begin = std::max<Index>(p - 256, 0), end = std::min(p + 257, n);
    pairs += end - begin + std::min<Index>(begin, 2);
  }
  CHECK(plan.pairs() == pairs);
  // Long lists are not stored.
  CHECK(fg::plan(fg::sparse_transformer_fixed(256, 4), n / 16, n / 16).bytes() < 6'000'000);
  CHECK(fg::plan(fg::columns(64, 1), n, n).bytes() < 1000);
}

TEST_CASE("a plan is printed as one line") {
  const auto printed = [](const auto& plan) {
    std::ostringstream out;
    out << plan;
    return out.str();
  };
  CHECK_THAT(printed(fg::plan(fg::causal(), 100, 100)),
             contains("100 x 100: 5050 pairs, 50.5 %; of 4 tiles 1 full, 2 partial; ") && contains(" kB"));
  CHECK(fg::plan(fg::causal(), 100, 100).density() == 0.505);
  const auto odd = fg::where([](Index p, Index j) { return (p - j) % 2 != 0; });
  CHECK_THAT(printed(fg::plan(odd, 90, 10)), contains("90 x 10: 450 pairs, 50 %; of 2 tiles 0 full, 2 partial; "));
  CHECK_THAT(printed(fg::plan(fg::window(0) || odd, 100000, 100000)), contains(" to ") && contains(" pairs, "));
}

TEST_CASE("copies of a plan outlive the original") {
  Random random(736);
  const Matrix<float> x = normal<float>(random, 50, 8);
  const auto head = [] { return fg::plan(fg::window(3) || fg::global(std::vector<int>{7}), 50, 50) | fg::softmax(); }();
  const auto again = head;
  CHECK(same(Matrix<float>((fg::scores(x, x) | again) * x),
             Matrix<float>((fg::scores(x, x) | (fg::window(3) || fg::global({7})) | fg::softmax()) * x)));
}
