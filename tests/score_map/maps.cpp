// SPDX-License-Identifier: MIT
// The score maps compared with their formulas in long double.
#include <algorithm>
#include <cmath>
#include <cstddef>
#include <limits>
#include <vector>

#include "catch.hpp"
#include "filigree/normalize/normalize.hpp"
#include "filigree/pattern/where.hpp"
#include "filigree/score_map/score_map.hpp"
#include "one_row.hpp"

namespace fg = filigree;
using Eigen::Index;
using Truth = long double;

namespace {

// The query is at position 3, the keys at positions -4 to 8.
constexpr fg::Grid grid{.n = 5, .m = 13, .query_at = 1, .key_at = -4};
constexpr Index row_index = 2, p = 3;

template <class S, class Stage, class Formula>
void follows(const Stage& stage, const Formula& formula) {
  fg::Generator g(77);
  for (int trial = 0; trial < 50; ++trial) {
    const std::vector<S> row = random_row<S>(g, grid.m, false);
    const std::vector<S> got = OneRow<S>(row, grid, row_index).apply(stage).dense();
    for (std::size_t c = 0; c < row.size(); ++c) {
      if (row[c] == absent<S>) {
        CHECK(got[c] == absent<S>);
        continue;
      }
      const Truth truth = formula(static_cast<Truth>(row[c]), grid.key_at + static_cast<Index>(c));
      const Truth size = std::max(std::abs(truth), std::abs(static_cast<Truth>(row[c])));
      CAPTURE(c, row[c], got[c]);
      CHECK(std::abs(static_cast<Truth>(got[c]) - truth) <= 4 * std::numeric_limits<S>::epsilon() * size);
    }
  }
}

}  // namespace

TEMPLATE_TEST_CASE("softcap, alibi and map follow their formulas", "", FILIGREE_TEST_SCALARS) {
  using S = TestType;
  follows<S>(fg::softcap(2.5), [](Truth s, Index) { return 2.5L * std::tanh(s / 2.5L); });
  follows<S>(fg::softcap(50), [](Truth s, Index) { return 50 * std::tanh(s / 50); });
  follows<S>(fg::alibi(0.25), [](Truth s, Index j) { return s - 0.25L * static_cast<Truth>(std::abs(p - j)); });
  follows<S>(fg::alibi(-3), [](Truth s, Index j) { return s + 3 * static_cast<Truth>(std::abs(p - j)); });
  follows<S>(fg::map([](S s, Index at, Index j) { return s + S(at == 3 ? 10 * j : -1000); }),
             [](Truth s, Index j) { return s + static_cast<Truth>(10 * j); });
  follows<S>(fg::map([](double s, auto, auto) { return 2 * s; }), [](Truth s, Index) { return 2 * s; });
}

TEMPLATE_TEST_CASE("maps propagate NaN, softcap bounds infinity, and a result of -inf is masked", "",
                   FILIGREE_TEST_SCALARS) {
  using S = TestType;
  const std::vector<S> row{nan_of<S>, infinity_of<S>, S(1)};
  const auto capped = after(fg::softcap(3), row);
  CHECK(std::isnan(capped[0]));
  CHECK(capped[1] == S(3));
  CHECK(std::isnan(after(fg::alibi(1), row)[0]));
  const auto masked = after(fg::map([](S s, Index, Index j) { return j == 1 ? -infinity_of<S> : s; }), row);
  CHECK(same(masked, {nan_of<S>, absent<S>, S(1)}));
  CHECK(OneRow<S>(row).apply(fg::map([](S, Index, Index) { return -infinity_of<S>; })).count() == 0);
}

TEMPLATE_TEST_CASE("bias is indexed by row and column", "", FILIGREE_TEST_SCALARS) {
  using S = TestType;
  using Rows = Eigen::Matrix<S, Eigen::Dynamic, Eigen::Dynamic, Eigen::RowMajor>;
  using Columns = Eigen::Matrix<S, Eigen::Dynamic, Eigen::Dynamic>;
  fg::Generator g(5);
  Rows b(grid.n, grid.m);
  fg::fill_normal(b, g);
  const Columns twin = b;
  Columns large = Columns::Zero(9, 20);
  large.block(2, 3, grid.n, grid.m) = b;
  const auto formula = [&](Truth s, Index j) { return s + static_cast<Truth>(b(row_index, j + 4)); };
  follows<S>(fg::bias(b), formula);
  follows<S>(fg::bias(twin), formula);
  follows<S>(fg::bias(b.array()), formula);
  follows<S>(fg::bias(Rows(b)), formula);
  follows<S>(fg::bias(large.block(2, 3, grid.n, grid.m)), formula);
  follows<S>(fg::bias(b.colwise().reverse().colwise().reverse()), formula);
  follows<S>(fg::bias(Columns::Identity(grid.n, grid.n) * twin), formula);
  follows<S>(fg::bias(Eigen::Map<const Rows>(b.data(), grid.n, grid.m)), formula);

  b(row_index, 3) = -infinity_of<S>;
  const auto got = OneRow<S>(std::vector<S>(13, S(1)), grid, row_index).apply(fg::bias(b)).dense();
  CHECK(got[3] == absent<S>);
  CHECK(got[4] == S(1) + b(row_index, 4));
}

TEST_CASE("bias requires the shape of the scores and reports the memory that it reads") {
  Eigen::MatrixXf b = Eigen::MatrixXf::Zero(5, 13), other(5, 13);
  CHECK_NOTHROW(fg::bias(b).check(grid));
  CHECK_THROWS_WITH(fg::bias(b.topRows(4)).check(grid),
                    "filigree: bias(B): B is 4x13 and must have the shape of the scores, 5x13");
  CHECK_THROWS_AS(fg::bias(b.leftCols(12)).check(grid), fg::Error);

  const auto reads = [](const auto& stage, const Eigen::MatrixXf& x) {
    return fg::detail::reads(stage, fg::AddressRange::of(x.data(), x.data() + x.size()));
  };
  CHECK(reads(fg::bias(b), b));
  CHECK(reads(fg::bias(b.row(2)), b));
  CHECK_FALSE(reads(fg::bias(b), other));
  CHECK_FALSE(reads(fg::bias(2 * b), b));  // the expression was evaluated by bias()
  const auto held = fg::bias(b);
  CHECK(&held.b == &b);
  const auto owned = fg::bias(b + b);
  b.setOnes();
  CHECK(held.map(0.f, p, -4, grid) == 1.f);
  CHECK(owned.map(0.f, p, -4, grid) == 0.f);
}

TEMPLATE_TEST_CASE("relative_bias indexes its table by the clamped distance", "", FILIGREE_TEST_SCALARS) {
  using S = TestType;
  Eigen::Matrix<S, Eigen::Dynamic, 1> table(7);
  table << S(1), S(2), S(4), S(8), S(16), S(32), S(64);
  const auto formula = [](Truth s, Index j) {
    const Index distance = j - p;
    return s + std::exp2(static_cast<Truth>(distance < -3 ? 0 : distance > 3 ? 6 : distance + 3));
  };
  follows<S>(fg::relative_bias(table), formula);
  follows<S>(fg::relative_bias(table.transpose()), formula);
  follows<S>(fg::relative_bias(table / 1), formula);
  const Eigen::Matrix<S, 1, 1> single(S(2));
  follows<S>(fg::relative_bias(single), [](Truth s, Index) { return s + 2; });
  CHECK(fg::detail::reads(fg::relative_bias(table), fg::AddressRange::of(table.data(), table.data() + 1)));
  CHECK_THROWS_WITH(fg::relative_bias(table.topRows(4)),
                    "filigree: relative_bias(table): the table must have an odd size 2r+1, got 4");
  CHECK_THROWS_AS(fg::relative_bias(table.topRows(0)), fg::Error);
  const auto held = fg::relative_bias(table);
  table.resize(2);
  CHECK_THROWS_AS(held.check(grid), fg::Error);
}

TEST_CASE("maps refuse invalid parameters") {
  const double nan = nan_of<double>, inf = infinity_of<double>;
  CHECK_THROWS_WITH(fg::softcap(0), "filigree: softcap(c): c must be positive and finite, got 0");
  for (const double c : {-1.0, nan, inf}) CHECK_THROWS_AS(fg::softcap(c), fg::Error);
  CHECK_THROWS_WITH(fg::alibi(nan), "filigree: alibi(slope): slope must be finite, got nan");
  CHECK_THROWS_AS(fg::alibi(-inf), fg::Error);
}

namespace {

float square(float s, Index, Index) { return s * s; }
bool before(Index query, Index key) { return key < query; }

}  // namespace

TEST_CASE("map and where take functions as well as function objects") {
  const std::vector<float> row{1, 2, 3};
  CHECK(after(fg::map(square), row) == std::vector<float>{1, 4, 9});
  CHECK(after(fg::map(&square), row) == std::vector<float>{1, 4, 9});
  CHECK(after(fg::where(before), row) == std::vector<float>{1, 2, absent<float>});
}

namespace {

/// Requires that a tile is mapped as each of its scores is alone, and that its absent scores stay absent.
template <class S, class Stage>
void maps_tiles(const Stage& stage) {
  static_assert(fg::detail::MapsTiles<Stage, S>);
  fg::Generator g(78);
  for (const Index keys : {0, 1, 5, 16, 31, 32, 33, 64, 100})
    for (const bool with_absent : {false, true}) {
      const fg::Grid all{.n = 9, .m = 110, .query_at = 40, .key_at = 30};
      const Index queries = 3, stride = keys + 2, at = all.query_at + 4, j0 = all.key_at + 7;
      std::vector<S> before;
      for (Index i = 0; i < queries * stride; ++i) {
        before.push_back(static_cast<S>(g.uniform(-2, 2)));
        if (with_absent && g.below(5) == 0) before.back() = absent<S>;
      }
      std::vector<S> after = before;
      stage.map_tile(fg::ScoreTile<S>{after.data(), stride, at, queries, j0, keys, all});
      for (Index i = 0; i < queries * stride; ++i) {
        const Index r = i / stride, c = i % stride;
        const S x = before[static_cast<std::size_t>(i)];
        const S y = c < keys && x != absent<S> ? fg::detail::map_at(stage, x, at + r, j0 + c, all) : x;
        CAPTURE(keys, r, c, x);
        REQUIRE(same(after[static_cast<std::size_t>(i)], y));
      }
    }
}

}  // namespace

TEMPLATE_TEST_CASE("a map gives a tile the values that it gives to single scores", "", FILIGREE_TEST_SCALARS) {
  using S = TestType;
  using Rows = Eigen::Matrix<S, Eigen::Dynamic, Eigen::Dynamic, Eigen::RowMajor>;
  fg::Generator g(6);
  Rows b(9, 110);
  fg::fill_normal(b, g);
  b(5, 20) = absent<S>;
  b(6, 21) = nan_of<S>;
  b(7, 22) = infinity_of<S>;
  const Eigen::Matrix<S, Eigen::Dynamic, Eigen::Dynamic> twin = b;
  Rows wide = Rows::Zero(18, 330);
  const Eigen::Map<const Rows, 0, Eigen::Stride<Eigen::Dynamic, Eigen::Dynamic>> apart(wide.data(), 9, 110, {660, 3});
  maps_tiles<S>(fg::softcap(2.5));
  maps_tiles<S>(fg::softcap(0.1));
  maps_tiles<S>(fg::tanh());
  maps_tiles<S>(fg::sigmoid());
  maps_tiles<S>(fg::gelu());
  maps_tiles<S>(fg::gelu_tanh());
  maps_tiles<S>(fg::alibi(0.1));
  maps_tiles<S>(fg::alibi(-7));
  maps_tiles<S>(fg::bias(b));
  maps_tiles<S>(fg::bias(twin));
  maps_tiles<S>(fg::bias(apart));
  for (const Index size : {1, 3, 21, 301}) {
    Eigen::Matrix<S, Eigen::Dynamic, 1> table(size);
    fg::fill_normal(table, g);
    table(size / 2) = nan_of<S>;
    maps_tiles<S>(fg::relative_bias(table));
    maps_tiles<S>(fg::relative_bias(table.transpose()));
    Rows tables = Rows::Ones(size, 2);
    tables.col(1) = table;
    maps_tiles<S>(fg::relative_bias(tables.col(1)));
  }
  S factor = S(0.75);
  maps_tiles<S>(fg::map([&factor](S s, Index, Index) { return factor * s; }));
  maps_tiles<S>(fg::map([](double s, Index at, Index j) { return s / static_cast<double>(1 + std::abs(at - j)); }));
  maps_tiles<S>(fg::map([](S s, Index, Index j) { return j % 3 == 0 ? absent<S> : s; }));
  maps_tiles<S>(fg::map([](S s, Index, Index) { return 2 * s; }, [](S, Index, Index) { return S(2); }));
}

TEST_CASE("map does not call its function for absent scores of a tile") {
  std::vector<float> values(100, 1.f);
  for (std::size_t i = 0; i < values.size(); i += 7) values[i] = absent<float>;
  int calls = 0;
  const auto stage = fg::map([&calls](float s, Index, Index) {
    CHECK(s == 1.f);
    return s + static_cast<float>(++calls > 0);
  });
  stage.map_tile(fg::ScoreTile<float>{values.data(), 50, 0, 2, 0, 50, {.n = 2, .m = 50}});
  CHECK(calls == 85);
  CHECK(std::count(values.begin(), values.end(), 2.f) == 85);
}
