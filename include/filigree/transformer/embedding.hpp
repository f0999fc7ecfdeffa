// SPDX-License-Identifier: MIT
#pragma once

#include <algorithm>
#include <cmath>

#include "filigree/core/check.hpp"
#include "filigree/core/generator.hpp"
#include "filigree/nn/state.hpp"

namespace filigree {

namespace detail {
template <Real S>
class EmbeddingState;
}

/// A table of vectors. Its parameters are the vectors, count x d.
template <Real S>
struct Embedding {
  using Category = Layer;
  using Scalar = S;
  template <Real>
  using State = detail::EmbeddingState<S>;
  Index count, d;

  [[nodiscard]] Index inputs() const { return 1; }
  [[nodiscard]] Index outputs(Index columns) const {
    detail::require(columns == 1, "embedding(", count, ", ", d, "): gets ", columns,
                    " columns from the stage before it, not 1, the ids");
    return d;
  }
  [[nodiscard]] Index parameter_count() const { return count * d; }
  void initialize(S* parameters, Generator& generator) const {
    for (Index e = 0; e < count * d; ++e) parameters[e] = static_cast<S>(0.02 * generator.normal());
  }
};

/// Replaces the id of each token by its vector in a learned table.
///
/// The ids are integers, or numbers of the network's scalar that are whole.
/// Formula    y_i = E_{id_i}; E starts with a standard deviation of 0.02
/// Shapes     ids: N x 1, result: N x d; parameters: count x d
/// Cost       O(N d), with the backward pass O(N d + count d)
/// Throws     Error if count or d is below 1, or count exceeds 2^24, the whole numbers of float; in a pass, if an id is
///            not a whole number from 0 to count − 1
/// Reference  Bengio et al., JMLR 3, 2003, section 2
template <Real S = float>
Embedding<S> embedding(Index count, Index d) {
  constexpr Index max_count = Index{1} << 24;
  detail::require(count >= 1 && count <= max_count, "embedding(count, d): count must be from 1 to ", max_count,
                  ", got ", count);
  detail::require(d >= 1, "embedding(count, d): d must be at least 1, got ", d);
  return {.count = count, .d = d};
}

namespace detail {

template <Real S>
class EmbeddingState {
 public:
  void forward(const Embedding<S>& layer, Context<S>& context) {
    const ConstRows<S> x = context.inputs();
    const Index n = x.rows(), d = layer.d;
    Index* ids = ids_.get<Index>((std::max)(n, Index{1}));
    for (Index i = 0; i < n; ++i) {
      const S id = x(i, 0);
      require(id >= 0 && id < static_cast<S>(layer.count) && id == std::floor(id), "embedding(", layer.count, ", ", d,
              "): the id of token ", i, " must be a whole number from 0 to ", layer.count - 1, ", got ",
              static_cast<double>(id));
      ids[i] = static_cast<Index>(id);
    }
    S* y = context.make_outputs(d).data();
    context.for_each_rows([&](Index first, Index last) {
      for (Index i = first; i < last; ++i) std::copy_n(context.parameters + ids[i] * d, d, y + i * d);
    });
  }

  /// Adds the gradients of the tokens with the same id, in the order of the tokens.
  Gradient<S> backward(const Embedding<S>& layer, Context<S>& context) {
    const ConstRows<S> dy = context.output_gradient();
    const Index n = context.in.n, d = layer.d;
    const Index* ids = ids_.get<Index>(0);
    Index* order = order_.get<Index>((std::max)(n, Index{1}));
    for (Index i = 0; i < n; ++i) order[i] = i;
    std::stable_sort(order, order + n, [=](Index a, Index b) { return ids[a] < ids[b]; });
    for_each_rows(layer.count, context.session, [&](Index first, Index last) {
      std::fill(context.gradient + first * d, context.gradient + last * d, S(0));
      const Index* const begin =
          std::lower_bound(order, order + n, first, [=](Index i, Index id) { return ids[i] < id; });
      for (const Index* i = begin; i != order + n && ids[*i] < last; ++i)
        for (Index j = 0; j < d; ++j) context.gradient[ids[*i] * d + j] += dy(*i, j);
    });
    return {};  // ids have no gradient
  }

 private:
  Buffer ids_, order_;
};

}  // namespace detail
}  // namespace filigree
