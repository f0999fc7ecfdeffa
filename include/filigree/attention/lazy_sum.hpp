// SPDX-License-Identifier: MIT
#pragma once

#include <cstddef>
#include <tuple>
#include <type_traits>

#include "filigree/engine/lazy_rows.hpp"
#include "filigree/normalize/softmax.hpp"
#include "filigree/run/routed.hpp"

namespace filigree {

/// The stage of lazy_sum(): sets the weights of lazy rows to 1.
struct LazySum {
  using Category = Router;
  static constexpr bool is_choice = false;  // route(A) returns only the active rows of prob_sparse

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
      return detail::LazyRowWeights<Rows>{std::get<rows>(before)};
    } else {
      return std::tuple<>();
    }
  }
};

/// Replaces the equal weights of the lazy rows of prob_sparse by 1. Each lazy row of A * V is then the sum of the
/// visible values instead of their mean, as in the causal mode of the reference implementation.
///
/// Formula    A(i, j) = 1 for visible keys j of a lazy row i
/// Edge case  NaN stays NaN; the logsumexp of attend() does not change
/// Throws     does not compile unless it follows softmax() directly, after prob_sparse
/// Reference  Zhou et al., arXiv:2012.07436, section 3; https://github.com/zhouhaoyi/Informer2020
inline LazySum lazy_sum() { return {}; }

}  // namespace filigree
