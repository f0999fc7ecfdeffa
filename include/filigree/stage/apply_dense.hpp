// SPDX-License-Identifier: MIT
#pragma once

#include <algorithm>
#include <limits>

#include "filigree/stage/apply.hpp"
#include "filigree/stage/dense_row.hpp"

// Stages on dense rows. An absent value is -inf.

namespace filigree::detail {

template <class T, class S>
concept AppliesDense = RowStage<T> && requires(const T& stage, DenseRow<S>& row) {
  stage.apply_dense(row);
};
template <class T, class S>
concept ListsKept = SelectorStage<T> && requires(const T& stage, const S* from, S* to, Column* columns) {
  stage.list_kept(from, Index{}, to, columns);
};
template <class T, class S>
concept SelectsValues = SelectorStage<T> && requires(const T& stage, const S* from, S* to, S absent) {
  stage.select_values(from, to, Index{}, absent);
};
template <class T, class S>
concept MapsRows = NormalizerStage<T> && requires(const T& stage, const S* from, S* to, S absent, Index i) {
  stage.map_row(from, to, i, absent, i, i);
};
/// A stage that changes each entry by itself.
template <class T, class S>
concept Elementwise = PatternStage<T> || MapStage<T> || SelectsValues<T, S> || MapsRows<T, S>;

/// The positions of consecutive values in memory: of a row, whose keys follow each other, or of a column.
struct Place {
  Index p, j;
  bool is_column;
  const Grid& grid;

  [[nodiscard]] Index query(Index i) const { return is_column ? p + i : p; }
  [[nodiscard]] Index key(Index i) const { return is_column ? j : j + i; }
};

/// Restores a list to the dense row in which it is stored. The list has ascending columns.
template <Real S>
void scatter_list(S* values, const Column* columns, Index count, Index m) {
  Index end = m;
  for (Index e = count - 1; e >= 0; --e) {  // from the end, because columns[e] >= e
    const Index c = columns[e];
    const S value = values[e];
    std::fill(values + c + 1, values + end, DenseRow<S>::absent);
    values[c] = value;
    end = c;
  }
  std::fill(values, values + end, DenseRow<S>::absent);
}

/// The largest number of values to which an elementwise stage is applied at once: they fit into the L1 cache.
inline constexpr Index elementwise_chunk = 1024;

/// Applies a map to `count` values in place, at most elementwise_chunk. The map does not see absent values.
template <MapStage T, Real S>
void map_present(const T& stage, S* values, Index count, const Place& place) {
  const auto& kernels = kernel::kernels<S>();
  if constexpr (MapsVectors<T, S>) {
    if (!kernels.any_absent(values, count)) return stage.map_all(values, count);
    constexpr Index capacity = elementwise_chunk + DenseRow<S>::padding;
    S present[capacity];
    Column columns[capacity];
    const Index size = kernels.copy_above(values, count, DenseRow<S>::absent, present, columns);
    stage.map_all(present, size);
    for (Index e = 0; e < size; ++e) values[columns[e]] = present[e];
  } else {
    constexpr Index block = 16;  // a constant, so that the compiler vectorizes the loop if it can
    const bool all_present = !kernels.any_absent(values, count);
    Index i = 0;
    if (all_present && place.is_column) {
      for (; i + block <= count; i += block)
        for (Index l = 0; l < block; ++l)
          values[i + l] = stage.map(values[i + l], place.p + i + l, place.j, place.grid);
    } else if (all_present) {
      for (; i + block <= count; i += block)
        for (Index l = 0; l < block; ++l)
          values[i + l] = stage.map(values[i + l], place.p, place.j + i + l, place.grid);
    }
    for (; i < count; ++i)
      if (values[i] != DenseRow<S>::absent) values[i] = stage.map(values[i], place.query(i), place.key(i), place.grid);
  }
}

/// Applies an elementwise stage to at most elementwise_chunk values, and writes `absent` for absent ones. `from` and
/// `to` are equal or do not overlap. A stage that maps rows takes no columns.
template <class T, Real S>
  requires Elementwise<T, S>
void apply_elementwise(const T& stage, const S* from, S* to, Index count, S absent, const Place& place) {
  const auto& kernels = kernel::kernels<S>();
  if constexpr (SelectsValues<T, S>) {
    stage.select_values(from, to, count, absent);
  } else if constexpr (MapsRows<T, S>) {
    stage.map_row(from, to, count, absent, place.p, place.j);
  } else {
    if (from != to) std::copy_n(from, count, to);
    if constexpr (PatternStage<T>) {
      for (Index i = 0; i < count; ++i)
        if (!keeps(stage, place.query(i), place.key(i), place.grid)) to[i] = DenseRow<S>::absent;
    } else {
      map_present(stage, to, count, place);
    }
    if (absent != DenseRow<S>::absent) kernels.replace_absent(to, to, count, absent);
  }
}

/// Makes a list of a dense row, in place. `columns` has room for m + padding.
template <Real S>
Row<S> list_of(const DenseRow<S>& row, Column* columns) {
  const Index count = kernel::kernels<S>().list_above(row.values, columns, row.grid.m, DenseRow<S>::absent);
  return {.grid = row.grid,
          .index = row.index,
          .values = row.values,
          .columns = columns,
          .count = count,
          .scratch = row.scratch,
          .maximum = row.maximum,
          .sum = row.sum};
}

/// Applies one stage to a dense row, in place. `columns` has room for m + padding.
template <RowStage T, Real S>
void apply_dense(const T& stage, DenseRow<S>& row, Column* columns) {
  if constexpr (Elementwise<T, S>) {
    for (Index c = 0; c < row.size(); c += elementwise_chunk) {
      const Place place{row.position(), row.position_of(c), false, row.grid};
      S* const values = row.values + c;
      apply_elementwise(stage, values, values, (std::min)(elementwise_chunk, row.size() - c), row.absent, place);
    }
  } else if constexpr (AppliesDense<T, S>) {
    stage.apply_dense(row);
  } else {
    Row<S> list = list_of(row, columns);
    apply(stage, list);
    scatter_list(list.values, list.columns, list.count, row.size());
    row.maximum = list.maximum;
    row.sum = list.sum;
  }
}

}  // namespace filigree::detail
