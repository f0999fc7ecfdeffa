// SPDX-License-Identifier: MIT
#pragma once

#include <algorithm>
#include <type_traits>
#include <utility>

#include "filigree/core/check.hpp"
#include "filigree/core/lazy.hpp"
#include "filigree/core/operand.hpp"
#include "filigree/kernel/kernels.hpp"
#include "filigree/stage/stage.hpp"

namespace filigree {

/// Score map that adds an entry of a table, selected by the signed distance.
template <class Held>
struct RelativeBias {
  using Category = ScoreMap;
  Held table;

  template <Real S>
  S map(S s, Index p, Index j, const Grid&) const {
    require_scalar<S>();
    return s + table.coeff(index(p, j));
  }
  template <Real S>
  void map_tile(const ScoreTile<S>& tile) const {
    require_scalar<S>();
    kernel::kernels<S>().add_diagonals({tile.values, tile.stride}, tile.queries, tile.keys, table.data(),
                                       table.innerStride(), table.size(), tile.j - tile.p + table.size() / 2);
  }
  static constexpr bool derivative_is_one = true;
  template <Real S>
  S derivative(S, S) const {
    return 1;
  }
  Index parameter_count(const Grid&) const { return table.size(); }
  /// The gradient by an entry of the table: that of the scores that use the entry.
  template <Real S, class Add>
  void parameter_gradient(S, S, Index p, Index j, const Grid&, S d, const Add& add) const {
    add(index(p, j), d);
  }
  void check(const Grid&) const {
    detail::require(table.size() % 2 == 1, "relative_bias(table): the table must have an odd size 2r+1, got ",
                    table.size());
  }
  bool reads(const AddressRange& target) const { return detail::reads_memory(table, target); }

 private:
  template <Real S>
  static constexpr void require_scalar() {
    static_assert(
        std::is_same_v<S, typename std::remove_cvref_t<Held>::Scalar>,
        "filigree: relative_bias(table): the table must have the scalar of the scores; use table.cast<...>()");
  }
  [[nodiscard]] Index index(Index p, Index j) const {
    const Index r = table.size() / 2;
    return std::clamp<Index>(j - p + r, 0, 2 * r);
  }
};

/// Adds a bias from a table that is indexed by the signed distance between key and query.
///
/// Formula    s + table[clamp(j − p + r, 0, 2r)]
/// Shapes     table: a vector of 2r+1 numbers, for j - p = -r, ..., r; keys beyond r use the nearest end of the table
/// Aliasing   an lvalue vector is held by reference; an expression without storage is evaluated once, at this call
/// Throws     Error if the size of the table is even
/// Reference  Shaw et al., arXiv:1803.02155, section 3.2; Raffel et al., arXiv:1910.10683, section 2.1
template <DenseExpression Table>
RelativeBias<StoredOperand<Table>> relative_bias(Table&& table) {
  static_assert(bool(std::remove_cvref_t<Table>::IsVectorAtCompileTime),
                "filigree: relative_bias(table): the table must be a vector at compile time");
  RelativeBias<StoredOperand<Table>> result{.table = std::forward<Table>(table)};
  result.check({});
  return result;
}

}  // namespace filigree
