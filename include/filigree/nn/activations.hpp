// SPDX-License-Identifier: MIT
#pragma once

#include <algorithm>

#include "filigree/nn/rows.hpp"
#include "filigree/stage/row.hpp"

namespace filigree {

/// The entries that a layer keeps of each sample, by ascending column.
template <Real S>
struct Lists {
  Index n = 0, stride = 0;
  S* values = nullptr;         // [n][stride]
  Column* columns = nullptr;   // [n][stride]
  Index* counts = nullptr;     // [n]
  S* gradients = nullptr;      // [n][stride] of the loss with respect to each value; backward pass
  bool stores_absent = false;  // zeros are absent entries, stored because a gradient of them is needed

  [[nodiscard]] Index count() const {
    Index sum = 0;
    for (Index i = 0; i < n; ++i) sum += counts[i];
    return sum;
  }
};

namespace detail {

/// Writes lists as a dense matrix: values[i][e] in column columns[i][e], 0 elsewhere.
template <Real S>
void scatter(const Lists<S>& lists, const S* values, Index cols, S* to, const Session& session) {
  for_each_rows(lists.n, session, [&](Index first, Index last) {
    std::fill(to + first * cols, to + last * cols, S(0));
    for (Index i = first; i < last; ++i)
      for (Index e = 0; e < lists.counts[i]; ++e)
        to[i * cols + lists.columns[i * lists.stride + e]] = values[i * lists.stride + e];
  });
}

/// Returns true if so few of the n x cols entries are kept that reading only these is faster.
///
/// They are gathered one by one. A gathered entry costs as much as about ten contiguous ones.
template <Real S>
bool is_sparse(const Lists<S>& lists, Index cols) {
  return 16 * lists.count() <= lists.n * cols;
}

}  // namespace detail

/// The values between two layers of a network: a matrix, or the entries that a layer keeps.
template <Real S>
class Activations {
 public:
  enum class Kind {
    dense,     // all values
    lists,     // the entries that a stage keeps; all others are 0
    postponed  // not computed: a layer that runs together with the next one does not store its outputs
  };

  Index n = 0, cols = 0;
  Kind kind = Kind::postponed;
  const S* data = nullptr;  // [n][cols], if dense; also for lists after a call of rows()
  Lists<S> lists;           // if kind is lists

  [[nodiscard]] bool has_lists() const { return kind == Kind::lists; }
  [[nodiscard]] bool is_postponed() const { return kind == Kind::postponed; }
  /// Returns true for lists so short that products should read only their entries.
  [[nodiscard]] bool is_sparse() const { return has_lists() && detail::is_sparse(lists, cols); }

  /// Allocates dense values and returns them uninitialized.
  S* set_dense(Index rows, Index columns) {
    set(Kind::dense, rows, columns);
    S* to = memory_.get<S>((std::max)(n * cols, Index{1}));
    data = to;
    return to;
  }
  // Refers to dense values in memory of the caller.
  void set_view(Index rows, Index columns, const S* values) {
    set(Kind::dense, rows, columns);
    data = values;
  }
  // Refers to the lists of a layer's state.
  void set_lists(Index columns, const Lists<S>& kept) {
    set(Kind::lists, kept.n, columns);
    lists = kept;
  }
  // Only sets the shape.
  void set_postponed(Index rows, Index columns) { set(Kind::postponed, rows, columns); }
  /// Refers to the values of other activations, which must outlive these.
  void share(Activations& other) {
    set(other.kind, other.n, other.cols);
    data = other.data;
    lists = other.lists;
    source_ = &other;
  }

  /// Returns dense values. The first call expands lists.
  detail::ConstRows<S> rows(const detail::Session& session) {
    if (data == nullptr && source_ != nullptr) data = source_->rows(session).data();
    if (data == nullptr) {
      S* to = memory_.get<S>((std::max)(n * cols, Index{1}));
      detail::scatter(lists, lists.values, cols, to, session);
      data = to;
    }
    return {data, n, cols};
  }

  // Memory for a dense gradient with respect to these values.
  detail::Buffer& gradient_memory() { return gradient_memory_; }

 private:
  void set(Kind new_kind, Index rows, Index columns) {
    n = rows;
    cols = columns;
    kind = new_kind;
    data = nullptr;
    lists = {};
    source_ = nullptr;
  }

  detail::Buffer memory_, gradient_memory_;
  Activations* source_ = nullptr;  // set by share()
};

/// The gradient of the loss with respect to the values between two layers. It is dense, or holds only the entries of
/// lists. A layer may overwrite it.
template <Real S>
struct Gradient {
  S* dense = nullptr;               ///< [n][cols]
  const Lists<S>* lists = nullptr;  ///< if dense is null: all other entries are 0. Also null: no gradient
};

namespace detail {

/// Lists of a layer, with their memory.
template <Real S>
class ListMemory {
 public:
  /// Allocates n lists of at most `capacity` entries.
  void allocate(Index n, Index capacity) {
    lists_.n = n;
    lists_.stride = capacity + Row<S>::padding;
    const Index size = (std::max)(n * lists_.stride, Index{1});
    lists_.values = values_.get<S>(size);
    lists_.columns = columns_.get<Column>(size);
    lists_.gradients = gradients_.get<S>(size);
    lists_.counts = counts_.get<Index>((std::max)(n, Index{1}));
  }
  /// Returns the number of entries of each list, uninitialized. The caller may use it before allocate().
  Index* counts(Index n) { return counts_.get<Index>((std::max)(n, Index{1})); }
  void store(const Row<S>& row) { store(row.index, row.values, row.columns, row.count); }
  void store(Index i, const S* values, const Column* columns, Index count) {
    std::copy_n(values, count, lists_.values + i * lists_.stride);
    std::copy_n(columns, count, lists_.columns + i * lists_.stride);
    lists_.counts[i] = count;
  }
  [[nodiscard]] const Lists<S>& lists() const { return lists_; }

  /// Sets the gradients of the lists from a dense gradient with `cols` columns, or from lists that hold a subset of
  /// their entries.
  void set_gradients(const Gradient<S>& dy, Index cols, const Session& session) {
    if (dy.dense == nullptr && dy.lists->gradients == lists_.gradients) return;
    for_each_rows(lists_.n, session, [&](Index first, Index last) {
      for (Index i = first; i < last; ++i) {
        const Column* columns = lists_.columns + i * lists_.stride;
        S* to = lists_.gradients + i * lists_.stride;
        Index next = 0;
        for (Index e = 0; e < lists_.counts[i]; ++e) {
          if (dy.dense != nullptr) {
            to[e] = dy.dense[i * cols + columns[e]];
            continue;
          }
          const Index at = i * dy.lists->stride;
          const bool found = next < dy.lists->counts[i] && dy.lists->columns[at + next] == columns[e];
          to[e] = found ? dy.lists->gradients[at + next++] : S(0);
        }
      }
    });
  }

 private:
  Lists<S> lists_;
  Buffer values_, columns_, gradients_, counts_;
};

/// Returns a gradient as a dense matrix. A gradient of lists is expanded into `memory`.
template <Real S>
Rows<S> to_dense(const Gradient<S>& dy, Index n, Index cols, Buffer& memory, const Session& session) {
  if (dy.dense != nullptr) return {dy.dense, n, cols};
  S* to = memory.get<S>((std::max)(n * cols, Index{1}));
  scatter(*dy.lists, dy.lists->gradients, cols, to, session);
  return {to, n, cols};
}

}  // namespace detail
}  // namespace filigree
