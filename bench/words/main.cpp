// SPDX-License-Identifier: MIT
// bench_words [--list] [options of Google Benchmark]: measures every word against its floor and prints the ratios.
// --list prints the words. The exit status is 1 if a result is wrong; a ratio above its bound is printed, but is no
// failure, because machines differ.

#include <algorithm>
#include <cstdio>
#include <cstring>
#include <map>

#include "../context.hpp"
#include "table.hpp"

namespace {

using namespace bench;

/// Keeps the repetitions of the cases, and prints those that failed.
class Collector : public benchmark::ConsoleReporter {
 public:
  void ReportRuns(const std::vector<Run>& runs) override {
    for (const Run& run : runs) {
      const std::string name = run.run_name.function_name;
      if (run.error_occurred) std::printf("%s: %s\n", name.c_str(), run.error_message.c_str());
      failed |= run.error_occurred;
      if (run.run_type != Run::RT_Iteration || run.error_occurred) continue;
      seconds[name].push_back(run.cpu_accumulated_time / static_cast<double>(run.iterations));
      for (const char* rate : {"FLOP/s", "B/s"})
        if (const auto found = run.counters.find(rate); found != run.counters.end())
          rates[name].push_back(found->second);
    }
  }

  std::map<std::string, std::vector<double>> seconds, rates;
  bool failed = false;
};

double median(std::vector<double> values) {
  const auto middle = values.begin() + static_cast<std::ptrdiff_t>(values.size() / 2);
  std::nth_element(values.begin(), middle, values.end());
  return *middle;
}

/// Prints the rows whose case and floor were measured.
void print(const WordTable& table, const Collector& results) {
  std::printf("\n%-64s %-42s %8s  %8s %8s  %s\n", "word", "floor", "ratio", "must", "stretch", "ok?");
  int above = 0;
  for (const WordRow& row : table.rows()) {
    const auto& measured = row.rates ? results.rates : results.seconds;
    const auto word = measured.find(row.name()), floor = measured.find(row.floor);
    if (word == measured.end() || floor == measured.end()) continue;
    const double ratio = median(word->second) / median(floor->second);
    const auto meets = [&](double bound) { return row.rates ? ratio >= bound : ratio <= bound; };
    above += meets(row.bounds.must) ? 0 : 1;
    const char* sign = row.rates ? ">=" : "<=";
    std::printf("%-64s %-42s %8.3f  %s %5.2f %s %5.2f  %s\n", row.name().c_str(), row.floor.c_str(), ratio, sign,
                row.bounds.must, sign, row.bounds.stretch,
                !meets(row.bounds.must)     ? "NO"
                : meets(row.bounds.stretch) ? "stretch"
                                            : "yes");
  }
  std::printf("%d of %zu words miss their bound\n", above, table.rows().size());
}

}  // namespace

int main(int argc, char** argv) {
  WordTable table;
  add_dense_words(table);
  add_score_words(table);
  add_pattern_words(table);
  add_network_words(table);
  add_result_words(table);
  add_gradient_words(table);
  if (argc == 2 && std::strcmp(argv[1], "--list") == 0) {
    for (const WordRow& row : table.rows()) std::printf("%s\n", row.word.c_str());
    return 0;
  }
  Collector results;
  const int status = run_benchmarks(argc, argv, &results);
  if (status != 0) return status;
  print(table, results);
  return results.failed ? 1 : 0;
}
