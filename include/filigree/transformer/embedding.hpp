// SPDX-License-Identifier: MIT
#pragma once

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <numeric>
#include <string>
#include <utility>
#include <vector>

#include "filigree/core/check.hpp"
#include "filigree/core/generator.hpp"
#include "filigree/nn/stage_text.hpp"
#include "filigree/nn/state.hpp"

namespace filigree {

namespace detail {
template <Real S>
class EmbeddingState;
}

/// Tables of vectors, one for each column of ids. Its parameters are the vectors of the first table, count x d, then
/// those of the others.
template <Real S>
struct Embedding {
  using Category = Layer;
  using Scalar = S;
  template <Real>
  using State = detail::EmbeddingState<S>;
  static constexpr bool is_table = true;  // a layer with reads_table may read the first table
  std::vector<Index> counts;
  Index d;

  [[nodiscard]] Index inputs() const { return static_cast<Index>(counts.size()); }
  [[nodiscard]] Index outputs(Index columns) const {
    detail::require(columns == inputs(), text(), ": gets ", columns, " columns from the stage before it, not ",
                    inputs(), ", the ids");
    return d;
  }
  [[nodiscard]] Index parameter_count() const { return std::accumulate(counts.begin(), counts.end(), Index{0}) * d; }
  void initialize(S* parameters, Generator& generator) const {
    for (Index e = 0; e < parameter_count(); ++e) parameters[e] = static_cast<S>(0.02 * generator.normal());
  }
  // Describes the layer in messages and in a checkpoint.
  [[nodiscard]] std::string text() const {
    std::string sizes;
    for (const Index count : counts) sizes += (sizes.empty() ? "" : ", ") + std::to_string(count);
    return detail::text_of("embedding(", counts.size() == 1 ? sizes : "{" + sizes + "}", ", ", d, ")");
  }
};

/// Replaces the ids of each token by the sum of their vectors in learned tables, one table for each column of ids:
/// embedding({30522, 2}, 384) adds the vectors of a word and of its type.
///
/// The ids are integers, or numbers of the network's scalar that are whole.
/// Formula    y_i = E_{id_i1} + F_{id_i2} + ...; the tables start with a standard deviation of 0.02
/// Shapes     ids: N x tables, result: N x d; parameters: the tables, count x d, one after another
/// Cost       O(N d) for each table, with the backward pass O(N d + count d)
/// Throws     Error if there is no table, if a count or d is below 1, or a count exceeds 2^24, the whole numbers of
///            float; in a pass, if an id is not a whole number from 0 to count − 1
/// Reference  Bengio et al., JMLR 3, 2003, section 2; sums of tables: Devlin et al., arXiv:1810.04805, figure 2
template <Real S = float>
Embedding<S> embedding(std::vector<Index> counts, Index d) {
  constexpr Index max_count = Index{1} << 24;
  detail::require(!counts.empty(), "embedding(counts, d): counts must have at least 1 entry");
  for (const Index count : counts)
    detail::require(count >= 1 && count <= max_count, "embedding(count, d): count must be from 1 to ", max_count,
                    ", got ", count);
  detail::require(d >= 1, "embedding(count, d): d must be at least 1, got ", d);
  return {.counts = std::move(counts), .d = d};
}

/// Replaces the id of each token by its vector in a learned table.
///
/// The same as embedding({count}, d).
/// Formula    y_i = E_{id_i}; E starts with a standard deviation of 0.02
template <Real S = float>
Embedding<S> embedding(Index count, Index d) {
  return embedding<S>(std::vector<Index>{count}, d);
}

namespace detail {

template <Real S>
class EmbeddingState {
 public:
  void forward(const Embedding<S>& layer, Context<S>& context) {
    const ConstRows<S> x = context.inputs();
    const Index n = x.rows(), d = layer.d, tables = layer.inputs();
    Index* ids = ids_.get<Index>((std::max)(n * tables, Index{1}));  // [tables][n], rows of all tables together
    Index begin = 0;
    for (Index t = 0; t < tables; ++t) {
      const Index count = layer.counts[static_cast<std::size_t>(t)];
      for (Index i = 0; i < n; ++i) {
        const S id = x(i, t);
        if (!(id >= 0 && id < static_cast<S>(count) && id == std::floor(id)))
          fail(layer.text(), ": the id of token ", i, tables > 1 ? " in column " + std::to_string(t) : "",
               " must be a whole number from 0 to ", count - 1, ", got ", static_cast<double>(id));
        ids[t * n + i] = begin + static_cast<Index>(id);
      }
      begin += count;
    }
    S* y = context.make_outputs(d).data();
    context.for_each_rows([&](Index first, Index last) {
      for (Index i = first; i < last; ++i) {
        std::copy_n(context.parameters + ids[i] * d, d, y + i * d);
        for (Index t = 1; t < tables; ++t) {
          const S* const from = context.parameters + ids[t * n + i] * d;
          for (Index j = 0; j < d; ++j) y[i * d + j] += from[j];
        }
      }
    });
  }

  /// Adds the gradients of the tokens with the same id, in the order of the tokens.
  Gradient<S> backward(const Embedding<S>& layer, Context<S>& context) {
    const ConstRows<S> dy = context.output_gradient();
    const Index n = context.in.n, d = layer.d, uses = n * layer.inputs();
    const Index* ids = ids_.get<Index>(0);
    Index* order = order_.get<Index>((std::max)(uses, Index{1}));
    for (Index i = 0; i < uses; ++i) order[i] = i;
    std::stable_sort(order, order + uses, [=](Index a, Index b) { return ids[a] < ids[b]; });
    const Index written = context.network.table_gradient != nullptr ? layer.counts[0] : 0;  // by a tied output
    for_each_rows(layer.parameter_count() / d, context.session, [&](Index first, Index last) {
      std::fill(context.gradient + (std::max)(first, written) * d, context.gradient + (std::max)(last, written) * d,
                S(0));
      const Index* const begin =
          std::lower_bound(order, order + uses, first, [=](Index i, Index id) { return ids[i] < id; });
      for (const Index* i = begin; i != order + uses && ids[*i] < last; ++i)
        for (Index j = 0; j < d; ++j) context.gradient[ids[*i] * d + j] += dy(*i % n, j);
    });
    return {};  // ids have no gradient
  }

 private:
  Buffer ids_, order_;
};

}  // namespace detail
}  // namespace filigree
