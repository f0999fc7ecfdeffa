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

namespace detail {
struct NoMemory {};
}  // namespace detail

/// Sequences of different lengths, one after another. The rows of `tokens` are the tokens of all sequences.
///
/// Layers with attention do not attend between sequences, and positions begin at 0 in each of them. There is no
/// padding. An lvalue is referred to, an rvalue is moved. In Batch{tokens, lengths, Batch{memory, memory_lengths}},
/// sequence s of the memory is the one to which cross_attention() attends from sequence s of the tokens.
/// Shapes  tokens: N x inputs, or N integers, the ids of tokens; the lengths sum to N; memory: M x kv, or M integers
/// Throws  Error if a length is below 1, the sum is not N, or the memory has another number of sequences
template <class X, class Memory = detail::NoMemory>
class Batch {
 public:
  X tokens;                    ///< one row for each token
  std::vector<Index> lengths;  ///< number of tokens of each sequence
  Memory memory;               ///< the sequences to which cross_attention() attends; none: an empty struct

  Batch(X rows, std::vector<Index> sizes) requires std::same_as<Memory, detail::NoMemory>
      : tokens(std::forward<X>(rows)), lengths(std::move(sizes)), memory() {
    check();
  }
  Batch(X rows, std::vector<Index> sizes, Memory other) requires(!std::same_as<Memory, detail::NoMemory>)
      : tokens(std::forward<X>(rows)), lengths(std::move(sizes)), memory(std::move(other)) {
    check();
    detail::require(memory.lengths.size() == lengths.size(), "Batch{tokens, lengths, memory}: memory has ",
                    memory.lengths.size(), " sequences, it must have one for each of the ", lengths.size(),
                    " sequences of tokens");
  }

 private:
  void check() const {
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
template <class X, class M>
Batch(X&&, std::vector<Index>, Batch<M>) -> Batch<X, Batch<M>>;

namespace detail {

template <class T>
inline constexpr bool is_batch = false;
template <class X, class M>
inline constexpr bool is_batch<filigree::Batch<X, M>> = true;

/// The lengths of the sequences of a batch with a memory.
template <class M>
struct MemorySequences : Slice<Index> {
  const M& memory;  // a Batch
};

/// Returns the lengths of the sequences of a batch, with its memory if it has one; none for samples that are one
/// sequence.
template <class X>
auto lengths_of(const X& x) {
  if constexpr (is_batch<X>) {
    const Slice<Index> lengths = {x.lengths.data(), x.lengths.data() + x.lengths.size()};
    if constexpr (is_batch<decltype(x.memory)>)
      return MemorySequences<decltype(x.memory)>{lengths, x.memory};
    else
      return lengths;
  } else {
    return Slice<Index>();
  }
}

/// Returns the samples of a batch as rows of scalars. Integers are converted.
template <Real S, class X, class M>
decltype(auto) tokens_of(const filigree::Batch<X, M>& x) {
  using T = typename std::remove_cvref_t<X>::Scalar;
  if constexpr (std::integral<T>)
    return Eigen::Matrix<S, Eigen::Dynamic, Eigen::Dynamic, Eigen::RowMajor>(x.tokens.template cast<S>());
  else
    return static_cast<const std::remove_cvref_t<X>&>(x.tokens);
}

}  // namespace detail
}  // namespace filigree
