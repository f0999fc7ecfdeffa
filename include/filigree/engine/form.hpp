// SPDX-License-Identifier: MIT
#pragma once

#include <cstddef>
#include <tuple>
#include <type_traits>
#include <utility>

#include "filigree/engine/stride.hpp"
#include "filigree/normalize/dropout.hpp"
#include "filigree/normalize/entmax.hpp"
#include "filigree/normalize/entmax15.hpp"
#include "filigree/normalize/softmax.hpp"
#include "filigree/normalize/sparsemax.hpp"
#include "filigree/select/threshold.hpp"
#include "filigree/select/top_k.hpp"
#include "filigree/stage/stage.hpp"

// The form of a pipeline on scores: which stages it has and where. This is the only header of the engines that tests
// stages by their types. choose.hpp chooses an engine by the form, and the engines find their stages by it.

namespace filigree::detail {

/// A pattern that is partitioned into dense parts. In each round a query is in one part. `CountRepeats` is a map that
/// may follow the pattern; with it, a key counts once for each round in which the query attends to it.
template <class P>
concept PartitionedPattern = PatternStage<P> && requires {
  typename std::remove_cvref_t<P>::CountRepeats;
};

/// True if a stage is a map that sets all scores of lazy rows to 0. It has the members is_lazy(row) and active(), the
/// ascending rows that are not lazy.
template <class T>
inline constexpr bool makes_rows_lazy = requires(const std::remove_cvref_t<T>& stage, Index row) {
  stage.is_lazy(row);
  stage.active();
};

/// True if a stage is a map after softmax that sets the weights of lazy rows.
template <class T>
inline constexpr bool weighs_lazy_rows = requires {
  requires std::remove_cvref_t<T>::weighs_lazy_rows;
};

template <class T>
inline constexpr bool is_softmax = std::is_same_v<std::remove_cvref_t<T>, Softmax>;
template <class T>
inline constexpr bool is_dropout = std::is_same_v<std::remove_cvref_t<T>, Dropout>;
template <class T>
inline constexpr bool is_top_k = std::is_same_v<std::remove_cvref_t<T>, TopK>;
/// Returns the distance below the maximum of a row from which on all weights of the normalizer are 0. Such a normalizer
/// makes a row with NaN or +inf NaN.
inline double reach_of(const Sparsemax&) { return 1; }
inline double reach_of(const Entmax15&) { return 2; }
inline double reach_of(const Entmax& normalizer) { return (1 + 0x1p-20) / (normalizer.alpha - 1); }  // rounded up
template <class T>
inline constexpr bool has_reach = requires(const std::remove_cvref_t<T>& stage) {
  reach_of(stage);
};
/// True if a stage may follow softmax without changing the logsumexp of a row.
template <class T>
inline constexpr bool keeps_logsumexp = is_dropout<T> || requires {
  requires std::remove_cvref_t<T>::keeps_logsumexp;
};

/// Returns the index of the first true flag, or n if there is none.
template <std::size_t n>
constexpr std::size_t first_true(const bool (&flags)[n]) {
  std::size_t at = 0;
  while (at < n && !flags[at]) ++at;
  return at;
}

/// The form of a pipeline. Indices are `size` if the pipeline has no such stage.
template <class Stages>
struct Form;
template <class... T>
struct Form<std::tuple<T...>> {
  using Stages = std::tuple<T...>;
  template <std::size_t at>
  using StageAt = std::remove_cvref_t<std::tuple_element_t<at, Stages>>;

  static constexpr std::size_t size = sizeof...(T);
  /// True if each stage works on one row at a time.
  static constexpr bool is_row_wise = (RowStage<T> && ...);

  /// The number of patterns and maps at the beginning. They are applied to tiles of scores.
  static constexpr std::size_t streamed = first_true({!(PatternStage<T> || MapStage<T>)..., true});
  /// True if a streamed stage is a pattern, is a map, transforms several scores at once, or is expensive to evaluate.
  static constexpr bool streams_patterns = first_true({PatternStage<T>..., true}) < streamed;
  static constexpr bool streams_maps = first_true({MapStage<T>..., true}) < streamed;
  template <Real S>
  static constexpr bool maps_spans = first_true({(MapsTiles<T, S> || MapsVectors<T, S>)..., true}) < streamed;
  /// True if a streamed map requests its operand.
  static constexpr bool requests_tiles = first_true({RequestsTiles<T>..., true}) < streamed;
  static constexpr bool keeps_is_expensive = first_true({detail::keeps_is_expensive<T>..., true}) < streamed;
  /// True if a pattern may scatter the keys of a query.
  static constexpr bool may_be_scattered = (detail::may_be_scattered<T> || ...);

  /// True if stage `streamed` is a normalizer that weighs only scores close to the maximum of a row.
  static constexpr bool selects_near_maximum = [] {
    constexpr bool near_maximum[] = {has_reach<T>..., false};
    return near_maximum[streamed];
  }();
  /// True for patterns and maps | top_k, threshold or such a normalizer | any stages. The selector is stage `streamed`.
  static constexpr bool is_selection = [] {
    constexpr bool selects[] = {is_top_k<T> || std::is_same_v<std::remove_cvref_t<T>, Threshold>..., false};
    return is_row_wise && (selects[streamed] || selects_near_maximum);
  }();
  /// The index of the first stage that the selection engine applies to lists.
  static constexpr std::size_t after_selection = selects_near_maximum ? streamed : streamed + 1;
  /// True if the selector is top_k.
  static constexpr bool is_ranked = [] {
    constexpr bool ranks[] = {is_top_k<T>..., false};
    return ranks[streamed];
  }();

  /// True for patterns and maps, at least one pattern | any stages.
  static constexpr bool is_gathered = streams_patterns && is_row_wise;

  /// True if the stage after patterns and maps is softmax.
  static constexpr bool streams_to_softmax = [] {
    constexpr bool soft[] = {is_softmax<T>..., false};
    return soft[streamed];
  }();
  /// True for patterns and maps | softmax.
  static constexpr bool ends_in_softmax = streams_to_softmax && streamed + 1 == size;
  /// True for patterns and maps | softmax | dropout.
  static constexpr bool drops_weights = [] {
    constexpr bool drops[] = {is_dropout<T>..., false, false};
    return streams_to_softmax && streamed + 2 == size && drops[streamed + 1];
  }();
  static constexpr bool is_online_softmax = ends_in_softmax || drops_weights;

  /// The index of a partitioned pattern, and true if its CountRepeats map follows.
  static constexpr std::size_t partitioned = first_true({PartitionedPattern<T>..., true});
  static constexpr bool counts_repeats = [] {
    if constexpr (partitioned + 1 < size)
      return std::is_same_v<StageAt<partitioned + 1>, typename StageAt<partitioned>::CountRepeats>;
    else
      return false;
  }();
  /// True for patterns and maps | softmax, with a partitioned pattern and no other pattern that is expensive to
  /// evaluate, since the other patterns are evaluated for each pair. With repeated keys, no map may follow, because
  /// keys are counted after all maps.
  static constexpr bool is_partitioned = [] {
    if constexpr (partitioned < size && ends_in_softmax) {
      constexpr bool maps[] = {MapStage<T>...};
      for (std::size_t i = partitioned + 2; counts_repeats && i < size; ++i)
        if (maps[i]) return false;
      return (int(PatternStage<T> && detail::keeps_is_expensive<T>) + ...) ==
             int(detail::keeps_is_expensive<StageAt<partitioned>>);
    } else {
      return false;
    }
  }();

  /// The index of a pattern with a stride.
  static constexpr std::size_t strided = first_true({has_stride<T>..., true});
  /// True for patterns and maps | softmax, with a pattern with a stride and no other pattern that scatters keys.
  static constexpr bool is_strided = [] {
    if constexpr (strided < size && ends_in_softmax) {
      using OfStride = decltype(stride_of(std::declval<const StageAt<strided>&>()));
      return (int(detail::may_be_scattered<T>) + ...) == 1 && !detail::may_be_scattered<decltype(OfStride::dense)> &&
             !detail::may_be_scattered<decltype(OfStride::stepped)>;
    } else {
      return false;
    }
  }();

  /// The index of the first map that makes rows lazy.
  static constexpr std::size_t lazy = first_true({makes_rows_lazy<T>..., true});
  static constexpr bool has_lazy_rows = lazy < size;
  /// True if the last stage sets the weights of lazy rows.
  static constexpr bool sums_lazy_rows = [] {
    constexpr bool sums[] = {false, weighs_lazy_rows<T>...};
    return sums[size];
  }();
  /// True for patterns and one map that makes rows lazy | softmax, optionally followed by a stage that sets the weights
  /// of lazy rows.
  static constexpr bool is_lazy = [] {
    if constexpr (has_lazy_rows && streams_to_softmax) {
      constexpr bool streams[] = {PatternStage<T> || makes_rows_lazy<T>...};
      for (std::size_t i = 0; i < streamed; ++i)
        if (!streams[i]) return false;
      return (int(makes_rows_lazy<T>) + ...) == 1 && size == streamed + (sums_lazy_rows ? 2 : 1);
    } else {
      return false;
    }
  }();

  /// The index of softmax, if only stages that keep the logsumexp follow.
  static constexpr std::size_t last_softmax = [] {
    constexpr bool soft[] = {is_softmax<T>..., false};
    constexpr bool keeps[] = {keeps_logsumexp<T>..., false};
    std::size_t at = size;
    while (at > 0 && keeps[at - 1]) --at;
    return at > 0 && soft[at - 1] ? at - 1 : size;
  }();
};

}  // namespace filigree::detail
