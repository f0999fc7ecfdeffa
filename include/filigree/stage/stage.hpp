// SPDX-License-Identifier: MIT
#pragma once

#include <algorithm>
#include <concepts>
#include <type_traits>
#include <utility>

#include "filigree/core/address_range.hpp"
#include "filigree/stage/row.hpp"

namespace filigree {

// A stage is a small value type with a member type `Category`, which is one of the following tags. The tag says what
// the stage does to a row and which function it must have. Every stage may also have these members:
//
//   void check(const Grid&) const                  throws an Error, before any computation, if the stage does not fit
//                                                  the matrix
//   bool reads(const AddressRange& target) const   returns true if the stage reads that memory; the result is then
//                                                  computed in a temporary
//   template <class S> void check_scalar() const   throws an Error if S cannot represent the numbers of the stage

/// Masks entries by position: `bool keeps(Index p, Index j) const` or `keeps(p, j, grid)`. Optional members:
///
/// - `void covers(Index p0, Index p1, const Grid&, Ranges&) const`: adds key ranges. Queries p0 <= p < p1 keep no key
///   outside them.
/// - `contains`, same parameters: adds key ranges. Each of these queries keeps every key inside them.
/// - `Index same_keys_until(Index p, const Grid&) const`: all queries from p to the result (exclusive) keep the same
///   keys.
/// - `static constexpr bool keeps_is_expensive = true`: keeps() costs more than planning each query separately.
/// - `static constexpr bool ranges_are_exact = true`: for a single query, covers() and contains() both give exactly the
///   keys that the query keeps.
/// - `bool is_scattered(const Grid&) const`: returns true if most keys of a query are not adjacent to each other and
///   neighboring queries keep other keys.
struct Pattern {};
/// Maps the value of each present entry: `S map(S value, Index p, Index j, const Grid&) const`. Optional members:
///
/// - `void map_all(S* values, Index count) const`: maps an array in place, independent of the positions.
/// - `S derivative(S x, S y) const`: the derivative at x, where y = map(x). The stage is then also a layer of networks.
/// - `static constexpr bool derivative_from_output = true`: the derivative depends on y only, and neither function
///   depends on p or on the number of rows. A network then need not keep x, and may process the rows in batches.
struct ScoreMap {};
/// Masks entries by value: `void apply(Row<S>&) const`. NaN must be kept.
struct Selector {};
/// Changes the values of a row jointly: `void apply(Row<S>&) const`.
struct Normalizer {};
/// Transforms all rows at once: `void apply(RowList<S>&) const`. Allowed only on a dense source.
struct MatrixStage {};
/// Reads all queries and keys before any score is computed, and returns the stages that replace it: `auto bind(const
/// Source&, const Session&) const`. Allowed only on scores.
///
/// - The source has grid(), d(), copy_query(i, to), copy_key(j, to) and gather_panel(columns, count, to). The session
///   has run(tasks, f) and scratch(worker).
/// - bind() returns a stage or a tuple of stages. route(A) returns them too, unless the router has `static constexpr
///   bool is_choice = false`.
/// - An optional third parameter of bind() is the tuple of the preceding stages.
struct Router {};
/// Has parameters, or an output of another width: a layer of a network, as described in filigree/nn/state.hpp.
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
/// A stage that processes one row at a time.
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
    return (std::max)(pattern.same_keys_until(p, grid), p + 1);  // a user's pattern may fail to advance
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

/// True if P is a pattern that has is_scattered().
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
/// Checks the stage against the grid and against the scalar S.
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

/// A map that transforms an array of values, independent of their positions.
template <class T, class S>
concept MapsVectors = MapStage<T> && requires(const T& stage, S* values) {
  stage.map_all(values, Index{});
};

/// Applies one stage to one row. This function defines the meaning of a stage for all evaluators.
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
