// SPDX-License-Identifier: MIT
// Which earlier passages does a passage of a long document attend to? The document consists of ten licenses with common
// clauses, 28,000 words. Each word represents the 16 words up to it and attends to words more than 100 words before it.
// Exact top-k attention finds repeated clauses. The recall of a cheaper pattern is the fraction of its weights that the
// pattern keeps.
#include <chrono>
#include <cstdio>
#include <filigree/filigree.hpp>

#include "long_document_text.hpp"

namespace fg = filigree;
using Eigen::Index;

int main() {
  const Text text = read_licenses(
      {"GPL-1", "Artistic", "GPL-2", "MPL-1.1", "LGPL-2.1", "Apache-2.0", "GPL-3", "GFDL-1.3", "MPL-2.0", "CC0-1.0"});
  const Matrix x = passages(text, 64, 16);
  const Index n = x.rows();
  const auto scores = fg::scores(x, x, 30.0);
  const auto past = fg::causal() && !fg::window(100);
  const auto exact = scores | past | fg::top_k(32) | fg::softmax();
  const Eigen::SparseMatrix<float, Eigen::RowMajor> exact_weights = exact;
  const fg::Grid grid{.n = n, .m = n};

  std::printf("%d words of %d licenses\n\n%-34s %6s  %s\n", static_cast<int>(n), static_cast<int>(text.sources.size()),
              "method", "recall", "│ time");
  const auto row = [&](const char* name, const auto& a, const auto& kept) {
    double mass = 0, all = 0;
    for (Index i = 0; i < n; ++i)
      for (Eigen::SparseMatrix<float, Eigen::RowMajor>::InnerIterator e(exact_weights, i); e; ++e) {
        all += static_cast<double>(e.value());
        if (kept.keeps(i, e.col(), grid)) mass += static_cast<double>(e.value());
      }
    const auto start = std::chrono::steady_clock::now();
    const Matrix out = a * x;
    const std::chrono::duration<double, std::milli> time = std::chrono::steady_clock::now() - start;
    std::printf("%-34s %4.0f %%  │ %.0f ms\n", name, 100 * mass / all, time.count());
  };
  const auto under = [&](const char* name, const auto& pattern) {
    const auto kept = past && pattern;
    row(name, scores | kept | fg::softmax(), kept);
  };
  const auto routed = [&](const char* name, const auto& router) {
    const auto a = scores | past | router | fg::softmax();
    row(name, a, fg::route(a));
  };
  row("top_k(32), exact", exact, past && fg::where([](Index, Index) { return true; }));
  under("window(2048, 0)", fg::window(2048, 0));
  under("bigbird(64, 28, 1)", fg::bigbird(64, 28, 1));
  routed("lsh(4, 64, 256, 1).distinct()", fg::lsh(4, 64, 256, 1).distinct());
  routed("block_top_k(64, 32)", fg::block_top_k(64, 32));

  const auto best = fg::selected(exact);
  for (const Index i : {5000, 12345, 26000}) {
    const Index j = best.columns(i, 0);
    std::printf("\n%s: \"%s\"\nattends to %s: \"%s\"\n", text.source_of(i).c_str(), words_before(text, i, 16).c_str(),
                text.source_of(j).c_str(), words_before(text, j, 16).c_str());
  }
}
