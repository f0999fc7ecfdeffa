// SPDX-License-Identifier: MIT
#pragma once

#include <Eigen/SparseCore>
#include <algorithm>
#include <concepts>
#include <type_traits>

#include "filigree/nn/activations.hpp"
#include "filigree/run/widen.hpp"

namespace filigree {

/// Samples as the rows of a sparse matrix, in row-major or column-major order.
template <class X>
concept SparseSamples = std::derived_from<X, Eigen::SparseMatrixBase<X>>;

namespace detail {

/// A selection of rows of a row-major matrix, in a given order.
template <class X>
struct SelectedRows {
  using Scalar = typename X::Scalar;
  const X& matrix;
  const Index* order;  // [count]
  Index count;

  [[nodiscard]] Index rows() const { return count; }
  [[nodiscard]] Index cols() const { return matrix.cols(); }
};

template <class T>
inline constexpr bool is_selected_rows = false;
template <class X>
inline constexpr bool is_selected_rows<SelectedRows<X>> = true;
template <class X>
inline constexpr bool is_sparse_samples = SparseSamples<X>;
template <class X>
inline constexpr bool is_sparse_samples<SelectedRows<X>> = SparseSamples<X>;

}  // namespace detail

/// Samples as the rows of any dense expression, or of a sparse matrix.
template <class X>
concept Samples = DenseExpression<X> || SparseSamples<X> || detail::is_selected_rows<X>;

namespace detail {

/// Calls f(i, j, value) for each stored entry of sparse samples. The columns of each row ascend.
template <class X, class F>
void each_entry(const X& x, F&& f) {
  if constexpr (is_selected_rows<X>) {
    for (Index i = 0; i < x.count; ++i)
      for (typename std::remove_cvref_t<decltype(x.matrix)>::InnerIterator e(x.matrix, x.order[i]); e; ++e)
        f(i, static_cast<Index>(e.col()), e.value());
  } else {
    for (Index outer = 0; outer < x.outerSize(); ++outer)
      for (typename X::InnerIterator e(x, outer); e; ++e)
        f(static_cast<Index>(e.row()), static_cast<Index>(e.col()), e.value());
  }
}

/// Returns the memory of an expression that is stored as contiguous rows of type S. Otherwise returns null.
template <Real S, class X>
const S* in_place(const X& x) {
  if constexpr (DenseExpression<X>) {
    if constexpr (Reader<X>::direct && std::same_as<typename X::Scalar, S>) {
      const auto reader = reader_of(x);
      if (x.size() > 0 && reader.contiguous_rows() && (reader.row_stride() == x.cols() || x.rows() == 1))
        return reader.data();
    }
  }
  return nullptr;
}

/// Writes dense samples as contiguous rows.
template <class X, Real S>
void copy_samples(const X& x, S* to, const Session& session) {
  if constexpr (is_selected_rows<X>) {
    for_each_rows(x.count, session, [&](Index first, Index last) {
      for (Index i = first; i < last; ++i)
        std::copy_n(x.matrix.data() + x.order[i] * x.cols(), x.cols(), to + i * x.cols());
    });
  } else {
    const auto reader = reader_of(x);
    for_each_rows(x.rows(), session, [&](Index first, Index last) {
      for (Index i = first; i < last; ++i) read_row(reader, i, to + i * x.cols());
    });
  }
}

/// Writes samples as contiguous rows. Entries that sparse samples do not store are 0.
template <class X, Real S>
void to_dense_samples(const X& x, S* to, const Session& session) {
  if constexpr (is_sparse_samples<X>) {
    std::fill_n(to, x.rows() * x.cols(), S(0));
    each_entry(x, [&](Index i, Index j, auto value) { to[i * x.cols() + j] = static_cast<S>(value); });
  } else {
    copy_samples(x, to, session);
  }
}

/// Writes the stored entries of sparse samples as lists.
template <class X, Real S>
void list_samples(const X& x, ListMemory<S>& memory) {
  Index* counts = memory.counts(x.rows());
  std::fill_n(counts, x.rows(), Index(0));
  each_entry(x, [&](Index i, Index, auto) { ++counts[i]; });
  memory.allocate(x.rows(), x.rows() > 0 ? *std::max_element(counts, counts + x.rows()) : 0);
  const Lists<S>& lists = memory.lists();
  std::fill_n(lists.counts, x.rows(), Index(0));
  each_entry(x, [&](Index i, Index j, auto value) {
    const Index at = i * lists.stride + lists.counts[i]++;
    lists.values[at] = static_cast<S>(value);
    lists.columns[at] = static_cast<Column>(j);
  });
}

}  // namespace detail
}  // namespace filigree
