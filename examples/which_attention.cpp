// SPDX-License-Identifier: MIT
// How many keys does a query attend to, on average, in a sequence of 4096 tokens?
#include <filigree/filigree.hpp>
#include <iomanip>
#include <iostream>
#include <vector>

namespace fg = filigree;
using fg::Index;

constexpr Index n = 4096;

template <class P>
void show(const char* name, const P& pattern) {
  std::cout << std::setw(4) << fg::plan(pattern, n, n).pairs() / n << "  " << name << "\n";
}

int main() {
  const auto prompt = fg::causal();
  const auto stream = fg::streaming(4, 512);
  const auto document = fg::longformer(512, {0});
  const auto blocks = fg::bigbird(64, 3, 1);
  const auto signal = fg::neighborhood(512);

  // Four sequences of 1024 tokens, packed into one.
  std::vector<int> ids(n);
  for (std::size_t i = 0; i < ids.size(); ++i) ids[i] = static_cast<int>(i / 1024);
  const auto packed = fg::causal() && fg::documents(ids);

  // The pixels of an image, 64 x 64, row by row; a query attends to the 7 x 7 pixels around it.
  const auto image = fg::where([](Index p, Index j) {
    const Index rows = p / 64 - j / 64, columns = p % 64 - j % 64;
    return -3 <= rows && rows <= 3 && -3 <= columns && columns <= 3;
  });

  show("prompt", prompt);
  show("stream", stream);
  show("document", document);
  show("blocks", blocks);
  show("signal", signal);
  show("packed", packed);
  show("image", image && fg::window(3 * 64 + 3));
}
