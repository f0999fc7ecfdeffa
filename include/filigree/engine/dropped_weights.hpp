// SPDX-License-Identifier: MIT
#pragma once

#include <algorithm>
#include <tuple>

#include "filigree/engine/form.hpp"

namespace filigree::detail {

/// The weights that dropout after softmax drops, if the pipeline ends in it.
template <class P, class Stages>
class DroppedWeights {
  using Form = detail::Form<Stages>;
  using S = typename P::Scalar;
  static constexpr bool drops = Form::drops_weights;

 public:
  static constexpr Index max_rows = 8;  // of a register group
  /// The random numbers of the rows of a group.
  using Rows = kernel::RandomRow[drops ? max_rows : 1];

  DroppedWeights(const P& problem, const Stages& stages) : problem_(problem), stages_(stages) {}

  /// Returns the random numbers of rows [first, first + n) relative to the column c0, in `rows`; null without dropout.
  /// The rest of the rows of a group repeat the last row.
  const kernel::RandomRow* of(Index first, Index n, Index c0, Rows& rows) const {
    if constexpr (drops) {
      const Grid& grid = problem_.grid;
      for (Index r = 0; r < max_rows; ++r)
        rows[r] = dropout().random_row(grid.query_at + first + (std::min)(r, n - 1), grid.key_at + c0);
      return rows;
    } else {
      return nullptr;
    }
  }

  /// Returns the factor of the weights that remain.
  [[nodiscard]] S scale() const {
    if constexpr (drops)
      return static_cast<S>(1 / (1 - dropout().p));
    else
      return S(1);
  }

 private:
  [[nodiscard]] const Dropout& dropout() const { return std::get<Form::streamed + 1>(stages_); }

  const P& problem_;
  const Stages& stages_;
};

}  // namespace filigree::detail
