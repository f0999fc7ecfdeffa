// SPDX-License-Identifier: MIT
#pragma once

#include "filigree/engine/form.hpp"
#include "filigree/engine/gathered.hpp"
#include "filigree/engine/lazy_rows.hpp"
#include "filigree/engine/online_softmax.hpp"
#include "filigree/engine/partitioned_softmax.hpp"
#include "filigree/engine/scattered.hpp"
#include "filigree/engine/selection.hpp"
#include "filigree/engine/strided_softmax.hpp"
#include "filigree/run/engine_kind.hpp"
#include "filigree/run/evaluator.hpp"
#include "filigree/run/routed.hpp"

// Which engine computes a pipeline on scores.

namespace filigree::detail {

/// Returns the engine that computes the rows of weights.
template <class Stages>
constexpr EngineKind choose_for_rows() {
  using F = Form<Stages>;
  if constexpr (F::is_selection)
    return F::may_be_scattered ? EngineKind::selection_or_gathered : EngineKind::selection;
  else if constexpr (F::is_gathered)
    return EngineKind::gathered;
  else
    return has_matrix_stage<Stages> ? EngineKind::row_list : EngineKind::general;
}

/// Returns the engine that computes weights times V.
template <class Stages>
constexpr EngineKind choose_for_product() {
  using F = Form<Stages>;
  if constexpr (F::is_lazy)
    return EngineKind::lazy_rows;
  else if constexpr (F::is_partitioned)
    return EngineKind::partitioned_softmax;
  else if constexpr (F::is_strided)
    return EngineKind::strided_softmax;
  else if constexpr (F::is_online_softmax)
    return F::may_be_scattered ? EngineKind::online_softmax_or_gathered : EngineKind::online_softmax;
  else
    return choose_for_rows<Stages>();
}

/// The class of an engine.
template <EngineKind kind, class Bound, class Stages>
struct EngineClass {
  using type = GeneralEngine<Bound, Stages, typename Bound::Scalar>;
};
template <class Bound, class Stages>
struct EngineClass<EngineKind::gathered, Bound, Stages> {
  using type = GatheredEngine<Bound, Stages>;
};
template <class Bound, class Stages>
struct EngineClass<EngineKind::selection, Bound, Stages> {
  using type = SelectionEngine<Bound, Stages>;
};
template <class Bound, class Stages>
struct EngineClass<EngineKind::selection_or_gathered, Bound, Stages> {
  using type = ScatteredOr<Bound, Stages, SelectionEngine<Bound, Stages>>;
};
template <class Bound, class Stages>
struct EngineClass<EngineKind::online_softmax, Bound, Stages> {
  using type = OnlineSoftmaxEngine<Bound, Stages>;
};
template <class Bound, class Stages>
struct EngineClass<EngineKind::online_softmax_or_gathered, Bound, Stages> {
  using type = ScatteredOr<Bound, Stages, OnlineSoftmaxEngine<Bound, Stages>>;
};
template <class Bound, class Stages>
struct EngineClass<EngineKind::strided_softmax, Bound, Stages> {
  using type = StridedEngine<Bound, Stages>;
};
template <class Bound, class Stages>
struct EngineClass<EngineKind::partitioned_softmax, Bound, Stages> {
  using type = PartitionedEngine<Bound, Stages>;
};
template <class Bound, class Stages>
struct EngineClass<EngineKind::lazy_rows, Bound, Stages> {
  using type = LazyRowsEngine<Bound, Stages>;
};

/// An engine without the shortcut for lazy rows. Its results are correct, but is_fused must not promise its cost.
template <class Engine>
struct WithoutLazyRows : Engine {
  static constexpr bool fused = false;
  using Engine::Engine;
};
template <class Stages, class Engine>
using WithLazyRowsOnly =
    std::conditional_t<Form<Stages>::has_lazy_rows && !Form<Stages>::is_lazy, WithoutLazyRows<Engine>, Engine>;

/// The engines of scores, after their routers are replaced by stages.
template <class Bound>
struct Choice {
  template <class Stages>
  using Rows = typename EngineClass<choose_for_rows<Stages>(), Bound, Stages>::type;
  template <class Stages>
  using Product = WithLazyRowsOnly<Stages, typename EngineClass<choose_for_product<Stages>(), Bound, Stages>::type>;
};
template <class Bound, class Stages>
using RowsEngine = RoutedOr<Bound, Stages, Choice<Bound>::template Rows>;
template <class Bound, class Stages>
using ProductEngine = RoutedOr<Bound, Stages, Choice<Bound>::template Product>;

}  // namespace filigree::detail
