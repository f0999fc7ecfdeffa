// SPDX-License-Identifier: MIT
// BigBird with the random blocks that the reference drew. In the reference, a random block that is also in the window
// or global counts twice. In Filigree it counts once. A map that adds the logarithm of the count reproduces the
// reference.
#include <cmath>
#include <filigree/filigree.hpp>

#include "catch.hpp"
#include "parity/fixture.hpp"

namespace fg = filigree;
using parity::Fixture;
using parity::Index;
using parity::Matrix;

namespace {

using Blocks = Matrix<Index>;

template <class S>
struct Layer {
  Fixture weights{"big_bird"};
  Fixture reference;
  Index b = reference.integer("block"), length = reference.integer("length");
  parity::Array<Index> draw = reference.array<Index>("draw");
  Index blocks = draw.shape[1], r = draw.shape[2];
  Matrix<S> hidden = weights.matrix<S>("hidden").topRows(blocks * b);
  Matrix<S> q = weights.linear<S>("query", hidden), k = weights.linear<S>("key", hidden),
            v = weights.linear<S>("value", hidden);
  Matrix<double> expected = reference.matrix<double>("output");

  explicit Layer(const std::string& name) : reference("big_bird/" + name) {}

  [[nodiscard]] Blocks drawn(Index head) const {
    return Eigen::Map<const Blocks>(draw.values.data() + head * blocks * r, blocks, r);
  }
  /// Returns the pattern of bigbird(b, r, seed) with the drawn blocks of one head.
  [[nodiscard]] auto pattern(Index head) const {
    const auto inside = fg::where([n = length](Index p, Index j) { return p < n && j < n; });
    return fg::blocks(b, fg::window(1) || fg::global({0, -1}) || fg::random(drawn(head))) && inside;
  }
  /// Returns how often the reference counts each block of keys for each block of queries, at least 1.
  [[nodiscard]] Matrix<S> counts(Index head) const {
    Matrix<S> times = Matrix<S>::Zero(blocks, blocks);
    for (Index p = 0; p < blocks; ++p)
      for (Index j = 0; j < blocks; ++j)
        times(p, j) = p == 0 || p == blocks - 1 || j == 0 || j == blocks - 1 || std::abs(p - j) <= 1 ? S(1) : S(0);
    const Blocks chosen = drawn(head);
    for (Index p = 1; p + 1 < blocks; ++p)
      for (Index e = 0; e < r; ++e) times(p, chosen(p, e)) += S(1);
    return times.cwiseMax(S(1));
  }
  [[nodiscard]] Matrix<S> attend() const {
    return fg::multi_head(fg::heads{3}, q, k, v, [&](Index h) { return pattern(h) | fg::softmax(); });
  }
  [[nodiscard]] Matrix<S> attend_counting() const {
    return fg::multi_head(fg::heads{3}, q, k, v, [&](Index h) {
      const auto count =
          fg::map([times = counts(h), b = b](S s, Index p, Index j) { return s + std::log(times(p / b, j / b)); });
      return pattern(h) | count | fg::softmax();
    });
  }
};

}  // namespace

TEMPLATE_TEST_CASE("BigBird agrees with transformers for the same random blocks", "", FILIGREE_TEST_SCALARS) {
  for (const std::string name : {"regular", "short", "padded"}) {
    CAPTURE(name);
    const Layer<TestType> layer(name);
    for (Index h = 0; h < 3; ++h) REQUIRE(layer.counts(h).maxCoeff() == 1);
    CHECK(parity::deviation(layer.attend(), layer.expected) <= parity::tolerance<TestType>);
  }
}

TEMPLATE_TEST_CASE("BigBird differs from transformers only where the reference counts a block twice", "",
                   FILIGREE_TEST_SCALARS) {
  using S = TestType;
  for (const std::string name : {"repeated", "evaluation"}) {
    CAPTURE(name);
    const Layer<S> layer(name);
    const Matrix<S> once = layer.attend(), counted = layer.attend_counting();
    CHECK(parity::deviation(counted, layer.expected) <= parity::tolerance<S>);
    Index agreeing = 0, others = 0;
    for (Index h = 0; h < 3; ++h)
      for (Index p = 0; p < layer.blocks; ++p) {
        const auto block_of = [&](const auto& x) { return x.block(p * layer.b, 4 * h, layer.b, 4); };
        const double error = parity::deviation(block_of(once), block_of(layer.expected));
        const bool repeats = layer.counts(h).row(p).maxCoeff() > 1;
        CHECK((repeats ? error > 1e-3 : error <= parity::tolerance<S>));
        ++(repeats ? others : agreeing);
      }
    CHECK(agreeing > 0);
    CHECK(others > 0);
  }
}
