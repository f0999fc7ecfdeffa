// SPDX-License-Identifier: MIT
#pragma once

#include <concepts>
#include <type_traits>

#include "filigree/core/address_range.hpp"
#include "filigree/core/concepts.hpp"
#include "filigree/stage/grid.hpp"

namespace filigree {

// A stage is a small value type with a member type `Category`, which is one of the following tags. The tag says what
// the stage does to a row and which function it must have. Every stage may also have these members:
//
//   void check(const Grid&) const                  throws an Error, before any computation, if the stage does not fit
//                                                  the matrix
//   bool reads(const AddressRange& target) const   returns true if the stage reads that memory; the result is then
//                                                  computed in a temporary
//   template <class S> void check_scalar() const   throws an Error if S cannot represent the numbers of the stage
//
// A map or a normalizer may have parameters that can be trained. It then has:
//
//   Index parameter_count(const Grid&) const       returns the number of parameters
//   void parameter_gradient(...) const             has the parameters of derivative() or backward(), then d, and a
//                                                  function add(index, value), which it calls to add to the gradient of
//                                                  a parameter
//
// `static constexpr bool parameters_are_pairs = true` says that a map has a parameter for each pair of a query and a
// key, i * m + c for query i and key c, and adds in ascending order. Their gradient is a sparse matrix of the pairs.

/// Masks entries by position: `bool keeps(Index p, Index j) const` or `keeps(p, j, grid)`. Optional members, which
/// affect only speed, are listed in `pattern_traits`.
struct Pattern {};
/// Maps the value of each present entry: `S map(S value, Index p, Index j, const Grid&) const` or, independent of the
/// positions, `void map_all(S* values, Index count) const`, which maps an array in place. Optional members:
///
/// - `S derivative(S x, S y) const` or `derivative(x, y, p, j, grid)`: the derivative at x, where y = map(x). The map
///   can then be differentiated, and is also a layer of networks.
/// - `static constexpr bool derivative_from_output = true`: the derivative depends on y only, and neither function
///   depends on p or on the number of rows. A network then need not keep x, and may process the rows in batches.
/// - `static constexpr bool derivative_is_one = true`: the derivative is 1, and parameter_gradient() does not read x
///   and y.
/// - `void map_tile(const ScoreTile<S>& tile) const`: maps a tile of scores in place, which can use vectors. Each score
///   must become what `map` or `map_all` returns for it, to the bit, and -inf must stay -inf.
struct ScoreMap {};
/// Masks entries by value: `void apply(Row<S>&) const`. NaN must be kept. The choice counts as constant in the backward
/// pass. A selector can be differentiated only if it has one of these members:
///
/// - `static constexpr bool passes_gradient = true`: kept entries keep their values, or move by a constant.
/// - `backward`, as a normalizer.
///
/// A selector or a normalizer may also have a member for rows of dense sources, which affects only speed: see DenseRow.
struct Selector {};
/// Changes the values of a row jointly: `void apply(Row<S>&) const`. Optional member:
///
/// - `void backward(const Row<S>& in, const Row<S>& out, S* d) const`: replaces d, the gradient with respect to the
///   values of `out`, by the gradient with respect to those of `in`. Both rows hold the entries that are present after
///   the stage: `in` with their values before the stage, `out` with those after it.
struct Normalizer {};
/// Reads all rows before one of them is passed on, and returns the row stage that replaces it: `auto bind(const
/// DenseMatrix<S>& X, const Session&) const`. Allowed only on a dense source. As a layer, it needs `passes_gradient`,
/// with the meaning that it has for a selector. The returned stage is only applied to rows of X; it may hold memory of
/// X.memory.
struct MatrixStage {};
/// Reads all queries and keys before any score is computed, and returns the stages that replace it: `auto bind(const
/// Source&, const Session&) const`. Allowed only on scores.
///
/// - The source has the members grid, queries and keys, and d(), the number of features. queries.copy(i, to) copies a
///   query, keys.copy(j, to) a key. The session has run(tasks, f) and scratch(worker).
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

}  // namespace detail
}  // namespace filigree
