// SPDX-License-Identifier: MIT
#pragma once

#include "filigree/core/scratch.hpp"
#include "filigree/stage/grid.hpp"

namespace filigree {

/// All rows before a matrix stage. An absent entry is -inf; an entry of NaN or 0 is present.
template <Real S>
struct DenseMatrix {
  const Grid& grid;              ///< n rows, m columns
  const S* data;                 ///< row-major
  Index stride;                  ///< between the starts of rows
  detail::ScratchFrame& memory;  ///< memory.take<T>(count): memory for the stage that bind() returns

  [[nodiscard]] const S* row(Index i) const { return data + i * stride; }
};

}  // namespace filigree
