// SPDX-License-Identifier: MIT
#pragma once

#include <limits>
#include <utility>

#include "filigree/core/lazy.hpp"
#include "filigree/core/operand.hpp"
#include "filigree/run/matrix_engine.hpp"

namespace filigree::detail {

/// The rows of a dense expression, as the source of an engine.
template <class R>
struct DenseRows {
  using Scalar = typename R::Scalar;
  R reader;
  Grid grid;

  /// Returns the matrix as the dense engine reads it. The result refers to this object.
  [[nodiscard]] DenseInput<Scalar> input() const {
    if constexpr (R::direct)
      return {grid, reader.data(), reader.row_stride(), reader.col_stride(), nullptr, nullptr};
    else
      return {grid,    nullptr,
              0,       0,
              &reader, [](const void* from, Index i, Scalar* to) {
                static_cast<const R*>(from)->copy_row(i, to); }};
  }

  void pack(const Session&, Index) const {}
  [[nodiscard]] Index height() const { return 16; }
  [[nodiscard]] Index stride() const { return grid.m + Row<Scalar>::padding; }
  void fill(Index first, Index count, Scalar* to, WorkerScratch&) const {
    for (Index r = 0; r < count; ++r) reader.copy_row(first + r, to + r * stride());
  }
};

/// A dense Eigen expression as the source of a pipeline. A compile-time row or column vector is treated as one row.
template <class X>
class DenseSource {
 public:
  using Xpr = std::remove_cvref_t<X>;
  using Scalar = typename Xpr::Scalar;
  static_assert(Real<Scalar>, "filigree: X | stage: X must have scalars of type float or double");
  static constexpr bool is_scores = false;
  static constexpr bool is_column = Xpr::ColsAtCompileTime == 1;  // a column vector, read as one row
  static constexpr const char* name() { return "X | stages"; }

  explicit DenseSource(Operand<X> x) : x_(std::forward<Operand<X>>(x)) { check(); }

  void check() const {
    require(grid().m <= (std::numeric_limits<Column>::max)(), "X | stages: a row of X must have at most ",
            (std::numeric_limits<Column>::max)(), " entries, got ", grid().m);
  }

  [[nodiscard]] Grid grid() const {
    const Index n = is_column ? x_.cols() : x_.rows(), m = is_column ? x_.rows() : x_.cols();
    return {.n = n, .m = m, .query_at = m - n, .key_at = 0};
  }

  [[nodiscard]] bool reads(const AddressRange& target) const { return reads_memory(x_, target); }

  using Bound = DenseRows<Reader<Xpr, true>>;

  template <class Stages>
  using Engine = typename DenseChoice<Bound, Stages, Scalar>::type;
  template <class Stages>
  using ProductEngine = Engine<Stages>;

  /// Returns the source for one evaluation.
  [[nodiscard]] Bound bind() const { return {reader_of<true>(x_), grid()}; }

 private:
  Operand<X> x_;
};

}  // namespace filigree::detail
