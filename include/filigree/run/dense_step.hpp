// SPDX-License-Identifier: MIT
#pragma once

#include <array>
#include <cstddef>
#include <tuple>
#include <utility>

#include "filigree/stage/apply_dense.hpp"

namespace filigree::detail {

/// A stage on dense rows without its type. Functions that the stage does not have are null.
template <Real S>
struct DenseStep {
  const void* stage = nullptr;
  bool uses_positions = true;    // of elementwise stages
  bool needs_rows = false;       // elementwise() takes no columns
  bool takes_any_count = false;  // elementwise() is not limited to elementwise_chunk values
  void (*elementwise)(const void* stage, const S* from, S* to, Index count, S absent, const Place& place) = nullptr;
  Index (*list_kept)(const void* stage, const S* values, Index m, S* kept, Column* columns) = nullptr;
  void (*dense)(const void* stage, DenseRow<S>& row) = nullptr;
  void (*list)(const void* stage, Row<S>& row) = nullptr;  // for rows that are lists
};

/// Returns the functions of a stage. `after_list` is true if the stage follows one that makes a list.
template <bool after_list, Real S, RowStage T>
DenseStep<S> dense_step(const T& stage) {
  DenseStep<S> step{.stage = &stage};
  constexpr bool keeps_list = after_list || !(Elementwise<T, S> || AppliesDense<T, S> || ListsKept<T, S>);
  if constexpr (keeps_list) {
    step.list = [](const void* self, Row<S>& row) { apply(*static_cast<const T*>(self), row); };
  } else if constexpr (ListsKept<T, S>) {
    step.list_kept = [](const void* self, const S* values, Index m, S* kept, Column* columns) {
      return static_cast<const T*>(self)->list_kept(values, m, kept, columns);
    };
  } else if constexpr (Elementwise<T, S>) {
    step.uses_positions = !(SelectsValues<T, S> || MapsVectors<T, S>);
    step.needs_rows = MapsRows<T, S>;
    step.takes_any_count = !MapStage<T>;
    step.elementwise = [](const void* self, const S* from, S* to, Index count, S absent, const Place& place) {
      apply_elementwise(*static_cast<const T*>(self), from, to, count, absent, place);
    };
    step.dense = [](const void* self, DenseRow<S>& row) { apply_dense(*static_cast<const T*>(self), row, nullptr); };
  } else {
    step.dense = [](const void* self, DenseRow<S>& row) { static_cast<const T*>(self)->apply_dense(row); };
  }
  return step;
}

/// The steps of a pipeline, which refer to its stages.
template <class Stages, Real S>
struct DenseSteps;
template <class... T, Real S>
struct DenseSteps<std::tuple<T...>, S> {
  explicit DenseSteps(const std::tuple<T...>& stages)
      : steps([&]<std::size_t... At>(std::index_sequence<At...>) {
          return std::array<DenseStep<S>, sizeof...(T)>{dense_step<follows_list(At), S>(std::get<At>(stages))...};
        }(std::index_sequence_for<T...>())) {}

  std::array<DenseStep<S>, sizeof...(T)> steps;

 private:
  /// True if a stage before stage `at` makes a list.
  static constexpr bool follows_list(std::size_t at) {
    constexpr std::array<bool, sizeof...(T) + 1> lists{
        (!(Elementwise<T, S> || AppliesDense<T, S>) || ListsKept<T, S>)..., false};
    for (std::size_t l = 0; l < at; ++l)
      if (lists[l]) return true;
    return false;
  }
};

}  // namespace filigree::detail
