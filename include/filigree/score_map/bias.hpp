// SPDX-License-Identifier: MIT
#pragma once

#include <type_traits>
#include <utility>

#include "filigree/core/check.hpp"
#include "filigree/core/lazy.hpp"
#include "filigree/core/operand.hpp"
#include "filigree/core/prefetcher.hpp"
#include "filigree/kernel/kernels.hpp"
#include "filigree/stage/stage.hpp"

namespace filigree {

/// Score map that adds the entries of a matrix.
template <class Held>
struct Bias {
  using Category = ScoreMap;
  Held b;

  template <Real S>
  S map(S s, Index p, Index j, const Grid& grid) const {
    require_scalar<S>();
    return s + b.coeff(grid.row(p), grid.column(j));
  }
  template <Real S>
  void map_tile(const ScoreTile<S>& tile) const {
    require_scalar<S>();
    const Index row = tile.grid.row(tile.p), column = tile.grid.column(tile.j);
    kernel::kernels<S>().add_matrix({tile.values, tile.stride}, tile.queries, tile.keys,
                                    {b.data() + row * b.rowStride() + column * b.colStride(), b.rowStride()},
                                    b.colStride());
  }
  // Requests the entries for a tile that is mapped soon. They are read only once, so the processor cannot know them.
  void request_tile(Index p, Index queries, Index j, Index keys, const Grid& grid,
                    detail::Prefetcher& prefetcher) const {
    const auto* first = b.data() + grid.row(p) * b.rowStride() + grid.column(j) * b.colStride();
    if (b.colStride() == 1) prefetcher.request(first, queries, keys, b.rowStride());
  }
  static constexpr bool derivative_is_one = true;
  template <Real S>
  S derivative(S, S) const {
    return 1;
  }
  static constexpr bool parameters_are_pairs = true;
  Index parameter_count(const Grid& grid) const { return grid.n * grid.m; }
  /// The gradient by B(i, c), which is parameter i * m + c: that of the score.
  template <Real S, class Add>
  void parameter_gradient(S, S, Index p, Index j, const Grid& grid, S d, const Add& add) const {
    add(grid.row(p) * grid.m + grid.column(j), d);
  }
  void check(const Grid& grid) const {
    detail::require(b.rows() == grid.n && b.cols() == grid.m, "bias(B): B is ", b.rows(), "x", b.cols(),
                    " and must have the shape of the scores, ", grid.n, "x", grid.m);
  }
  bool reads(const AddressRange& target) const { return detail::reads_memory(b, target); }

 private:
  template <Real S>
  static constexpr void require_scalar() {
    static_assert(std::is_same_v<S, typename std::remove_cvref_t<Held>::Scalar>,
                  "filigree: bias(B): B must have the scalar of the scores; use B.cast<...>()");
  }
};

/// Adds a matrix of biases, indexed by row and column, independent of positions.
///
/// Formula    s + B(i, c)
/// Shapes     B: n x m, any dense Eigen expression with the scalar of the scores
/// Edge case  an entry of -inf masks the score
/// Aliasing   an lvalue matrix is held by reference; an expression without storage is evaluated once, at this call
/// Throws     Error when it is applied to scores whose shape is not that of B
template <DenseExpression B>
Bias<StoredOperand<B>> bias(B&& b) {
  return {.b = std::forward<B>(b)};
}

}  // namespace filigree
