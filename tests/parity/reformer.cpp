// SPDX-License-Identifier: MIT
// LSHSelfAttention of transformers: its random rotations, its buckets and its output.
#include <filigree/filigree.hpp>

#include "catch.hpp"
#include "parity/fixture.hpp"

namespace fg = filigree;
using parity::Fixture;
using parity::Index;
using parity::Matrix;

namespace {

constexpr Index heads = 2, width = 4;

template <class S>
void agrees(const std::string& name, bool causal) {
  const Fixture folder(name);
  const Matrix<S> q = folder.matrix<S>("query_key"), k = folder.matrix<S>("key"), v = folder.matrix<S>("value");
  const Matrix<S> output = folder.matrix<S>("output");
  const auto drawn = folder.array<double>("rotations");  // heads, d, rounds, buckets / 2
  const auto buckets = folder.array<Index>("buckets");   // heads, rounds, n
  const Index rounds = drawn.shape[2], half = drawn.shape[3], n = q.rows();
  for (Index h = 0; h < heads; ++h) {
    const Matrix<double> rotations =
        Eigen::Map<const Matrix<double>>(drawn.values.data() + h * width * rounds * half, width, rounds * half);
    const auto head_of = [&](const auto& x) { return x.middleCols(h * width, width); };
    const auto router = fg::lsh(rounds, 2 * half, 8, rotations).shared();
    const auto scores = fg::scores(head_of(q), head_of(k), {.scale = 1.0});
    const auto check = [&](const auto& a) {
      const Matrix<S> out = a * head_of(v);
      CHECK(parity::deviation(out, head_of(output)) <= parity::tolerance<S>);
      const auto [keys, counts] = fg::route(a).stages;
      const Matrix<Index> expected = Eigen::Map<const Matrix<Index>>(buckets.values.data() + h * rounds * n, rounds, n);
      CHECK(keys.query_buckets() == expected.transpose());
    };
    if (causal)
      check(scores | fg::causal() | router | fg::softmax());
    else
      check(scores | router | fg::softmax());
  }
}

}  // namespace

TEMPLATE_TEST_CASE("lsh agrees with Reformer's LSHSelfAttention", "", FILIGREE_TEST_SCALARS) {
  for (const int rounds : {1, 4}) {
    agrees<TestType>("reformer/rounds_" + std::to_string(rounds), false);
    agrees<TestType>("reformer/rounds_" + std::to_string(rounds) + "_causal", true);
  }
}
