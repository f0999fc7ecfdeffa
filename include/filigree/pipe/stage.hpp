// SPDX-License-Identifier: MIT
#pragma once

#include <algorithm>
#include <concepts>
#include <type_traits>
#include <utility>

#include "filigree/core/address_range.hpp"
#include "filigree/pipe/row.hpp"

namespace filigree {

// A stage is a small value type with a member type `Category`, one of the following tags, which says what it does to a
// row, and the function that its tag asks for. All of them may have `void check(const Grid&) const`, which throws an
// Error before anything is computed when the stage does not fit the matrix, and `bool reads(const AddressRange&
// target) const`, which says whether it reads any of that memory (so that a target there gets a temporary). A stage
// with numbers that a scalar may not hold has `template <class S> void check_scalar() const`.

/// Makes entries absent by position: `bool keeps(Index p, Index j) const` or `keeps(p, j, grid)`.
/// May also have `void covers(Index p0, Index p1, const Grid&, Ranges&) const` (outside these keys, queries p0 <= p <
/// p1 keep nothing) and `contains` (inside these keys, every one of them keeps everything). Further, `Index
/// same_keys_until(Index p, const Grid&) const` (the queries from p up to there, exclusive, keep the same keys) and
/// `static constexpr bool keeps_is_expensive = true` (asking keeps() costs more than planning a query by itself),
/// `static constexpr bool ranges_are_exact = true` (what it covers and what it contains for one query is exactly what
/// that keeps) and `bool is_scattered(const Grid&) const` (the keys of a query stand mostly apart, and not where those
/// of the queries beside it do).
struct Pattern {};
/// Changes the value of each present entry: `S map(S value, Index p, Index j, const Grid&) const`. May also have `void
/// map_all(S* values, Index count) const`, the same for many, and `S derivative(S x, S y) const`, the derivative at x,
/// where y is what x becomes: then it is a layer of networks too. `static constexpr bool derivative_from_output = true`
/// says that the slope looks at y alone, so that x need not be kept, and neither it nor map at p or the number of rows,
/// so that a network may take some at a time.
struct ScoreMap {};
/// Makes entries absent by value: `void apply(Row<S>&) const`, which keeps NaN.
struct Selector {};
/// Changes the values of a row together: `void apply(Row<S>&) const`.
struct Normalizer {};
/// Works on all rows at once: `void apply(RowList<S>&) const`. Only on a dense source.
struct MatrixStage {};
/// Looks at all queries and keys before anything is scored, and says which stages stand in its place: `auto bind(const
/// Source&, const Session&) const`, where the source has grid(), d(), copy_query(i, to), copy_key(j, to) and
/// gather_panel(columns, count, to), and the session has run(tasks, f) and scratch(worker). It returns a stage or a
/// tuple of stages, which are what route(A) returns, unless `static constexpr bool is_choice` is false. A
/// third parameter, if there is one, is the tuple of the stages that stand before it. Only on scores.
struct Router {};
/// Has parameters, or another output than a row of the same width: a layer of a network, as filigree/nn/state.hpp says.
struct Layer {};

template <class T>
concept Stage = requires {
  typename std::remove_cvref_t<T>::Category;
};
template <class T, class Tag>
concept StageOf = Stage<T> && std::same_as<typename std::remove_cvref_t<T>::Category, Tag>;
template <class T>
concept PatternStage = StageOf<T, Pattern>;
template <class T>
concept MapStage = StageOf<T, ScoreMap>;
template <class T>
concept SelectorStage = StageOf<T, Selector>;
template <class T>
concept NormalizerStage = StageOf<T, Normalizer>;
template <class T>
concept WholeMatrixStage = StageOf<T, MatrixStage>;
template <class T>
concept RouterStage = StageOf<T, Router>;
template <class T>
concept LayerStage = StageOf<T, Layer>;
/// Everything that works on one row at a time.
template <class T>
concept RowStage = Stage<T> && !WholeMatrixStage<T> && !RouterStage<T> && !LayerStage<T>;

namespace detail {

template <PatternStage P>
bool keeps(const P& pattern, Index p, Index j, const Grid& grid) {
  if constexpr (requires { pattern.keeps(p, j, grid); })
    return pattern.keeps(p, j, grid);
  else
    return pattern.keeps(p, j);
}

template <PatternStage P>
Index same_keys_until(const P& pattern, Index p, const Grid& grid) {
  if constexpr (requires { pattern.same_keys_until(p, grid); })
    return (std::max)(pattern.same_keys_until(p, grid), p + 1);  // a pattern of a user may not advance
  else
    return p + 1;
}

template <class P>
inline constexpr bool keeps_is_expensive = false;
template <class P>
  requires requires { std::remove_cvref_t<P>::keeps_is_expensive; }
inline constexpr bool keeps_is_expensive<P> = std::remove_cvref_t<P>::keeps_is_expensive;

template <class P>
inline constexpr bool ranges_are_exact = false;
template <class P>
  requires requires { std::remove_cvref_t<P>::ranges_are_exact; }
inline constexpr bool ranges_are_exact<P> = std::remove_cvref_t<P>::ranges_are_exact;

/// Whether a stage is a pattern that may scatter.
template <class P>
inline constexpr bool may_be_scattered = requires(const std::remove_cvref_t<P>& pattern, const Grid& grid) {
  pattern.is_scattered(grid);
};
template <class P>
bool is_scattered(const P& pattern, const Grid& grid) {
  if constexpr (may_be_scattered<P>)
    return pattern.is_scattered(grid);
  else
    return false;
}

template <Stage T>
void check(const T& stage, const Grid& grid) {
  if constexpr (requires { stage.check(grid); }) stage.check(grid);
}
/// The same for numbers of type S.
template <class S, Stage T>
void check_for(const T& stage, const Grid& grid) {
  check(stage, grid);
  if constexpr (requires { stage.template check_scalar<S>(); }) stage.template check_scalar<S>();
}

template <Stage T>
bool reads(const T& stage, const AddressRange& target) {
  if constexpr (requires { stage.reads(target); })
    return stage.reads(target);
  else
    return false;
}

/// A map that transforms an array of values at once, whatever their positions.
template <class T, class S>
concept MapsVectors = MapStage<T> && requires(const T& stage, S* values) {
  stage.map_all(values, Index{});
};

/// Applies one stage to one row: what the stage means, whoever evaluates it.
template <RowStage T, Real S>
void apply(const T& stage, Row<S>& row) {
  const Index p = row.position();
  if constexpr (PatternStage<T>) {
    row.filter([&](Index i) { return keeps(stage, p, row.position_of(i), row.grid); });
  } else if constexpr (MapStage<T>) {
    if constexpr (MapsVectors<T, S>)
      stage.map_all(row.values, row.count);
    else
      for (Index i = 0; i < row.count; ++i) row.values[i] = stage.map(row.values[i], p, row.position_of(i), row.grid);
    row.filter([&](Index i) { return row.values[i] != -std::numeric_limits<S>::infinity(); });
  } else {
    stage.apply(row);
  }
}

}  // namespace detail
}  // namespace filigree
