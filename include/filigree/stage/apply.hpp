// SPDX-License-Identifier: MIT
#pragma once

#include <limits>

#include "filigree/stage/category.hpp"
#include "filigree/stage/pattern_traits.hpp"
#include "filigree/stage/row.hpp"
#include "filigree/stage/score_tile.hpp"

namespace filigree::detail {

/// A map that transforms an array of values, independent of their positions.
template <class T, class S>
concept MapsVectors = MapStage<T> && requires(const T& stage, S* values) {
  stage.map_all(values, Index{});
};

/// A map that transforms tiles of scores.
template <class T, class S>
concept MapsTiles = MapStage<T> && requires(const T& stage, const ScoreTile<S>& tile) {
  stage.map_tile(tile);
};

/// Returns the value of a map for one entry.
template <MapStage T, Real S>
S map_at(const T& stage, S x, Index p, Index j, const Grid& grid) {
  if constexpr (MapsVectors<T, S>) {
    stage.map_all(&x, 1);
    return x;
  } else {
    return stage.map(x, p, j, grid);
  }
}

/// Applies one stage to one row. This function defines the meaning of a stage for all evaluators.
template <RowStage T, Real S>
void apply(const T& stage, Row<S>& row) {
  const Index p = row.position();
  if constexpr (PatternStage<T>) {
    row.filter([&](Index i) { return keeps(stage, p, row.position_of(i), row.grid); });
  } else if constexpr (MapStage<T>) {
    if constexpr (MapsVectors<T, S>) {
      stage.map_all(row.values, row.count);
    } else if constexpr (MapsTiles<T, S>) {
      row.for_each_run([&](Index i, Index count) {
        stage.map_tile(ScoreTile<S>{row.values + i, count, p, 1, row.position_of(i), count, row.grid});
      });
    } else {
      for (Index i = 0; i < row.count; ++i) row.values[i] = stage.map(row.values[i], p, row.position_of(i), row.grid);
    }
    row.filter([&](Index i) { return row.values[i] != -std::numeric_limits<S>::infinity(); });
  } else {
    stage.apply(row);
  }
}

}  // namespace filigree::detail
