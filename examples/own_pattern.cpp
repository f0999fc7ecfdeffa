// SPDX-License-Identifier: MIT
// How does a program define its own pattern? It needs one struct. `keeps` defines the pattern. `covers` tells the
// planner which keys it may skip, and `contains` for which keys it need not call `keeps`.
#include <filigree/filigree.hpp>
#include <iostream>

namespace fg = filigree;
using fg::Index;

/// A query attends to all keys up to the end of its own chunk of c positions, as in streaming speech recognition.
struct UpToChunk {
  using Category = fg::Pattern;
  Index c;

  bool keeps(Index p, Index j) const { return j < end(p); }

  // Of the queries p0 <= p < p1, the last attends to the most keys and the first to the fewest.
  void covers(Index, Index p1, const fg::Grid& grid, fg::Ranges& out) const { out.add(grid.key_at, end(p1 - 1)); }
  void contains(Index p0, Index, const fg::Grid& grid, fg::Ranges& out) const { out.add(grid.key_at, end(p0)); }

 private:
  Index end(Index p) const { return (fg::floor_div(p, c) + 1) * c; }  // rounds down, also if p is negative
};

int main() {
  const UpToChunk pattern{.c = 3};
  const Eigen::MatrixXf ones = Eigen::MatrixXf::Ones(8, 8);
  const Eigen::MatrixXf seen = ones | (pattern && !fg::window(0));
  std::cout << seen << "\n\n";
  fg::verify(pattern, 20, 17);  // throws if covers() or contains() disagrees with keeps()

  fg::Generator random(1);
  Eigen::MatrixXf Q(1000, 16), K(1000, 16), V(1000, 4);
  for (auto* X : {&Q, &K, &V}) fg::fill_normal(*X, random);
  auto A = fg::scores(Q, K) | pattern | fg::top_k(8) | fg::softmax();
  auto B = fg::scores(Q, K) | fg::where([](Index p, Index j) { return j / 3 <= p / 3; }) | fg::top_k(8) | fg::softmax();
  const Eigen::MatrixXf a = A * V, b = B * V;
  std::cout << "fused: " << (fg::is_fused<decltype(A)> ? "yes" : "no")
            << ", the same bits as where(): " << (a == b ? "yes" : "no") << "\n";
}
