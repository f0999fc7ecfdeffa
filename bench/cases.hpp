// SPDX-License-Identifier: MIT
#pragma once

#include <benchmark/benchmark.h>

#include <filigree/kernel/instruction_set.hpp>
#include <memory>
#include <string>
#include <utility>

#include "eigen_product.hpp"
#include "fma_peak.hpp"

// A case has run(), is_right(), and flop() or bytes(), the work of one run.

namespace bench {

/// Registers a case; make() returns a unique_ptr to it. The case is created and checked before the first repetition and
/// reused, so that no repetition includes allocations or the check.
template <class Make>
auto* add(const std::string& name, Make make) {
  using Case = typename decltype(make())::element_type;
  struct Kept {
    std::unique_ptr<Case> subject;
    bool right = false;
  };
  const auto kept = std::make_shared<Kept>();
  auto* added = benchmark::RegisterBenchmark(name.c_str(), [kept, make](benchmark::State& state) {
    if (!kept->subject) {
      kept->subject = make();
      kept->right = kept->subject->is_right();
    }
    if (!kept->right) state.SkipWithError("the result is wrong");
    for (auto _ : state) kept->subject->run();
    const auto rate = [](double work) {
      return benchmark::Counter(work, benchmark::Counter::kIsIterationInvariantRate);
    };
    if constexpr (requires { kept->subject->flop(); }) state.counters["FLOP/s"] = rate(kept->subject->flop());
    if constexpr (requires { kept->subject->bytes(); }) state.counters["B/s"] = rate(kept->subject->bytes());
    if constexpr (requires { kept->subject->label(); }) state.SetLabel(kept->subject->label());
  });
  return added->Unit(benchmark::kMillisecond);
}

/// The peak rate of multiply-adds. Every chain iterates x = x / 2 + 1 / 2, which converges to 1.
struct PeakCase {
  void run() {
    keep(&half);
    sum = peak.run(steps, half, half);
    keep(&sum);
  }
  bool is_right() {
    run();
    return sum == static_cast<float>(chains * peak.lanes);
  }
  [[nodiscard]] double flop() const { return peak.flop(steps); }
  [[nodiscard]] std::string label() const { return std::string(fg::to_string(fg::instruction_set())); }

  static constexpr long steps = 100000;
  FmaPeak peak = fma_peak();
  float half = 0.5F, sum = 0;
};

inline void add_fma_peak() {
  add("FmaPeak", [] { return std::make_unique<PeakCase>(); });
}

}  // namespace bench
