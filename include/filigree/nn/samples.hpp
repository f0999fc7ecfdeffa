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

/// Dense samples as rows that are contiguous in memory: a view, or a copy of samples that are stored in another way.
template <class T>
class DenseSamples {
 public:
  using Scalar = T;

  template <class X>
  explicit DenseSamples(const X& x) : reader_(read(x)) {}
  DenseSamples(const DenseSamples&) = delete;
  DenseSamples& operator=(const DenseSamples&) = delete;

  [[nodiscard]] Index rows() const { return reader_.rows(); }
  [[nodiscard]] Index cols() const { return reader_.cols(); }
  [[nodiscard]] T operator()(Index i, Index j) const { return reader_(i, j); }
  [[nodiscard]] const MemoryReader<T>& reader() const { return reader_; }

 private:
  template <class X>
  MemoryReader<T> read(const X& x) {
    if constexpr (Reader<X>::direct) {
      const auto reader = reader_of(x);
      if (reader.contiguous_rows() && reader.rows() == x.rows() && reader.cols() == x.cols()) return reader;
    }
    copy_ = x;
    return {copy_.data(), copy_.rows(), copy_.cols(), copy_.cols(), 1};
  }

  Eigen::Matrix<T, Eigen::Dynamic, Eigen::Dynamic, Eigen::RowMajor> copy_;
  MemoryReader<T> reader_;
};

/// A selection of rows of DenseSamples or of a sparse row-major matrix, in a given order.
template <class X>
struct SelectedRows {
  using Scalar = typename X::Scalar;
  const X& matrix;
  const Index* order;  // [count]; null: the first rows, in order
  Index count;

  [[nodiscard]] Index rows() const { return count; }
  [[nodiscard]] Index cols() const { return matrix.cols(); }
  [[nodiscard]] Index row(Index i) const { return order != nullptr ? order[i] : i; }
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
      for (typename std::remove_cvref_t<decltype(x.matrix)>::InnerIterator e(x.matrix, x.row(i)); e; ++e)
        f(i, static_cast<Index>(e.col()), e.value());
  } else {
    for (Index outer = 0; outer < x.outerSize(); ++outer)
      for (typename X::InnerIterator e(x, outer); e; ++e)
        f(static_cast<Index>(e.row()), static_cast<Index>(e.col()), e.value());
  }
}

/// Returns true if x and y are the same samples.
template <class X, class Y>
bool are_same(const X& x, const Y& y) {
  if constexpr (!std::same_as<X, Y>)
    return false;
  else if constexpr (is_selected_rows<X>)
    return &x.matrix == &y.matrix && x.order == y.order && x.count == y.count;
  else
    return &x == &y;
}

/// Returns the memory of samples that are stored as contiguous rows of type S, one after another. Otherwise returns
/// null.
template <Real S, class X>
const S* in_place(const X& x) {
  if constexpr (is_selected_rows<X>) {
    if constexpr (!is_sparse_samples<X> && std::same_as<typename X::Scalar, S>) {
      const auto& reader = x.matrix.reader();
      if (x.order == nullptr && (reader.row_stride() == x.cols() || x.rows() == 1)) return reader.data();
    }
  } else if constexpr (DenseExpression<X>) {
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
      for (Index i = first; i < last; ++i) read_row(x.matrix.reader(), x.row(i), to + i * x.cols());
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
