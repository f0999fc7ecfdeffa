// SPDX-License-Identifier: MIT
#pragma once

#include <algorithm>
#include <concepts>
#include <span>

#include "filigree/core/integers.hpp"
#include "filigree/core/prefetcher.hpp"
#include "filigree/core/scratch.hpp"
#include "filigree/run/workspace.hpp"

// The queries of a problem.

namespace filigree::detail {

/// Rows of d numbers that engines pack as queries. pack(first, count, to, scratch) packs queries [first, first + count)
/// as groups [.][d][height] for the score kernel, and sets missing rows of the last group to 0. prefetch() prefetches
/// the memory that pack() will read.
template <class Q>
concept PackableQueries = requires(const Q& queries, Index i, typename Q::Scalar* to, WorkerScratch& scratch,
                                   Prefetcher& prefetcher) {
  { queries.rows() } -> std::same_as<Index>;
  { queries.d() } -> std::same_as<Index>;
  { queries.pack(i, i, to, scratch) } -> std::same_as<void>;
  { queries.prefetch(i, i, prefetcher) } -> std::same_as<void>;
};
/// Queries that can also be copied one by one: copy(i, to).
template <class Q>
concept Queries = PackableQueries<Q> && requires(const Q& queries, Index i, typename Q::Scalar* to) {
  { queries.copy(i, to) } -> std::same_as<void>;
};

/// Packs `count` rows as groups [.][d][height] for the score kernel, and sets missing rows of the last group to 0.
/// copy(i, to) copies row i. Whole groups of rows are read in place if `rows` are given.
template <Real S, class Copy>
void pack_groups(Index count, Index d, S* to, WorkerScratch& scratch, Copy&& copy,
                 kernel::StridedRows<const S> rows = {nullptr, 0}) {
  if (d == 0) return;
  const auto& kernels = kernel::kernels<S>();
  const Index height = kernels.height;
  ScratchFrame frame(scratch);
  S* group = frame.take<S>(height * d);  // always, so that what an evaluation allocates does not depend on the rows
  for (Index g = 0; g < count; g += height, to += d * height) {
    const Index present = (std::min)(height, count - g);
    if (rows.data != nullptr && present == height) {
      kernels.pack_group(rows.data + g * rows.stride, rows.stride, d, to);
      continue;
    }
    for (Index r = 0; r < present; ++r) copy(g + r, group + r * d);
    std::fill(group + present * d, group + height * d, S(0));
    kernels.pack_group(group, d, d, to);
  }
}

/// The rows of a matrix or expression.
template <class Reader>
struct RowsOf {
  using Scalar = typename Reader::Scalar;
  Reader reader;

  [[nodiscard]] Index rows() const { return reader.rows(); }
  [[nodiscard]] Index d() const { return reader.cols(); }
  void copy(Index i, Scalar* to) const { reader.copy_row(i, to); }
  void pack(Index first, Index count, Scalar* to, WorkerScratch& scratch) const {
    kernel::StridedRows<const Scalar> rows = in_place();
    if (rows.data != nullptr) rows.data += first * rows.stride;
    pack_groups(
        count, d(), to, scratch, [&](Index i, Scalar* row) { copy(first + i, row); }, rows);
  }
  /// Returns the rows in memory, or null if they are not contiguous there.
  [[nodiscard]] kernel::StridedRows<const Scalar> in_place() const {
    if constexpr (Reader::direct)
      if (reader.contiguous_rows()) return {reader.data(), reader.row_stride()};
    return {nullptr, 0};
  }
  void prefetch(Index first, Index count, Prefetcher& prefetcher) const {
    request_rows(reader, first, (std::min)(count, rows() - first), prefetcher);
  }
};

/// A subset of other queries, in any order: row r is row order[r].
template <Queries Q, std::integral Integer>
struct GatheredQueries {
  using Scalar = typename Q::Scalar;
  const Q& queries;
  std::span<const Integer> order;

  [[nodiscard]] Index rows() const { return static_cast<Index>(order.size()); }
  [[nodiscard]] Index d() const { return queries.d(); }
  void copy(Index i, Scalar* to) const { queries.copy(order[static_cast<std::size_t>(i)], to); }
  void pack(Index first, Index count, Scalar* to, WorkerScratch& scratch) const {
    pack_groups(count, d(), to, scratch, [&](Index i, Scalar* row) { copy(first + i, row); });
  }
  void prefetch(Index, Index, Prefetcher&) const {}
};

/// Other queries, each transformed to Transform::features(d) numbers by Transform::transform_query(query, d, to).
template <Queries Q, class Transform>
struct TransformedQueries {
  using Scalar = typename Q::Scalar;
  const Q& queries;

  [[nodiscard]] Index rows() const { return queries.rows(); }
  [[nodiscard]] Index d() const { return Transform::features(queries.d()); }
  void pack(Index first, Index count, Scalar* to, WorkerScratch& scratch) const {
    ScratchFrame frame(scratch);
    Scalar* query = frame.take<Scalar>(queries.d());
    pack_groups(count, d(), to, scratch, [&](Index i, Scalar* row) {
      queries.copy(first + i, query);
      Transform::transform_query(query, queries.d(), row);
    });
  }
  void prefetch(Index first, Index count, Prefetcher& prefetcher) const { queries.prefetch(first, count, prefetcher); }
};

}  // namespace filigree::detail
