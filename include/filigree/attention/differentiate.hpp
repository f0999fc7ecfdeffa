// SPDX-License-Identifier: MIT
#pragma once

#include <Eigen/SparseCore>
#include <cstddef>
#include <tuple>
#include <type_traits>
#include <utility>

#include "filigree/attention/attention_gradients.hpp"
#include "filigree/core/list.hpp"
#include "filigree/engine/choose.hpp"
#include "filigree/engine/form.hpp"
#include "filigree/engine/row_gradients.hpp"
#include "filigree/engine/stage_subsets.hpp"
#include "filigree/engine/tile_gradients.hpp"
#include "filigree/pattern/given.hpp"
#include "filigree/pipe/weights.hpp"
#include "filigree/run/routed.hpp"
#include "filigree/run/sinks.hpp"

// How a pipeline on scores is differentiated.

namespace filigree::detail {

/// The pairs that a selection keeps.
template <Real S>
using KeptPairs = Eigen::SparseMatrix<S, Eigen::RowMajor, Index>;

/// Finds the pairs that the first selector of a pipeline keeps in rows [first, first + count).
template <class P, class Stages>
void find_kept_pairs(P& problem, const Stages& stages, const Session& session, Index first, Index count,
                     KeptPairs<typename P::Scalar>& kept) {
  const auto selection = stage_references<0, Form<Stages>::streamed + 1>(stages);
  const typename Choice<P>::template Rows<std::remove_const_t<decltype(selection)>> engine(problem, selection, session,
                                                                                           count);
  SparseSink<typename P::Scalar> sink(0, problem.grid.n, session);
  for_each_row(engine, first, count, session, sink);
  sink.write(kept, problem.grid.m, false);
}

/// Calls f(patterns, stages) with patterns that keep the pairs of `kept`, and the other stages of a selection.
template <Real S, class Stages, class F>
auto with_kept_pairs(const KeptPairs<S>& kept, const Stages& stages, const F& f) {
  using F0 = Form<Stages>;
  const std::tuple<Given<const KeptPairs<S>&>> patterns(Given<const KeptPairs<S>&>{kept});
  const auto rest =
      std::tuple_cat(map_references<F0::streamed>(stages), stage_references<F0::after_selection, F0::size>(stages));
  return f(patterns, rest);
}

/// What a forward pass keeps for the backward pass beside the product: the pairs that a selection kept, or the
/// statistics of the rows of softmax.
template <Real S>
struct SavedRows {
  KeptPairs<S> kept{};
  List<S> maximum{}, inverse{};
};

/// True if gradients of a pipeline without routers are computed tile by tile.
template <class P, class Stages>
bool uses_tiles(const P& problem, const Stages& stages) {
  if constexpr (TileGradients<P, Stages>::possible)
    return choose_for_product<Stages>() != EngineKind::online_softmax_or_gathered ||
           !std::apply([&](const auto&... stage) { return (is_scattered(stage, problem.grid) || ...); }, stages);
  else
    return false;
}

/// Computes the gradients of rows [first, first + count) of a pipeline without routers. `saved` is null, or what
/// save_rows() kept of these rows; the weight gradient then has the product too.
template <class P, class Stages, class WeightGradient>
void differentiate(P& problem, const Stages& stages, const SavedRows<typename P::Scalar>* saved, const Session& session,
                   Index first, Index count, const WeightGradient& weight_gradient,
                   const GradientTargets<typename P::Scalar>& to, ParameterGradients<typename P::Scalar>& parameters) {
  if constexpr (TileGradients<P, Stages>::possible && WeightGradient::has_values) {
    TileGradients<P, Stages> tiles(problem, stages, session);
    if (saved != nullptr) tiles.use_statistics(saved->maximum, saved->inverse);
    if (uses_tiles(problem, stages) && tiles.run(first, count, weight_gradient, to, parameters)) return;
  }
  const auto run = [&](const auto& patterns, const auto& rest) {
    using Patterns = std::remove_cvref_t<decltype(patterns)>;
    using Rest = std::remove_cvref_t<decltype(rest)>;
    RowGradients<P, Patterns, Rest>(problem, patterns, rest, session, count)
        .run(first, count, weight_gradient, to, parameters);
  };
  if constexpr (Form<Stages>::is_selection) {
    if (saved != nullptr) return with_kept_pairs(saved->kept, stages, run);
    auto& found = session.object<KeptPairs<typename P::Scalar>>();
    find_kept_pairs(problem, stages, session, first, count, found);
    with_kept_pairs(found, stages, run);
  } else {
    constexpr std::size_t leading = leading_patterns<Stages>;
    run(stage_references<0, leading>(stages), stage_references<leading, std::tuple_size_v<Stages>>(stages));
  }
}

/// Computes the product of rows [first, first + count) of a pipeline without routers with V, and keeps what
/// differentiate() needs.
template <class P, class Stages>
void save_rows(P& problem, const Stages& stages, const Session& session, Index first, Index count,
               const ProductSink<typename P::Scalar>& sink, SavedRows<typename P::Scalar>& saved) {
  using S = typename P::Scalar;
  using F = Form<Stages>;
  if constexpr (F::is_selection) find_kept_pairs(problem, stages, session, first, count, saved.kept);
  // The normalizers that find their own entries sum other lists of scores than those of the pairs that they keep.
  if constexpr (F::is_selection && !F::selects_near_maximum) {
    with_kept_pairs(saved.kept, stages, [&](const auto& patterns, const auto& rest) {
      const auto listed = std::tuple_cat(patterns, rest);
      const typename Choice<P>::template Rows<std::remove_const_t<decltype(listed)>> engine(problem, listed, session,
                                                                                            count);
      for_each_row(engine, first, count, session, sink);
    });
  } else {
    const typename Choice<P>::template Product<Stages> engine(problem, stages, session, count);
    if constexpr (TileGradients<P, Stages>::possible) {
      saved.maximum.resize(count);
      saved.inverse.resize(count);
      for_each_row(engine, first, count, session, SavingSink<S>{sink, saved.maximum.data(), saved.inverse.data()});
    } else {
      for_each_row(engine, first, count, session, sink);
    }
  }
}

/// The stages of weights after routers are replaced by what they choose.
template <class A, bool routes = has_router<typename A::StageTuple>>
struct RoutedStages {
  using type = typename A::StageTuple;
};
template <class A>
struct RoutedStages<A, true> {
  using type = typename decltype(bind_routers(std::declval<const typename A::Bound&>(),
                                              std::declval<const typename A::StageTuple&>(),
                                              std::declval<const Session&>()))::Stages;
};

/// Calls f(stages) with the stages of weights after routers are replaced by what they choose.
template <class A, class F>
void with_routed_stages(const A& a, const typename A::Bound& problem, const Session& session, const F& f) {
  if constexpr (has_router<typename A::StageTuple>)
    f(bind_routers(problem, a.stages(), session).stages);
  else
    f(a.stages());
}

/// Computes the gradients of weights on scores.
template <class A, class WeightGradient>
void differentiate(const A& a, const Session& session, const WeightGradient& weight_gradient,
                   const GradientTargets<typename A::Scalar>& to, ParameterGradients<typename A::Scalar>& parameters) {
  auto problem = a.source().bind();
  with_routed_stages(a, problem, session, [&](const auto& stages) {
    differentiate(problem, stages, nullptr, session, a.first_row(), a.row_count(), weight_gradient, to, parameters);
  });
}

/// For bind_values(): rows of V that are plain numbers in memory. The tiles pack them, so that they need no alignment.
template <class A>
struct ReadsPlainValues {
  static constexpr bool aligns_values = TileGradients<typename A::Bound, typename RoutedStages<A>::type>::possible;
};

template <class A>
concept ScoreWeights = WeightsExpression<A> && std::remove_cvref_t<decltype(std::declval<A>().source())>::is_scores;

/// Returns a view of the rows of a matrix, or of a block of its columns.
template <class M>
auto rows_of(M&& m, Index first_column = 0) {
  return kernel::StridedRows<std::remove_reference_t<decltype(*m.data())>>{m.data() + (m.size() > 0 ? first_column : 0),
                                                                           m.outerStride()};
}

}  // namespace filigree::detail
