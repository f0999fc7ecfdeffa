// SPDX-License-Identifier: MIT
#pragma once

#include <concepts>
#include <type_traits>
#include <utility>
#include <vector>

#include "filigree/core/check.hpp"
#include "filigree/core/list.hpp"
#include "filigree/nn/samples.hpp"

namespace filigree {

/// Sequences of different lengths, one after another. The rows of `tokens` are the tokens of all sequences.
///
/// Layers with attention do not attend between sequences, and positions begin at 0 in each of them. There is no
/// padding. An lvalue is referred to, an rvalue is moved.
/// Shapes  tokens: N x inputs, or N integers, the ids of tokens; the lengths sum to N
/// Throws  Error if a length is below 1, or the sum is not N
template <class X>
class Batch {
 public:
  X tokens;                    ///< one row for each token
  std::vector<Index> lengths;  ///< number of tokens of each sequence

  Batch(X rows, std::vector<Index> sizes) : tokens(std::forward<X>(rows)), lengths(std::move(sizes)) {
    Index sum = 0;
    for (std::size_t s = 0; s < lengths.size(); ++s) {
      detail::require(lengths[s] >= 1, "Batch{tokens, lengths}: lengths[", s, "] must be at least 1, got ", lengths[s]);
      detail::require(lengths[s] <= tokens.rows() - sum, "Batch{tokens, lengths}: the lengths sum to more than the ",
                      tokens.rows(), " rows of tokens");
      sum += lengths[s];
    }
    detail::require(sum == tokens.rows(), "Batch{tokens, lengths}: the lengths sum to ", sum, ", they must sum to the ",
                    tokens.rows(), " rows of tokens");
  }
};
template <class X>
Batch(X&&, std::vector<Index>) -> Batch<X>;

namespace detail {

template <class T>
inline constexpr bool is_batch = false;
template <class X>
inline constexpr bool is_batch<filigree::Batch<X>> = true;

/// Returns the lengths of the sequences of a batch; none for samples that are one sequence.
template <class X>
Slice<Index> lengths_of(const X& x) {
  if constexpr (is_batch<X>)
    return {x.lengths.data(), x.lengths.data() + x.lengths.size()};
  else
    return {};
}

/// Returns the samples of a batch as rows of scalars. Integers are converted.
template <Real S, class X>
decltype(auto) tokens_of(const filigree::Batch<X>& x) {
  using T = typename std::remove_cvref_t<X>::Scalar;
  if constexpr (std::integral<T>)
    return Eigen::Matrix<S, Eigen::Dynamic, Eigen::Dynamic, Eigen::RowMajor>(x.tokens.template cast<S>());
  else
    return static_cast<const std::remove_cvref_t<X>&>(x.tokens);
}

}  // namespace detail
}  // namespace filigree
