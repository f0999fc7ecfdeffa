// SPDX-License-Identifier: MIT
#pragma once

#include <algorithm>

#include "filigree/core/integers.hpp"
#include "filigree/engine/problem.hpp"
#include "filigree/nn/rows.hpp"

// The scores x W + b as a problem for an engine. The biases are the first feature of the keys, and this feature is 1 in
// every sample. Each score is therefore one chain of multiply-adds that begins with the bias.

namespace filigree::detail {

/// Samples as queries, with a first feature of 1.
template <Real S>
struct AffineQueries {
  using Scalar = S;
  ConstRows<S> x;

  [[nodiscard]] Index rows() const { return x.rows(); }
  [[nodiscard]] Index d() const { return x.cols() + 1; }
  void copy(Index i, S* to) const {
    to[0] = S(1);
    std::copy_n(x.data() + i * x.cols(), x.cols(), to + 1);
  }
  void pack(Index first, Index count, S* to, WorkerScratch& scratch) const {
    pack_groups(count, d(), to, scratch, [&](Index i, S* row) { copy(first + i, row); });
  }
  void prefetch(Index, Index, Prefetcher&) const {}
};

/// Packs the biases and the weights of each output as a key.
///
/// Shapes  weights: in x out, biases: out
template <Real S>
PanelKeys<S> affine_keys(const S* weights, const S* biases, Index in, Index out, const Session& session) {
  S* data = session.keys().get<S>(PackedPanels<S>::size(out, in + 1));
  const PackedPanels<S> panels = {data, out, in + 1, kernel::kernels<S>().width};
  // Writes several panels together, because each row of the weights is in a different memory page.
  constexpr Index batch = 4;
  session.run(ceil_div(panels.panels(), batch), [&](Index task, Index) {
    const Index width = panels.width, end = (std::min)((task + 1) * batch, panels.panels());
    for (Index f = 0; f < panels.d; ++f) {
      const S* from = f == 0 ? biases : weights + (f - 1) * out;
      for (Index p = task * batch; p < end; ++p) {
        S* to = data + (p * panels.d + f) * width;
        const Index cols = (std::min)(width, out - p * width);
        std::copy_n(from + p * width, cols, to);
        std::fill(to + cols, to + width, S(0));
      }
    }
  });
  return {panels};
}

template <Real S>
using AffineProblem = Problem<AffineQueries<S>, PanelKeys<S>>;

/// Returns the scores x W + b as a problem.
template <Real S>
AffineProblem<S> affine_problem(const ConstRows<S>& x, const S* weights, const S* biases, Index out,
                                const Session& session) {
  return {{x}, affine_keys(weights, biases, x.cols(), out, session), {.n = x.rows(), .m = out}, S(1)};
}

}  // namespace filigree::detail
