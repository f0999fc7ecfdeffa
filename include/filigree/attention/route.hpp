// SPDX-License-Identifier: MIT
#pragma once

#include <tuple>
#include <type_traits>

#include "filigree/pipe/weights.hpp"
#include "filigree/run/routed.hpp"

namespace filigree {

namespace detail {

/// Returns a single stage as it is, and several stages as a pipeline.
template <class... T>
auto as_stage_or_pipeline(const std::tuple<T...>& stages) {
  if constexpr (sizeof...(T) == 1)
    return std::get<0>(stages);
  else
    return make_pipeline(stages);
}

}  // namespace detail

/// Runs the router of A and returns the stage (or pipeline) that replaces it, with members that describe the selection.
/// `scores(Q, K) | route(A) | softmax()` reuses the selection. For several routers, returns a tuple of these.
///
/// Cost  the cost of the router; A runs it again when A is evaluated
template <detail::WeightsExpression A>
auto route(const A& a) {
  static_assert(detail::has_router<typename A::StageTuple>,
                "filigree: route(A): no stage of A is a router, such as prob_sparse or block_top_k");
  a.check();
  const detail::Session session(a.execution());
  const typename A::Bound bound = a.source().bind();
  const auto chosen = detail::bind_routers(bound, a.stages(), session).chosen;
  if constexpr (std::tuple_size_v<std::remove_const_t<decltype(chosen)>> == 1)
    return detail::as_stage_or_pipeline(std::get<0>(chosen));
  else
    return std::apply([](const auto&... each) { return std::make_tuple(detail::as_stage_or_pipeline(each)...); },
                      chosen);
}

}  // namespace filigree
