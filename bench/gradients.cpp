// SPDX-License-Identifier: MIT
// Backward passes of attention. The names of the cases contain their sizes: n/d, n/d/threads.

#include <map>
#include <memory>
#include <string>

#include "backward_pass.hpp"
#include "cases.hpp"
#include "context.hpp"

namespace {

using namespace bench;

constexpr Index d = 64;

const Problem& problem(Index n) {
  static std::map<Index, std::unique_ptr<Problem>> problems;
  auto& found = problems[n];
  if (!found) found = std::make_unique<Problem>(make_problem(n, d, Order::random));
  return *found;
}

/// Returns the number of pairs that a pattern keeps of n queries and n keys.
template <class Pattern>
double pairs(const Pattern& pattern, Index n) {
  const fg::Grid grid{.n = n, .m = n, .query_at = 0, .key_at = 0};
  double count = 0;
  for (Index p = 0; p < n; ++p) {
    fg::Ranges ranges;
    fg::detail::kept_ranges(pattern, p, grid, ranges);
    for (const fg::Range& range : ranges) count += static_cast<double>(range.end - range.begin);
  }
  return count;
}

template <class Head>
auto* add_passes(const std::string& name, Index n, const Head& head, double count) {
  const std::string sizes = "/" + std::to_string(n) + "/" + std::to_string(d);
  add(name + "Forward" + sizes, [=] { return std::make_unique<SavedForwardPass<Head>>(problem(n), head); });
  return add(name + "Backward" + sizes, [=] { return std::make_unique<BackwardPass<Head>>(problem(n), head, count); });
}
template <class Pattern>
void add_pattern(const std::string& name, Index n, const Pattern& pattern) {
  add_passes(name, n, pattern | fg::softmax(), pairs(pattern, n));
}

}  // namespace

int main(int argc, char** argv) {
  add_fma_peak();
  add_pattern("Softmax", 4096, fg::first(4096));
  add_pattern("Causal", 4096, fg::causal());
  const auto local = fg::window(256) || fg::global({0, 1});
  for (const Index n : {4096, 16384, 65536}) add_pattern("Window", n, local);
  add_pattern("BigBird", 16384, fg::bigbird(64, 3, 1));
  add_passes("TopK", 4096, fg::top_k(32) | fg::softmax(), 4096.0 * 32);
  for (const Index threads : {1, 2}) {
    const auto head = local | fg::softmax();
    add("WindowBackwardThreads/16384/64/" + std::to_string(threads), [=] {
      return std::make_unique<BackwardPass<std::remove_const_t<decltype(head)>>>(problem(16384), head,
                                                                                 pairs(local, 16384), threads);
    })->UseRealTime();
  }
  return run_benchmarks(argc, argv);
}
