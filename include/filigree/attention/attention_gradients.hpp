// SPDX-License-Identifier: MIT
#pragma once

#include <Eigen/SparseCore>
#include <algorithm>
#include <cstddef>
#include <tuple>
#include <type_traits>
#include <utility>
#include <vector>

#include "filigree/core/with_indices.hpp"
#include "filigree/engine/row_gradients.hpp"

namespace filigree {

/// The gradients of attention: `auto [dQ, dK, dV] = gradients(A * V, dO)`. Those by weights have no V:
/// `auto [dQ, dK] = gradients(A, dW)`.
///
/// `parameters<i>()` is the gradient by the parameters of stage i of the pipeline: a vector, or for bias(B) a sparse
/// matrix of the pairs that have a gradient. `parameters<i>(h)` is that of head h.
template <Real S, class Stages, bool has_values = true>
class AttentionGradients {
 public:
  using Matrix = Eigen::Matrix<S, Eigen::Dynamic, Eigen::Dynamic, Eigen::RowMajor>;
  using Vector = Eigen::Matrix<S, Eigen::Dynamic, 1>;
  using Pairs = Eigen::SparseMatrix<S, Eigen::RowMajor>;

  Matrix q;  ///< has the shape of Q
  Matrix k;  ///< has the shape of K
  Matrix v;  ///< has the shape of V; empty for gradients by weights

  /// Returns the gradient by the parameters of stage i, counted from 0 in the pipeline as it is written.
  ///
  /// Throws  Error unless the head exists
  template <std::size_t i>
  [[nodiscard]] const auto& parameters(Index head = 0) const {
    static_assert(i < std::tuple_size_v<Stages>, "filigree: gradients.parameters<i>(): the pipeline has no stage i");
    using T = std::remove_cvref_t<std::tuple_element_t<i, Stages>>;
    static_assert(detail::ParameterStage<T>, "filigree: gradients.parameters<i>(): stage i has no parameters");
    constexpr Index before = count(std::make_index_sequence<i>()), all = count(Indices());
    const Index heads = static_cast<Index>(sums_.size()) / all;
    detail::require(head >= 0 && head < heads, "gradients.parameters<i>(head): head must be between 0 and ", heads - 1,
                    ", got ", head);
    const auto entry = static_cast<std::size_t>(head * all + before);
    if constexpr (detail::has_pair_parameters<T>)
      return pairs_[entry];
    else
      return sums_[entry];
  }

  template <std::size_t i>
  [[nodiscard]] Matrix& get() & {
    return i == 0 ? q : i == 1 ? k : v;
  }
  template <std::size_t i>
  [[nodiscard]] const Matrix& get() const& {
    return i == 0 ? q : i == 1 ? k : v;
  }
  template <std::size_t i>
  [[nodiscard]] Matrix&& get() && {
    return std::move(i == 0 ? q : i == 1 ? k : v);
  }

  // Appends the gradients by the parameters of a head. They were computed from row `first` of the scores on.
  void add_head(const detail::ParameterGradients<S>& parameters, const Grid& grid, Index first) {
    for (const auto& entry : parameters.stages) {
      Vector& sums = sums_.emplace_back(entry.sums.size());
      for (Index p = 0; p < sums.size(); ++p) sums[p] = static_cast<S>(entry.sums[p]);
      const Index rows = entry.ends.size() - 1;
      Pairs& pairs = rows < 0 ? pairs_.emplace_back() : pairs_.emplace_back(grid.n, grid.m);
      if (rows < 0) continue;
      detail::require(entry.columns.size() <= (std::numeric_limits<int>::max)(),
                      "gradients(A * V, dO): bias(B) must have at most 2^31 - 1 pairs with a gradient, has ",
                      entry.columns.size());
      pairs.resizeNonZeros(entry.columns.size());
      for (Index i = 0; i <= grid.n; ++i)
        pairs.outerIndexPtr()[i] = static_cast<int>(entry.ends[std::clamp<Index>(i - first, 0, rows)]);
      std::copy(entry.columns.begin(), entry.columns.end(), pairs.innerIndexPtr());
      std::copy(entry.values.begin(), entry.values.end(), pairs.valuePtr());
    }
  }

 private:
  using Indices = std::make_index_sequence<std::tuple_size_v<Stages>>;

  /// Returns how many of these stages have parameters.
  template <std::size_t... L>
  static constexpr Index count(std::index_sequence<L...>) {
    return (Index{detail::ParameterStage<std::remove_cvref_t<std::tuple_element_t<L, Stages>>> ? 1 : 0} + ... +
            Index{0});
  }

  std::vector<Vector> sums_;  // of each head and each stage with parameters
  std::vector<Pairs> pairs_;
};

}  // namespace filigree

template <class S, class Stages, bool has_values>
struct std::tuple_size<filigree::AttentionGradients<S, Stages, has_values>>
    : std::integral_constant<std::size_t, has_values ? 3 : 2> {};
template <std::size_t i, class S, class Stages, bool has_values>
struct std::tuple_element<i, filigree::AttentionGradients<S, Stages, has_values>> {
  using type = typename filigree::AttentionGradients<S, Stages, has_values>::Matrix;
};
