// SPDX-License-Identifier: MIT
#pragma once

#include <algorithm>
#include <limits>

#include "filigree/core/prefetcher.hpp"
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

/// A map that reads a large operand, and can request the part for a tile.
template <class T>
concept RequestsTiles = MapStage<T> && requires(const T& stage, Index i, const Grid& grid, Prefetcher& prefetcher) {
  stage.request_tile(i, i, i, i, grid, prefetcher);
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

/// Applies a map of arrays to the present values of an array.
template <class T, Real S>
  requires MapsVectors<T, S>
void map_present(const T& stage, S* values, Index size) {
  constexpr S absent = -std::numeric_limits<S>::infinity();
  constexpr Index batch = 64;
  for (Index begin = 0; begin < size; begin += batch, values += batch) {
    const Index count = (std::min)(batch, size - begin);
    S before[batch];
    std::copy_n(values, count, before);
    stage.map_all(values, count);
    for (Index e = 0; e < count; ++e) values[e] = before[e] == absent ? absent : values[e];
  }
}

/// Applies a pattern or a map to a tile. Absent scores stay absent; those that a pattern removes become -inf.
template <RowStage T, Real S>
void apply_to_tile(const T& stage, const ScoreTile<S>& tile) {
  constexpr S absent = -std::numeric_limits<S>::infinity();
  if constexpr (MapsTiles<T, S>) {
    stage.map_tile(tile);
  } else {
    for (Index r = 0; r < tile.queries; ++r) {
      S* scores = tile.row(r);
      const Index p = tile.p + r;
      if constexpr (MapsVectors<T, S>) {
        map_present(stage, scores, tile.keys);
      } else {
        for (Index e = 0; e < tile.keys; ++e) {
          if (scores[e] == absent) continue;
          if constexpr (MapStage<T>)
            scores[e] = map_at(stage, scores[e], p, tile.j + e, tile.grid);
          else if (!keeps(stage, p, tile.j + e, tile.grid))
            scores[e] = absent;
        }
      }
    }
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
