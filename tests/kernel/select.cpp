// SPDX-License-Identifier: MIT
// Compares the selection kernels with a stable sort.
#include <algorithm>
#include <filigree/kernel/kernels.hpp>
#include <limits>
#include <numeric>
#include <vector>

#include "catch.hpp"
#include "inputs.hpp"

using filigree::kernel::Column;
using test::Index;
using test::Random;

namespace {

template <class S>
struct List {
  std::vector<S> values;
  std::vector<Column> columns;
};

/// Returns the k largest values in ascending columns. NaN ranks first, and ties go to the lowest column.
template <class S>
List<S> best(const List<S>& from, Index k) {
  std::vector<std::size_t> order(from.values.size());
  std::iota(order.begin(), order.end(), 0);
  std::stable_sort(order.begin(), order.end(), [&](std::size_t a, std::size_t b) {
    const S x = from.values[a], y = from.values[b];
    if ((x != x) != (y != y)) return x != x;
    return x > y;
  });
  order.resize(std::min(order.size(), static_cast<std::size_t>(k)));
  std::sort(order.begin(), order.end());
  List<S> result;
  for (const std::size_t i : order) {
    result.values.push_back(from.values[i]);
    result.columns.push_back(from.columns[i]);
  }
  return result;
}

template <class S>
bool same_list(const List<S>& a, const List<S>& b) {
  if (a.columns != b.columns) return false;
  for (std::size_t i = 0; i < a.values.size(); ++i)
    if (!test::same_bits(a.values[i], b.values[i])) return false;
  return true;
}

template <class S>
S any_value(Random& random, int kind) {
  using Limits = std::numeric_limits<S>;
  switch (kind) {
    case 0: return static_cast<S>(random.normal());
    case 1: return random.pick({S(0), S(-0.0)});
    case 2: return static_cast<S>(random.between(-3, 3));
    case 3: return S(4.25);
    case 4:
      return random.pick(
          {Limits::denorm_min(), -Limits::denorm_min(), Limits::min(), S(0), S(-0.0), 3 * Limits::denorm_min()});
    case 5: return random.pick({Limits::max(), Limits::lowest(), Limits::infinity(), S(1), S(-1), Limits::min()});
    case 6: return random.chance(0.3) ? Limits::quiet_NaN() : static_cast<S>(random.normal());
    case 7: return Limits::quiet_NaN();
    case 8: return random.chance(0.5) ? Limits::infinity() : Limits::quiet_NaN();
    case 9: return S(1) + static_cast<S>(random.between(-2, 2)) * Limits::epsilon();
    case 10: return static_cast<S>(random.normal() * std::pow(10.0, random.uniform(-30, 30)));
    case 11: return static_cast<S>(-std::abs(random.normal()));
    default: return random.chance(0.9) ? S(-2) : static_cast<S>(random.normal());
  }
}

template <class S>
List<S> any_list(Random& random, Index count) {
  const int kind = static_cast<int>(random.between(0, 12));
  List<S> list;
  Column column = 0;
  for (Index i = 0; i < count; ++i) {
    list.values.push_back(any_value<S>(random, kind));
    list.columns.push_back(column += static_cast<Column>(random.between(1, 4)));
  }
  if (random.chance(0.2)) std::sort(list.values.begin(), list.values.end(), [](S a, S b) { return a < b; });
  return list;
}

template <class S>
List<S> padded(const List<S>& list) {
  List<S> copy = list;
  copy.values.resize(list.values.size() + 64, S(123));
  copy.columns.resize(list.columns.size() + 64, -7);
  return copy;
}

}  // namespace

TEMPLATE_TEST_CASE("keep_top_k_of keeps the same values as a stable sort", "", float, double) {
  using S = TestType;
  const auto& kernels = filigree::kernel::kernels<S>();
  Random random(101);
  for (int number = 0; number < 6000; ++number) {
    const Index count = random.between(0, random.chance(0.1) ? 600 : 70);
    const Index k = random.between(1, count + 3);
    const List<S> list = any_list<S>(random, count), expected = best(list, k);
    List<S> got = padded(list);
    S bound = -std::numeric_limits<S>::infinity();
    const Index kept = kernels.keep_top_k_of(got.values.data(), got.columns.data(), count, k, 0, &bound);
    got.values.resize(static_cast<std::size_t>(kept));
    got.columns.resize(static_cast<std::size_t>(kept));
    INFO("case " << number << ", count " << count << ", k " << k);
    REQUIRE(same_list(got, expected));
  }
}

TEMPLATE_TEST_CASE(
    "with slack, keep_top_k_of keeps the k largest and at most 2 slack more, and its bound excludes none of them", "",
    float, double) {
  using S = TestType;
  const auto& kernels = filigree::kernel::kernels<S>();
  Random random(102);
  for (int number = 0; number < 4000; ++number) {
    const Index count = random.between(1, 200), k = random.between(1, count), slack = random.between(0, k);
    const List<S> list = any_list<S>(random, count), expected = best(list, k);
    List<S> got = padded(list);
    S bound = -std::numeric_limits<S>::infinity();
    const Index kept = kernels.keep_top_k_of(got.values.data(), got.columns.data(), count, k, slack, &bound);
    got.values.resize(static_cast<std::size_t>(kept));
    got.columns.resize(static_cast<std::size_t>(kept));
    INFO("case " << number << ", count " << count << ", k " << k << ", slack " << slack);
    REQUIRE(kept <= k + 2 * slack);
    REQUIRE(same_list(best(got, k), expected));
    // At least k kept values are at or above the bound, so a later value that does not exceed it is not selected.
    if (count > k) REQUIRE(std::count_if(got.values.begin(), got.values.end(), [&](S v) { return !(v < bound); }) >= k);
  }
}

TEMPLATE_TEST_CASE("append, keep_top_k and move_top_k select the k largest of all panels", "", float, double) {
  using S = TestType;
  const auto& kernels = filigree::kernel::kernels<S>();
  Random random(103);
  for (int number = 0; number < 1500; ++number) {
    const Index width = kernels.width, panels = random.between(1, 12), k = random.between(1, 40);
    const Index rows = random.between(1, 20), slack = random.between(0, k),
                limit = k + 2 * slack + random.between(0, 60);
    const Index stride = limit + width + 32;  // the capacity that the kernels require
    std::vector<S> values(static_cast<std::size_t>(rows * stride)),
        bound(static_cast<std::size_t>(rows), -std::numeric_limits<S>::infinity());
    std::vector<Column> columns(static_cast<std::size_t>(rows * stride)), count(static_cast<std::size_t>(rows), 0);
    const filigree::kernel::Candidates<S> candidates{values.data(), columns.data(), stride, count.data(), bound.data()};
    std::vector<List<S>> all;
    for (Index r = 0; r < rows; ++r) {
      all.push_back(any_list<S>(random, panels * width));
      for (std::size_t c = 0; c < all.back().columns.size(); ++c) all.back().columns[c] = static_cast<Column>(c);
    }
    for (Index p = 0; p < panels; ++p) {
      std::vector<S> tile(static_cast<std::size_t>(rows * width));
      for (Index r = 0; r < rows; ++r)
        std::copy_n(all[static_cast<std::size_t>(r)].values.begin() + p * width, width, tile.begin() + r * width);
      kernels.append_scores(tile.data(), width, rows, static_cast<Column>(p * width), candidates);
      kernels.keep_top_k(candidates, rows, k, slack, limit);
    }
    const Index capacity = k + 64;
    std::vector<S> best_values(static_cast<std::size_t>(rows * capacity), S(-7));
    std::vector<Column> best_columns(best_values.size(), -7), kept(static_cast<std::size_t>(rows), -7);
    kernels.move_top_k(candidates, rows, k, {best_values.data(), best_columns.data(), capacity, kept.data(), nullptr});
    INFO("case " << number << ", panels " << panels << ", rows " << rows << ", k " << k << ", slack " << slack
                 << ", limit " << limit);
    for (Index r = 0; r < rows; ++r) {
      const Index kept_count = kept[static_cast<std::size_t>(r)];
      List<S> got;
      got.values.assign(best_values.begin() + r * capacity, best_values.begin() + r * capacity + kept_count);
      got.columns.assign(best_columns.begin() + r * capacity, best_columns.begin() + r * capacity + kept_count);
      REQUIRE(same_list(got, best(all[static_cast<std::size_t>(r)], k)));
    }
  }
}

TEMPLATE_TEST_CASE("estimate_bounds drops the values below its bound, and is accurate for normally distributed values",
                   "", float, double) {
  using S = TestType;
  const auto& kernels = filigree::kernel::kernels<S>();
  Random random(105);
  Index guessed = 0, normal_rows = 0;
  double above = 0;
  for (int number = 0; number < 3000; ++number) {
    const Index count = random.between(1, 300), limit = random.between(4, 250);
    const double expected = random.uniform(1, std::max(2.0, static_cast<double>(limit) / 2));
    const bool normal = random.chance(0.5), bounded = random.chance(0.1);
    List<S> list = any_list<S>(random, count);
    if (normal)
      for (S& v : list.values) v = static_cast<S>(5 + 0.01 * random.normal());
    List<S> got = padded(list);
    Column remaining = static_cast<Column>(count);
    S bound = bounded ? S(-3) : -std::numeric_limits<S>::infinity();
    const S before = bound;
    kernels.estimate_bounds({got.values.data(), got.columns.data(), count + 64, &remaining, &bound}, 1, limit,
                            static_cast<float>(expected));
    got.values.resize(static_cast<std::size_t>(remaining));
    got.columns.resize(static_cast<std::size_t>(remaining));
    INFO("case " << number << ", count " << count << ", limit " << limit << ", expected " << expected);
    if (count <= limit || bounded) REQUIRE(test::same_bits(bound, before));
    if (bound > before) {
      List<S> exceeding;
      for (std::size_t i = 0; i < list.values.size(); ++i) {
        if (list.values[i] <= bound) continue;
        exceeding.values.push_back(list.values[i]);
        exceeding.columns.push_back(list.columns[i]);
      }
      REQUIRE(same_list(got, exceeding));
      REQUIRE(2 * (remaining + 1) >= expected);
      ++guessed;
    } else {
      REQUIRE(same_list(got, list));
    }
    if (normal && bound > before && count > 150 && expected < static_cast<double>(count) / 4) {
      ++normal_rows;
      above += static_cast<double>(remaining) / expected;
    }
  }
  CHECK(guessed > 500);
  REQUIRE(normal_rows > 100);
  CHECK(above / static_cast<double>(normal_rows) == Approx(1).epsilon(0.15));
}

TEMPLATE_TEST_CASE("append_scores appends NaN and values above the bound in order", "", float, double) {
  using S = TestType;
  const auto& kernels = filigree::kernel::kernels<S>();
  Random random(104);
  for (int number = 0; number < 500; ++number) {
    const Index width = kernels.width, rows = random.between(1, 7);
    const int kind = static_cast<int>(random.between(0, 12));
    std::vector<S> tile(static_cast<std::size_t>(rows * width)), values(static_cast<std::size_t>(rows * (width + 64)));
    std::vector<Column> columns(values.size()), count(static_cast<std::size_t>(rows), 0);
    std::vector<S> bound(static_cast<std::size_t>(rows));
    for (S& v : tile) v = random.chance(0.1) ? -std::numeric_limits<S>::infinity() : any_value<S>(random, kind);
    for (S& v : bound) v = random.pick({S(-1), S(0), S(-0.0), S(4.25), -std::numeric_limits<S>::infinity()});
    kernels.append_scores(tile.data(), width, rows, 1000,
                          {values.data(), columns.data(), width + 64, count.data(), bound.data()});
    for (Index r = 0; r < rows; ++r) {
      Index at = 0;
      for (Index c = 0; c < width; ++c) {
        const S v = tile[static_cast<std::size_t>(r * width + c)];
        if (v <= bound[static_cast<std::size_t>(r)]) continue;
        REQUIRE(at < count[static_cast<std::size_t>(r)]);
        REQUIRE(test::same_bits(values[static_cast<std::size_t>(r * (width + 64) + at)], v));
        REQUIRE(columns[static_cast<std::size_t>(r * (width + 64) + at)] == 1000 + c);
        ++at;
      }
      REQUIRE(at == count[static_cast<std::size_t>(r)]);
    }
  }
}

// All lengths, so that the last vector holds any number of values.
TEMPLATE_TEST_CASE("list_above and keep_above keep NaN and values above the bound", "", float, double) {
  using S = TestType;
  const auto& kernels = filigree::kernel::kernels<S>();
  Random random(719);
  for (Index count = 0; count <= 70; ++count) {
    const auto given = test::normal<S>(random, 1, count + 1);
    std::vector<S> values(static_cast<std::size_t>(count) + 64, S(9)), expected;
    std::vector<Column> columns(values.size()), expected_columns;
    for (Index i = 0; i < count; ++i) {
      const S value = i % 7 == 3 ? S(0.25) : i % 11 == 5 ? std::numeric_limits<S>::quiet_NaN() : given(0, i);
      values[static_cast<std::size_t>(i)] = value;
      if (value <= S(0.25)) continue;
      expected.push_back(value);
      expected_columns.push_back(static_cast<Column>(i));
    }
    const auto agrees = [&](Index kept) {
      REQUIRE(kept == static_cast<Index>(expected.size()));
      for (std::size_t i = 0; i < expected.size(); ++i) {
        REQUIRE(test::same_bits(values[i], expected[i]));
        REQUIRE(columns[i] == expected_columns[i]);
      }
    };
    const Index listed = kernels.list_above(values.data(), columns.data(), count, S(0.25));
    agrees(listed);
    agrees(kernels.keep_above(values.data(), columns.data(), listed, S(0.25)));  // no further value is dropped
  }
}

// All small sizes, so that rows end at any lane and a block of rows ends at any row of a vector.
TEMPLATE_TEST_CASE("list_top_k keeps the same values as a stable sort, and leaves the scores as they are", "", float,
                   double) {
  using S = TestType;
  const auto& kernels = filigree::kernel::kernels<S>();
  constexpr S absent = -std::numeric_limits<S>::infinity();
  Random random(107);
  for (int number = 0; number < 4000; ++number) {
    const Index m =
        number <= filigree::kernel::max_short_row ? number : random.between(0, random.chance(0.2) ? 256 : 100);
    const Index k = random.between(1, m + 3), rows = random.between(0, random.chance(0.1) ? 70 : 12);
    const Index stride = (m + 15) / 16 * 16 + 16 * random.between(0, 3), capacity = k + 16;
    std::vector<S> tile(static_cast<std::size_t>(rows * stride), absent);
    std::vector<List<S>> present;
    for (Index r = 0; r < rows; ++r) {
      const List<S> all = any_list<S>(random, m);
      const double kept = random.pick({1.0, 1.0, 0.9, 0.3, 0.0});
      present.emplace_back();
      for (Index c = 0; c < m; ++c) {
        const S v = random.chance(kept) ? all.values[static_cast<std::size_t>(c)] : absent;
        tile[static_cast<std::size_t>(r * stride + c)] = v;
        if (v == absent) continue;
        present.back().values.push_back(v);
        present.back().columns.push_back(static_cast<Column>(c));
      }
    }
    const std::vector<S> before = tile;
    std::vector<S> values(static_cast<std::size_t>(rows * capacity), S(-7));
    std::vector<Column> columns(values.size(), -7), count(static_cast<std::size_t>(rows), -7);
    kernels.list_top_k(tile.data(), stride, rows, m, k,
                       {values.data(), columns.data(), capacity, count.data(), nullptr});
    INFO("case " << number << ", m " << m << ", rows " << rows << ", k " << k);
    for (Index r = 0; r < rows; ++r) {
      const Index kept = count[static_cast<std::size_t>(r)];
      List<S> got;
      got.values.assign(values.begin() + r * capacity, values.begin() + r * capacity + kept);
      got.columns.assign(columns.begin() + r * capacity, columns.begin() + r * capacity + kept);
      REQUIRE(same_list(got, best(present[static_cast<std::size_t>(r)], k)));
    }
    for (std::size_t i = 0; i < tile.size(); ++i) REQUIRE(test::same_bits(tile[i], before[i]));
  }
}
