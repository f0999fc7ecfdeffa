// SPDX-License-Identifier: MIT
// The phases of gradients by tiles: every block of keys that a block of rows attends to is computed once, and the tasks
// of a phase are independent.
#include <filigree/filigree.hpp>
#include <map>
#include <set>
#include <utility>
#include <vector>

#include "catch.hpp"
#include "inputs.hpp"

namespace detail = filigree::detail;
using test::Index;
using test::Random;

namespace {

constexpr Index block = 10;

struct Keys {
  Index begin, end;
};

/// Takes all phases of a pattern, given the keys of each block of rows. Returns the numbers of tasks of the phases of
/// hubs.
std::vector<Index> check_phases(Index m, const std::vector<std::vector<Keys>>& pattern) {
  detail::GradientTasks tasks;
  std::map<std::pair<Index, Index>, int> computed;  // how often a block of rows is computed with a block of keys
  const auto rows = static_cast<Index>(pattern.size());
  tasks.start(m, block, rows);
  for (Index i = 0; i < rows; ++i) {
    detail::KeySpans spans;
    for (const Keys& keys : pattern[static_cast<std::size_t>(i)]) {
      spans.push_back({keys.begin, keys.end, true});
      for (Index j = keys.begin / block; j * block < keys.end; ++j) computed[{i, j}] = 0;
    }
    tasks.add(i, spans);
  }
  tasks.sort();
  std::vector<Index> hubs;
  const auto check = [&](bool shares_keys) {
    std::set<Index> seen_rows, seen_keys;
    for (const detail::GradientTask& task : tasks.phase()) {
      CHECK(seen_rows.insert(task.rows).second);
      CHECK(task.keys.begin < task.keys.end);
      for (Index j = task.keys.begin; j < task.keys.end; ++j) {
        const bool is_new = seen_keys.insert(j).second;
        CHECK((is_new || shares_keys));
        REQUIRE(computed.count({task.rows, j}) == 1);
        ++computed[{task.rows, j}];
      }
    }
  };
  while (tasks.take_hubs()) {
    check(true);
    hubs.push_back(tasks.phase().size());
  }
  while (tasks.take_phase()) check(false);
  bool all_once = true;
  for (const auto& entry : computed) all_once = all_once && entry.second == 1;
  CHECK(all_once);
  return hubs;
}

}  // namespace

TEST_CASE("tasks of gradients are independent and complete") {
  const std::vector<std::vector<Keys>> all(16, {{0, 160}});
  CHECK(check_phases(160, all).empty());
  std::vector<std::vector<Keys>> causal, local;
  for (Index i = 0; i < 16; ++i) {
    causal.push_back({{0, 10 * i + 10}});
    const Keys band{std::max<Index>(10 * i - 3, 0), std::min<Index>(10 * i + 13, 160)};
    local.push_back(i < 2 ? std::vector<Keys>{{0, 160}} : std::vector<Keys>{{0, 1}, band});
  }
  CHECK(check_phases(160, causal).empty());
  // The tasks of the block of the global key.
  CHECK(check_phases(160, local) == std::vector<Index>{16});
  CHECK(check_phases(0, {{}, {}}).empty());
  CHECK(check_phases(5, {{{0, 5}}}).empty());
}

TEST_CASE("tasks of gradients of random patterns are independent and complete") {
  Random random(1722);
  for (int round = 0; round < 200; ++round) {
    const Index m = random.pick<Index>({7, 40, 95, 200}), rows = random.pick<Index>({1, 3, 9, 20});
    std::vector<std::vector<Keys>> pattern(static_cast<std::size_t>(rows));
    for (auto& spans : pattern)
      for (Index at = 0; at < m;) {
        const Index begin = at + random.pick<Index>({0, 1, 15, 60});
        const Index end = std::min(begin + random.pick<Index>({1, 4, 10, 33}), m);
        if (begin < end) spans.push_back({begin, end});
        at = std::max(end, begin) + 1;
      }
    check_phases(m, pattern);
  }
}
