// SPDX-License-Identifier: MIT
#pragma once

#include <benchmark/benchmark.h>

#include <Eigen/Core>
#include <filigree/kernel/instruction_set.hpp>
#include <string>
#include <thread>

namespace bench {

/// Adds the compiler, the flags and the machine to the output, and runs the benchmarks that the arguments select.
/// Reports to `reporter`, or to the default one if it is null.
inline int run_benchmarks(int argc, char** argv, benchmark::BenchmarkReporter* reporter = nullptr) {
  const auto add = [](const char* what, const std::string& value) { benchmark::AddCustomContext(what, value); };
  add("eigen", std::to_string(EIGEN_WORLD_VERSION) + "." + std::to_string(EIGEN_MAJOR_VERSION) + "." +
                   std::to_string(EIGEN_MINOR_VERSION) + ", " + Eigen::SimdInstructionSetsInUse());
#if defined(__clang__)
  add("compiler", __VERSION__);
#else
  add("compiler", "g++ " __VERSION__);
#endif
  add("flags", BENCH_FLAGS);
  add("instruction_set", std::string(filigree::to_string(filigree::instruction_set())));
  add("threads", std::to_string(std::thread::hardware_concurrency()) + " in the machine, Eigen uses " +
                     std::to_string(Eigen::nbThreads()));
#if !defined(NDEBUG)
  add("warning", "built without NDEBUG: the results are meaningless");
#endif
  benchmark::Initialize(&argc, argv);
  if (benchmark::ReportUnrecognizedArguments(argc, argv)) return 2;
  benchmark::RunSpecifiedBenchmarks(reporter);
  benchmark::Shutdown();
  return 0;
}

}  // namespace bench
