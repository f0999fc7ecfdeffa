// SPDX-License-Identifier: MIT
// What do the patterns look like, and how many pairs do they keep? The program prints each pattern for 32 queries and
// keys. It also draws the pattern for 256 queries and keys into a PNG file in the working directory.
#define STB_IMAGE_WRITE_IMPLEMENTATION
#include <filigree/filigree.hpp>
#include <filigree/pattern/draw.hpp>
#include <iostream>
#include <string>
#include <vector>

namespace fg = filigree;
using fg::Index;

/// Returns the document ids of three packed sequences.
std::vector<int> documents_of(Index n) {
  std::vector<int> ids(static_cast<std::size_t>(n), 0);
  for (Index i = 0; i < n; ++i) ids[static_cast<std::size_t>(i)] = i < n * 5 / 16 ? 0 : i < n * 3 / 4 ? 1 : 2;
  return ids;
}

/// Calls show(name, expression, pattern) for each pattern. Its parameters are proportional to n, a multiple of 32.
template <class Show>
void gallery(Index n, Show&& show) {
  const Index w = n / 8, r = n / 16;
  show("window", "window(n/16)", fg::window(r));
  show("dilated_window", "dilated_window(n/16, 3)", fg::dilated_window(r, 3));
  show("neighborhood", "neighborhood(n/8)", fg::neighborhood(w));
  show("random", "random(n/16, 1)", fg::random(r, 1));
  show("documents", "documents(ids)", fg::documents(documents_of(n)));
  show("streaming", "streaming(n/32, n/8)", fg::streaming(n / 32, w));
  show("longformer", "longformer(n/8, {0, -1})", fg::longformer(w, {0, -1}));
  show("bigbird", "bigbird(n/16, 1, 1)", fg::bigbird(r, 1, 1));
  show("sparse_transformer_strided", "sparse_transformer_strided(n/8)", fg::sparse_transformer_strided(w));
  show("sparse_transformer_fixed", "sparse_transformer_fixed(n/8, n/32)", fg::sparse_transformer_fixed(w, n / 32));
}

int main() {
  gallery(32, [](const std::string&, const std::string& expression, const auto& pattern) {
    std::cout << expression << ": " << fg::describe(pattern, 32, 32) << "\n";
  });
  gallery(256, [](const std::string& name, const std::string&, const auto& pattern) {
    fg::draw(pattern, 256, 256, name + ".png");
    std::cout << name << ".png: " << fg::plan(pattern, 256, 256) << "\n";
  });

  std::cout << fg::describe(fg::causal() && (fg::window(1) || fg::first(1)), 10, 10) << "\n";
  std::cout << fg::plan(fg::window(256) || fg::global({0, 1}), 65536, 65536) << "\n";
}
