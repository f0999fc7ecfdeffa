// SPDX-License-Identifier: MIT
#pragma once

#include <tuple>
#include <utility>

#include "filigree/pipe/routed.hpp"
#include "filigree/pipe/weights.hpp"

namespace filigree {

namespace detail {

/// One stage as it is, several as a pipeline.
template <class... T>
auto as_word(const std::tuple<T...>& stages) {
  if constexpr (sizeof...(T) == 1)
    return std::get<0>(stages);
  else
    return make_pipeline(stages);
}

}  // namespace detail

/// Returns what the router of A chooses: the stage that replaces it (a pipeline, if it is several), with members that
/// describe the choice. `scores(Q, K) | route(A) | softmax()` repeats the choice. For several routers, a tuple of them.
///
/// Cost  that of the choice, which A makes again when it is evaluated
template <detail::WeightsExpression A>
auto route(const A& a) {
  static_assert(detail::has_router<typename A::StageTuple>,
                "filigree: route(A): no stage of A is a router, such as prob_sparse or block_top_k");
  a.check();
  const detail::Session session(a.execution());
  const typename A::Bound bound(a.source(), session, a.source().grid().n);
  const auto chosen = detail::bind_routers(bound, a.stages(), session).chosen;
  if constexpr (std::tuple_size_v<std::remove_const_t<decltype(chosen)>> == 1)
    return detail::as_word(std::get<0>(chosen));
  else
    return std::apply([](const auto&... each) { return std::make_tuple(detail::as_word(each)...); }, chosen);
}

}  // namespace filigree
