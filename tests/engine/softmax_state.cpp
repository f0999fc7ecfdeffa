// SPDX-License-Identifier: MIT
// States of softmax over disjoint keys are merged into the state over all keys.
#include <cmath>
#include <filigree/filigree.hpp>
#include <limits>
#include <vector>

#include "catch.hpp"
#include "inputs.hpp"

namespace {

namespace fg = filigree;
using test::Index;
using test::Matrix;
using test::Random;
template <class S>
using State = fg::detail::SoftmaxState<S>;

constexpr Index rows = 5, keys = 12, vectors = 2;

template <class S>
struct Memory {
  explicit Memory(Index dv) : size(State<S>::size(rows, dv)), state(buffer.get<S>(size), rows, dv) {
    state.clear(rows);
  }
  [[nodiscard]] std::vector<S> numbers() { return {buffer.get<S>(size), buffer.get<S>(size) + size}; }

  fg::detail::Buffer buffer;
  Index size;
  State<S> state;
};

/// Sets a state to that over the keys [first, last).
template <class S>
void fill(const State<S>& state, const Matrix<S>& scores, const Matrix<S>& v, Index first, Index last) {
  for (Index r = 0; r < rows; ++r) {
    const State<S> row = state.from(r);
    *row.maximum = scores.row(r).segment(first, last - first).maxCoeff();
    for (Index c = first; c < last; ++c) {
      const S w = std::exp(scores(r, c) - *row.maximum);
      row.sum[0] += w;
      for (Index f = 0; f < v.cols(); ++f) row.out[f] += w * v(c, f);
    }
  }
}

}  // namespace

TEMPLATE_TEST_CASE("states over disjoint keys are merged into the state over all keys", "", FILIGREE_TEST_SCALARS) {
  using S = TestType;
  Random random(701);
  const Index dv = vectors * fg::kernel::kernels<S>().lanes;
  const Matrix<S> scores = 5 * test::normal<S>(random, rows, keys), v = test::normal<S>(random, keys, dv);
  Memory<S> whole(dv), a(dv), b(dv), empty(dv);
  fill(whole.state, scores, v, 0, keys);
  fill(a.state, scores, v, 0, 7);
  fill(b.state, scores, v, 7, keys);
  const std::vector<S> before = a.numbers();
  a.state.merge(empty.state, rows);
  CHECK(a.numbers() == before);
  a.state.merge(b.state, rows);
  const S tolerance = 200 * std::numeric_limits<S>::epsilon();
  for (Index r = 0; r < rows; ++r) {
    const S sink = r % 2 == 0 ? -std::numeric_limits<S>::infinity() : S(0.5);
    const State<S> merged = a.state.from(r), expected = whole.state.from(r);
    const S lse = fg::detail::logsumexp(merged.normalize(sink, 1));
    const S expected_lse = fg::detail::logsumexp(expected.normalize(sink, 1));
    S sum = std::exp(sink);
    for (Index c = 0; c < keys; ++c) sum += std::exp(scores(r, c));
    CHECK(std::abs(lse - std::log(sum)) <= tolerance * (1 + std::abs(lse)));
    CHECK(std::abs(lse - expected_lse) <= tolerance * (1 + std::abs(lse)));
    for (Index f = 0; f < dv; ++f) CHECK(std::abs(merged.out[f] - expected.out[f]) <= tolerance);
  }
}

TEMPLATE_TEST_CASE("a state over no keys has output 0", "", FILIGREE_TEST_SCALARS) {
  using S = TestType;
  const Index dv = vectors * fg::kernel::kernels<S>().lanes;
  constexpr S none = -std::numeric_limits<S>::infinity();
  Memory<S> empty(dv);
  CHECK(fg::detail::logsumexp(empty.state.normalize(none, 1)) == none);
  CHECK(fg::detail::logsumexp(empty.state.from(1).normalize(S(2), 1)) == S(2));
  for (Index f = 0; f < 2 * dv; ++f) CHECK(empty.state.out[f] == S(0));
}
