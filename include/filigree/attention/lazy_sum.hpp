// SPDX-License-Identifier: MIT
#pragma once

#include <tuple>
#include <type_traits>

#include "filigree/engine/lazy_rows.hpp"
#include "filigree/normalize/softmax.hpp"
#include "filigree/pipe/routed.hpp"

namespace filigree {

/// A stage after softmax that gives the lazy rows of prob_sparse weights of 1.
struct LazySum {
  using Category = Router;
  static constexpr bool is_choice = false;  // route(A) returns the active rows, which say it all

  template <class Source, class... Before>
  auto bind(const Source&, const detail::Session&, const std::tuple<Before...>& before) const {
    constexpr std::size_t size = sizeof...(Before);
    constexpr bool makes_lazy[] = {detail::makes_rows_lazy<Before>..., false};
    constexpr std::size_t rows = [&] {
      std::size_t at = 0;
      while (at < size && !makes_lazy[at]) ++at;
      return at;
    }();
    constexpr bool is_softmax[] = {false, std::is_same_v<std::remove_cvref_t<Before>, Softmax>...};
    static_assert(is_softmax[size] && rows < size,
                  "filigree: lazy_sum() sets the weights of the lazy rows of prob_sparse(c, seed) and must follow "
                  "softmax() directly: prob_sparse(c, seed) | softmax() | lazy_sum()");
    if constexpr (is_softmax[size] && rows < size) {
      using Rows = std::remove_cvref_t<std::tuple_element_t<rows, std::tuple<Before...>>>;
      return detail::LazyOnes<Rows>{std::get<rows>(before)};
    } else {
      return std::tuple<>();
    }
  }
};

/// Replaces the weights of the lazy rows of prob_sparse, which are equal, by 1: each lazy row of A * V is then the sum
/// of the visible values and not their mean, as in the causal mode of the reference implementation.
///
/// Formula    A(i, j) = 1 for visible keys j of a lazy row i
/// Edge case  NaN stays; the logsumexp of attend() is that of softmax()
/// Throws     does not compile unless it follows softmax() directly, after prob_sparse
/// Reference  Zhou et al., arXiv:2012.07436, section 3; https://github.com/zhouhaoyi/Informer2020
inline LazySum lazy_sum() { return {}; }

}  // namespace filigree
