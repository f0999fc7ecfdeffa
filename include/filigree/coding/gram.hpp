// SPDX-License-Identifier: MIT
#pragma once

#include <algorithm>
#include <cmath>

#include "filigree/core/buffer.hpp"
#include "filigree/core/list.hpp"
#include "filigree/engine/matrix_product.hpp"

namespace filigree::detail {

/// A dictionary as the methods of encode read it: atoms, their Gram matrix, and the inverse of its diagonal.
///
/// Rows of the Gram matrix and of correlations are padded with zeros to whole cache lines.
template <Real S>
class Gram {
 public:
  static constexpr Index unit = static_cast<Index>(Buffer::alignment / sizeof(S));

  /// If `normalized`, the atoms are scaled to length 1, and their inverse lengths are kept.
  Gram(const MatrixView<S>& dictionary, bool normalized, bool with_products, const Session& session)
      : count_(dictionary.rows), width_(dictionary.cols), stride_(round_up((std::max)(count_, Index{1}), unit)) {
    S* atoms = atoms_.template get<S>(count_ * width_);
    inverse_lengths_ = List<S>(count_, S(1));
    for (Index j = 0; j < count_; ++j) {
      S* atom = atoms + j * width_;
      double squares = 0;
      for (Index f = 0; f < width_; ++f) {
        atom[f] = dictionary.data[j * dictionary.row_stride + f * dictionary.col_stride];
        squares += static_cast<double>(atom[f]) * static_cast<double>(atom[f]);
      }
      if (!normalized) continue;
      const double length = std::sqrt(squares);
      inverse_lengths_[j] = length > 0 ? static_cast<S>(1 / length) : S(0);
      for (Index f = 0; f < width_; ++f) atom[f] *= inverse_lengths_[j];
    }
    if (!with_products) return;
    S* products = products_.template get<S>(count_ * stride_);
    std::fill_n(products, count_ * stride_, S(0));
    multiply<S>(atoms_view(), atoms_view().transposed(), {products, stride_}, session);
    for (Index i = 0; i < count_; ++i)  // exactly symmetric for any instruction set
      for (Index j = 0; j < i; ++j) products[i * stride_ + j] = products[j * stride_ + i];
    inverse_diagonal_ = List<S>(count_, S(0));
    for (Index j = 0; j < count_; ++j)
      if (products[j * stride_ + j] > 0) inverse_diagonal_[j] = 1 / products[j * stride_ + j];
  }

  [[nodiscard]] Index count() const { return count_; }
  [[nodiscard]] Index width() const { return width_; }
  [[nodiscard]] Index stride() const { return stride_; }
  [[nodiscard]] MatrixView<S> atoms_view() const { return {atoms_.template data<S>(), count_, width_, width_, 1}; }
  [[nodiscard]] MatrixView<S> view() const { return {products(), count_, count_, stride_, 1}; }
  [[nodiscard]] const S* products() const { return products_.template data<S>(); }
  [[nodiscard]] const S* row(Index j) const { return products() + j * stride_; }
  [[nodiscard]] S diagonal(Index j) const { return row(j)[j]; }
  [[nodiscard]] S inverse_diagonal(Index j) const { return inverse_diagonal_[j]; }
  [[nodiscard]] S inverse_length(Index j) const { return inverse_lengths_[j]; }

 private:
  Index count_, width_, stride_;
  Buffer atoms_, products_;
  List<S> inverse_diagonal_, inverse_lengths_;
};

/// One sample: its correlations with the atoms, d_j . x, its squared norm, and the codes to start from.
template <Real S>
struct CodedSample {
  const S* correlations;  // [stride]
  double squares;
  const int* start_columns;
  const S* start_values;
  Index start_count;
};

/// Codes of a sample that differ from 0, with ascending columns. There is memory for one code of each atom.
template <Real S>
struct CodeRow {
  kernel::Column* columns;
  S* values;
  Index count;
};

/// Copies the entries of a row that differ from 0.
template <Real S>
Index list_nonzeros(const S* row, Index count, CodeRow<S> to) {
  Index out = 0;
  for (Index j = 0; j < count; ++j)
    if (row[j] != 0) {
      to.columns[out] = static_cast<kernel::Column>(j);
      to.values[out++] = row[j];
    }
  return out;
}

}  // namespace filigree::detail
