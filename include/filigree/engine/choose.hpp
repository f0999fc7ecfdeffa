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
    return has_matrix_stage<Stages> ? EngineKind::whole_matrix : EngineKind::general;
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
template <EngineKind kind, class P, class Stages>
struct EngineClass {
  using type = GeneralEngine<P, Stages, typename P::Scalar>;
};
template <class P, class Stages>
struct EngineClass<EngineKind::gathered, P, Stages> {
  using type = GatheredEngine<P, Stages>;
};
template <class P, class Stages>
struct EngineClass<EngineKind::selection, P, Stages> {
  using type = SelectionEngine<P, Stages>;
};
template <class P, class Stages>
struct EngineClass<EngineKind::selection_or_gathered, P, Stages> {
  using type = ScatteredOr<P, Stages, SelectionEngine<P, Stages>>;
};
template <class P, class Stages>
struct EngineClass<EngineKind::online_softmax, P, Stages> {
  using type = OnlineSoftmaxEngine<P, Stages>;
};
template <class P, class Stages>
struct EngineClass<EngineKind::online_softmax_or_gathered, P, Stages> {
  using type = ScatteredOr<P, Stages, OnlineSoftmaxEngine<P, Stages>>;
};
template <class P, class Stages>
struct EngineClass<EngineKind::strided_softmax, P, Stages> {
  using type = StridedEngine<P, Stages>;
};
template <class P, class Stages>
struct EngineClass<EngineKind::partitioned_softmax, P, Stages> {
  using type = PartitionedEngine<P, Stages>;
};
template <class P, class Stages>
struct EngineClass<EngineKind::lazy_rows, P, Stages> {
  using type = LazyRowsEngine<P, Stages>;
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
template <class P>
struct Choice {
  template <class Stages>
  using Rows = typename EngineClass<choose_for_rows<Stages>(), P, Stages>::type;
  template <class Stages>
  using Product = WithLazyRowsOnly<Stages, typename EngineClass<choose_for_product<Stages>(), P, Stages>::type>;
};
template <class P, class Stages>
using RowsEngine = RoutedOr<P, Stages, Choice<P>::template Rows>;
template <class P, class Stages>
using ProductEngine = RoutedOr<P, Stages, Choice<P>::template Product>;

}  // namespace filigree::detail
