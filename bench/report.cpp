// SPDX-License-Identifier: MIT
// bench_report folder: reads the results of run.sh in the folder, prints the table of ratios and writes bench.json,
// which contains the table, the medians, and the compilers and machines of the runs.

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <filesystem>
#include <fstream>
#include <map>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <vector>

namespace {

using nlohmann::json;

/// The repetitions of one case.
struct Case {
  std::vector<double> seconds, rate;
  std::string label;
};

double median(std::vector<double> values) {
  const auto middle = values.begin() + static_cast<std::ptrdiff_t>(values.size() / 2);
  std::nth_element(values.begin(), middle, values.end());
  return *middle;
}

/// The repetitions of one or more runs of a benchmark, by the names of the cases. Times are CPU times, which are less
/// affected by other processes, except for comparisons of threads, which use wall-clock time.
struct Results {
  std::map<std::string, Case> cases;
  json contexts = json::array();
  bool failed = false;

  void read(const std::filesystem::path& path) {
    std::ifstream file(path);
    const json run = json::parse(file);
    contexts.push_back(run.at("context"));
    for (const json& b : run.at("benchmarks")) {
      if (b.at("run_type") != "iteration") continue;
      std::string name = b.at("run_name");
      if (b.value("error_occurred", false)) {
        std::printf("%s: %s\n", name.c_str(), b.at("error_message").get<std::string>().c_str());
        failed = true;
        continue;
      }
      const bool wall = name.ends_with("/real_time");
      if (wall) name.erase(name.rfind('/'));
      const std::string unit = b.at("time_unit");
      const double scale = unit == "ns" ? 1e-9 : unit == "us" ? 1e-6 : unit == "ms" ? 1e-3 : 1;
      Case& c = cases[name];
      c.seconds.push_back(b.at(wall ? "real_time" : "cpu_time").get<double>() * scale);
      c.label = b.value("label", "");
      for (const char* rate : {"FLOP/s", "B/s"})
        if (b.contains(rate)) c.rate.push_back(b.at(rate));
    }
  }

  [[nodiscard]] std::optional<double> seconds(const std::string& name) const {
    const auto found = cases.find(name);
    return found == cases.end() ? std::nullopt : std::optional(median(found->second.seconds));
  }
  [[nodiscard]] std::optional<double> rate(const std::string& name) const {
    const auto found = cases.find(name);
    return found == cases.end() || found->second.rate.empty() ? std::nullopt
                                                              : std::optional(median(found->second.rate));
  }

  [[nodiscard]] json medians() const {
    json result;
    for (const auto& [name, c] : cases) {
      result[name] = {{"seconds", median(c.seconds)}, {"repetitions", c.seconds.size()}};
      if (!c.rate.empty()) result[name]["rate"] = median(c.rate);
      if (!c.label.empty()) result[name]["label"] = c.label;
    }
    return result;
  }
};

using Number = std::optional<double>;

Number divide(Number a, Number b) { return a && b ? Number(*a / *b) : std::nullopt; }

class Table {
 public:
  enum class Goal { none, at_most, at_least };

  Table() { std::printf("\n%-58s %7s  %7s  %7s  %s\n", "case", "ratio", "must", "stretch", "ok?"); }

  void row(const std::string& what, Number ratio, Goal goal = Goal::none, double must = 0, Number stretch = {}) {
    if (!ratio) return;
    std::printf("%-58s %7.3f", what.c_str(), *ratio);
    json entry{{"case", what}, {"ratio", *ratio}};
    if (goal != Goal::none) {
      const char* sign = goal == Goal::at_most ? "<=" : ">=";
      const auto is_met = [&](double bound) { return goal == Goal::at_most ? *ratio <= bound : *ratio >= bound; };
      std::printf("  %s %.2f", sign, must);
      if (stretch)
        std::printf("  %s %.2f", sign, *stretch);
      else
        std::printf("  %7s", "");
      std::printf("  %s", !is_met(must) ? "NO" : stretch && is_met(*stretch) ? "stretch" : "yes");
      entry["must"] = must;
      entry["ok"] = is_met(must);
      if (stretch) entry["stretch"] = *stretch;
    }
    std::printf("\n");
    rows_.push_back(std::move(entry));
  }

  [[nodiscard]] const json& rows() const { return rows_; }

 private:
  json rows_ = json::array();
};

}  // namespace

int main(int argc, char** argv) {
  if (argc != 2) return 2;
  const std::filesystem::path folder = argv[1];
  // 4096.json contains the group "4096"; one_file.3.json contains another run of the group "one_file".
  std::map<std::string, Results> groups;
  std::vector<std::filesystem::path> files;
  for (const auto& entry : std::filesystem::directory_iterator(folder))
    if (entry.path().extension() == ".json" && entry.path().filename() != "bench.json") files.push_back(entry.path());
  std::sort(files.begin(), files.end());
  bool failed = false;
  for (const auto& path : files) {
    const std::string name = path.filename().string();
    Results& group = groups[name.substr(0, name.find('.'))];
    group.read(path);
    failed = failed || group.failed;
  }
  // one_file.txt has lines "compiler seconds".
  Results& one_file = groups["one_file"];
  std::ifstream lines(folder / "one_file.txt");
  double seconds = 0;
  for (std::string compiler; lines >> compiler >> seconds;) one_file.cases[compiler].seconds.push_back(seconds);

  std::printf("\n%-46s %12s  %s\n", "medians", "ms", "GFLOP/s or GB/s");
  for (const auto& [group, results] : groups)
    for (const auto& [name, c] : results.cases) {
      std::printf("%-46s %12.3f", (group + ": " + name).c_str(), 1e3 * median(c.seconds));
      if (!c.rate.empty()) std::printf("  %7.1f %s", median(c.rate) / 1e9, c.label.c_str());
      std::printf("\n");
    }

  using enum Table::Goal;
  Table table;
  const Results &small = groups["4096"], &large = groups["16384"], &avx2 = groups["avx2"], &others = groups["others"],
                &orders = groups["orders"], &native = groups["native"], &dense = groups["dense"],
                &threads = groups["threads"], &patterns = groups["patterns"], &routers = groups["routers"],
                &decode = groups["decode"], &encoders = groups["encoders"], &gradients = groups["gradients"];
  const std::string product = "ScoreProduct/4096/4096/64";
  const Number bare = small.seconds(product);
  table.row("bare score product / FMA peak", divide(small.rate(product), small.rate("FmaPeak")), at_least, 0.70, 0.85);
  table.row("top_k(32), n = m = 4096, over the bare product", divide(small.seconds("TopKAttention/4096/64/32"), bare),
            at_most, 1.35, 1.20);
  table.row("top_k(32), n = m = 16384",
            divide(large.seconds("TopKAttention/16384/64/32"), large.seconds("ScoreProduct/16384/16384/64")), at_most,
            1.25, 1.15);
  table.row("top_k(64), n = m = 4096", divide(small.seconds("TopKAttention/4096/64/64"), bare), at_most, 1.45, 1.30);
  const Number half = bare ? Number(*bare / 2) : std::nullopt;
  table.row("top_k(32), 4096, causal, over half the bare product",
            divide(small.seconds("TopKAttentionCausal/4096/64/32"), half), at_most, 1.5, 1.3);
  table.row("two threads over one, n = 16384",
            divide(threads.seconds("TopKAttentionThreads/16384/64/32/1"),
                   threads.seconds("TopKAttentionThreads/16384/64/32/2")),
            at_least, 1.8, 1.95);
  table.row("lowered to AVX2: product / AVX2 FMA peak", divide(avx2.rate(product), avx2.rate("FmaPeak")), at_least,
            0.80, 0.92);
  for (const char* compiler : {"g++", "clang++"})
    table.row(std::string("one file, ") + compiler + " -O2 and -I: product, over the bench's",
              divide(one_file.seconds(product), one_file.seconds(compiler)), at_least, 0.90, 0.97);
  const Number peak = patterns.rate("FmaPeak");
  table.row("window(256) || global({0, 1}), n = 16384: pairs' work / FMA peak",
            divide(patterns.rate("WindowAttention/16384/64/256"), peak), at_least, 0.50, 0.70);
  table.row("full softmax attention, n = 4096 / FMA peak", divide(patterns.rate("SoftmaxAttention/4096/64"), peak),
            at_least, 0.55, 0.75);
  table.row("causal softmax attention, n = 4096 / FMA peak", divide(patterns.rate("CausalAttention/4096/64"), peak));
  const Number small_row = divide(patterns.seconds("WindowAttention/4096/64/256"), 4096.0),
               large_row = divide(patterns.seconds("WindowAttention/65536/64/256"), 65536.0);
  table.row("time per row, n = 65536 over n = 4096, same window", divide(large_row, small_row), at_most, 1.25, 1.1);
  table.row("planning / attending, window(256) || global, n = 65536",
            divide(patterns.seconds("Planning/65536/256"), patterns.seconds("WindowAttention/65536/64/256")), at_most,
            0.05);
  table.row("bigbird(64, 3), n = 16384: pairs' work / FMA peak",
            divide(patterns.rate("BigBirdAttention/16384/64/64/3"), peak), at_least, 0.45, 0.60);
  table.row("sparse_transformer_strided(128), n = 16384: time of a pair over a window's",
            divide(patterns.rate("WindowAttention/16384/64/256"), patterns.rate("StridedAttention/16384/64/128")),
            at_most, 3, 1.5);
  table.row("one query, m = 65536, streaming(4, 4096): bytes of K and V / bytes read from memory",
            divide(decode.rate("Decode/65536/64/4/4096"), decode.rate("MemoryRead")), at_least, 0.5, 0.8);
  // 32 query heads, 8 key heads, d = dv = 128.
  const Number memory = decode.rate("MemoryRead");
  const auto step = [&](const char* name) { return "DecodeHeads/" + std::string(name); };
  for (const char* m : {"32768", "131072"}) {
    const auto row = [&](const char* what, const char* stages, double must, double stretch) {
      table.row("decode, m = " + std::string(m) + ", " + what + ": needed bytes / bandwidth",
                divide(decode.rate(step(stages) + "/" + m + "/1/1"), memory), at_least, must, stretch);
    };
    row("softmax", "softmax", 0.75, 0.9);
    row("softmax, bfloat16", "softmax16", 0.60, 0.8);
    row("top_k(64)", "top_k", 0.75, 0.9);
  }
  table.row("decode, m = 131072, streaming(4, 4096): needed bytes / bandwidth",
            divide(decode.rate(step("streaming/131072/1/1")), memory), at_least, 0.6, 0.8);
  table.row("decode, streaming(4, 4096): m = 131072 over m = 8192",
            divide(decode.seconds(step("streaming/131072/1/1")), decode.seconds(step("streaming/8192/1/1"))), at_most,
            1.1, 1.02);
  const Number one_query = decode.seconds(step("causal/32768/1/1"));
  table.row("decode, causal softmax: n = 4 over n = 1", divide(decode.seconds(step("causal/32768/4/1")), one_query),
            at_most, 1.5, 1.2);
  table.row("decode, causal softmax: n = 16 over n = 1", divide(decode.seconds(step("causal/32768/16/1")), one_query),
            at_most, 3, 2);
  for (const char* name : {"softmax", "top_k"}) {
    const std::string base = step(name) + "_threads/32768/1/";
    table.row("decode, " + std::string(name) + ": two threads over one",
              divide(decode.seconds(base + "1"), decode.seconds(base + "2")), at_least, 1.7, 1.95);
  }
  const Number gradient_peak = gradients.rate("FmaPeak");
  table.row("backward, softmax, n = 4096: pairs' work / FMA peak",
            divide(gradients.rate("SoftmaxBackward/4096/64"), gradient_peak), at_least, 0.60, 0.75);
  table.row("backward, causal, n = 4096: pairs' work / FMA peak",
            divide(gradients.rate("CausalBackward/4096/64"), gradient_peak));
  table.row("backward, window(256) || global({0, 1}), n = 16384: pairs' work / FMA peak",
            divide(gradients.rate("WindowBackward/16384/64"), gradient_peak), at_least, 0.45, 0.60);
  table.row("backward, bigbird(64, 3), n = 16384: pairs' work / FMA peak",
            divide(gradients.rate("BigBirdBackward/16384/64"), gradient_peak), at_least, 0.40, 0.55);
  table.row("backward over forward, top_k(32), n = 4096",
            divide(gradients.seconds("TopKBackward/4096/64"), gradients.seconds("TopKForward/4096/64")), at_most, 0.6,
            0.35);
  table.row("backward, window, n = 16384: two threads over one",
            divide(gradients.seconds("WindowBackwardThreads/16384/64/1"),
                   gradients.seconds("WindowBackwardThreads/16384/64/2")),
            at_least, 1.8, 1.95);
  table.row("backward, window: time per row, n = 65536 over n = 4096",
            divide(divide(gradients.seconds("WindowBackward/65536/64"), 65536.0),
                   divide(gradients.seconds("WindowBackward/4096/64"), 4096.0)),
            at_most, 1.25, 1.1);
  const auto lsh = [&](const char* n, const char* buckets) {
    return divide(routers.seconds("LshAttention/" + std::string(n) + "/64/4/" + buckets + "/64"), std::stod(n));
  };
  table.row("lsh(4, 64, 64): time per row, n = 65536 over n = 4096", divide(lsh("65536", "64"), lsh("4096", "64")),
            at_most, 1.5);
  table.row("lsh(4, n / 32, 64): time per row, n = 65536 over n = 4096",
            divide(lsh("65536", "2048"), lsh("4096", "128")));
  for (const char* name : {"ProbSparseAttention", "ProbSparseAttentionCausal"}) {
    const auto per_row = [&](double n) {
      const std::string size = std::to_string(static_cast<long>(n));
      return divide(routers.seconds(std::string(name) + "/" + size + "/64/5"), n * std::log(n));
    };
    table.row(std::string(name) + "(5): time per row / ln n, n = 65536 over n = 4096",
              divide(per_row(65536), per_row(4096)), at_most, 1.5);
  }
  for (const char* order : {"Ascending", "Descending", "Misleading", "Equal", "ConstantRows", "NearTies"})
    table.row(std::string("adversarial order of keys: ") + order + ", over random",
              divide(orders.seconds(std::string("TopKAttention") + order + "/4096/64/32"),
                     orders.seconds("TopKAttention/4096/64/32")),
              at_most, 2.5);
  for (const std::string n : {"16", "64", "256"})
    table.row("200,000 keys searched by the first " + n + " of the keys, over other queries",
              divide(orders.seconds("TopKAttentionSelf/" + n + "/200000/64/10"),
                     orders.seconds("TopKAttentionOther/" + n + "/200000/64/10")),
              at_most, 1.15);
  table.row("Eigen's product, these flags, over the bare product's time",
            divide(others.seconds("EigenScoreProduct/4096/4096/64"), others.seconds(product)));
  table.row("Eigen's product, -march=native, over the bare product's time",
            divide(native.seconds("EigenScoreProduct/4096/4096/64"), one_file.seconds(product)));
  for (const std::string n : {"4096", "16384"})
    table.row(
        "naive top-k attention, n = " + n + ", over ours",
        divide(others.seconds("NaiveTopKAttention/" + n + "/64/32"), others.seconds("TopKAttention/" + n + "/64/32")));
  table.row("threshold of a dense matrix, over a copy",
            divide(dense.seconds("ThresholdDense/1024/4096"), dense.seconds("DenseCopy/1024/4096")));
  table.row("top_k(32) of a dense matrix, over a copy",
            divide(dense.seconds("TopKDense/1024/4096/32"), dense.seconds("DenseCopy/1024/4096")));
  const Number encode = encoders.seconds("EncodeProduct/1024/512/8192");
  table.row("encoder, 1024 x 512 x 8192: bare product / FMA peak",
            divide(encoders.rate("EncodeProduct/1024/512/8192"), encoders.rate("FmaPeak")), at_least, 0.70);
  table.row("linear | top_k(32), over the bare product",
            divide(encoders.seconds("EncodeTopK/1024/512/8192/32"), encode), at_most, 1.10);
  table.row("TopK autoencoder forward and backward, over the bare product",
            divide(encoders.seconds("TopKStep/1024/512/8192/32"), encode));
  const auto dense_over_sparse = [&](const std::string& sizes) {
    return divide(encoders.seconds("LinearLayerDense" + sizes), encoders.seconds("LinearLayerSparse" + sizes));
  };
  table.row("linear 2048 -> 512, both passes: dense over 1% nonzero", dense_over_sparse("/1024/2048/512"), at_least, 10,
            30);
  table.row("linear 8192 -> 512, both passes: dense over 1% nonzero", dense_over_sparse("/1024/8192/512"), at_least, 10,
            30);

  json all{{"ratios", table.rows()}};
  for (const auto& [group, results] : groups)
    all["groups"][group] = {{"medians", results.medians()}, {"contexts", results.contexts}};
  std::ofstream(folder / "bench.json") << all.dump(2) << '\n';
  return failed ? 1 : 0;
}
