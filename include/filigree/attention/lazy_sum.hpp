// SPDX-License-Identifier: MIT
#pragma once

#include <tuple>

#include "filigree/engine/form.hpp"
#include "filigree/engine/lazy_rows.hpp"
#include "filigree/run/routed.hpp"

namespace filigree {

/// The stage of lazy_sum(): sets the weights of lazy rows to 1.
struct LazySum {
  using Category = Router;
  static constexpr bool is_choice = false;  // route(A) returns only the active rows of prob_sparse
  static constexpr bool keeps_logsumexp = true;

  template <class Source, class... Before>
  auto bind(const Source&, const detail::Session&, const std::tuple<Before...>& before) const {
    using Form = detail::Form<std::tuple<Before...>>;
    constexpr bool follows_softmax = Form::size > 0 && Form::last_softmax + 1 == Form::size;
    static_assert(follows_softmax && Form::has_lazy_rows,
                  "filigree: lazy_sum() sets the weights of the lazy rows of prob_sparse(c, seed) and must follow "
                  "softmax() directly: prob_sparse(c, seed) | softmax() | lazy_sum()");
    if constexpr (follows_softmax && Form::has_lazy_rows) {
      return detail::LazyRowWeights<typename Form::template StageAt<Form::lazy>>{std::get<Form::lazy>(before)};
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
