// SPDX-License-Identifier: MIT
#pragma once

#include <Eigen/SparseCore>

#include <cmath>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <type_traits>
#include <utility>

#include "filigree/core/check.hpp"
#include "filigree/core/concepts.hpp"
#include "filigree/core/list.hpp"
#include "filigree/core/operand.hpp"
#include "filigree/core/sparse_indices.hpp"

namespace filigree {

namespace detail {

struct IndexContents;

/// Returns the checked rows of a sparse matrix of floats: the matrix itself if it is stored by rows, or a copy.
template <class X>
decltype(auto) sparse_rows(const X& x, const char* call) {
  static_assert(std::is_same_v<typename X::Scalar, float>,
                "filigree: sparse documents and queries must be matrices of float: use .cast<float>()");
  if constexpr (StoredSparse<X>) {
    require_valid_indices(x, call, true);
    if constexpr (bool(X::IsRowMajor)) {
      return (x);
    } else {
      return Eigen::SparseMatrix<float, Eigen::RowMajor, Index>(x);
    }
  } else {
    return Eigen::SparseMatrix<float, Eigen::RowMajor, Index>(x);
  }
}

/// Calls f(row, column, value) for each entry, row by row.
template <class Rows, class F>
void each_entry(const Rows& rows, const F& f) {
  for (Index i = 0; i < rows.rows(); ++i) {
    const auto [begin, end] = entries_of(rows, i);
    for (Index e = begin; e < end; ++e) f(i, Index{rows.innerIndexPtr()[e]}, rows.valuePtr()[e]);
  }
}

}  // namespace detail

/// An inverted index: for each term the documents that contain it, with their weights. sparse_index makes one.
///
/// The documents of a term are stored in runs. A run has the documents of one block of consecutive documents, and the
/// smallest and largest weight among them, from which searches bound the scores of the block. A run with many documents
/// also has a dense copy with zeros, which searches add without looking up documents.
class SparseIndex {
 public:
  /// The number of consecutive documents in a block.
  static constexpr Index block = 4096;
  /// The number of documents from which a run has a dense copy.
  static constexpr Index dense_from = block / 4;

  /// Makes an index without documents.
  ///
  /// Throws     Error if terms < 0
  explicit SparseIndex(Index terms) {
    detail::require(terms >= 0, "SparseIndex(terms): terms must be at least 0, got ", terms);
    run_begins_.assign(terms + 1, Index(0));
    run_postings_.assign(1, Index(0));
  }

  [[nodiscard]] Index documents() const { return documents_; }
  [[nodiscard]] Index terms() const { return run_begins_.size() - 1; }
  /// Returns the number of stored weights.
  [[nodiscard]] Index postings() const { return weights_.size(); }
  /// Returns the memory of the index in bytes.
  [[nodiscard]] std::size_t bytes() const {
    return sizeof(Index) * static_cast<std::size_t>(run_begins_.size() + run_postings_.size()) +
           (sizeof(Run) + sizeof(std::int32_t)) * static_cast<std::size_t>(runs_.size()) +
           sizeof(float) * static_cast<std::size_t>(dense_.size()) +
           (sizeof(std::uint16_t) + sizeof(float)) * static_cast<std::size_t>(postings());
  }

  /// Appends documents, which get the next numbers.
  ///
  /// Shapes     rows: documents x terms, sparse, float
  /// Cost       O(entries of the index and of the rows): the lists are copied, so add many documents at once
  /// Edge case  a weight of 0 is not stored; a row may be empty
  /// Throws     Error if the width is not that of the index, if a weight is not finite, or if the column indices of a
  ///            row do not increase strictly; the index is then unchanged
  template <detail::SparseExpression D>
  void add(const D& rows) {
    const auto& checked = detail::sparse_rows(rows.derived(), "index.add(rows)");
    detail::require(checked.cols() == terms(), "index.add(rows): rows.cols() = ", checked.cols(),
                    " must equal index.terms() = ", terms());
    append(checked, "index.add(rows): rows");
  }

 private:
  template <detail::SparseExpression D>
  friend SparseIndex sparse_index(const D& documents);
  friend struct detail::IndexContents;

  struct Run {
    std::int32_t block;
    float low, high;
  };

  template <class Rows>
  void append(const Rows& rows, const char* name) {
    constexpr Index limit = (std::numeric_limits<std::int32_t>::max)() - block;
    detail::require(rows.rows() <= limit - documents_, name, ": an index has at most ", limit,
                    " documents, would have ", documents_, " + ", rows.rows());
    // Counts the postings and runs of each term.
    const Index n = terms();
    detail::List<Index> postings(n + 1, 0), runs(n + 1, 0);
    detail::List<std::int32_t> last(n, -1);
    for (Index t = 0; t < n; ++t) {
      postings[t + 1] = run_postings_[run_begins_[t + 1]] - run_postings_[run_begins_[t]];
      runs[t + 1] = run_begins_[t + 1] - run_begins_[t];
      if (runs[t + 1] > 0) last[t] = runs_[run_begins_[t + 1] - 1].block;
    }
    const List32 last_before = last;
    detail::each_entry(rows, [&](Index i, Index t, float w) {
      detail::require(std::isfinite(w), name, "(", i, ", ", t, ") must be finite, got ", w);
      if (w == 0) return;
      ++postings[t + 1];
      const auto b = static_cast<std::int32_t>((documents_ + i) / block);
      if (last[t] != b) ++runs[t + 1], last[t] = b;
    });
    for (Index t = 0; t < n; ++t) postings[t + 1] += postings[t], runs[t + 1] += runs[t];
    // Copies the old lists to their new places and appends to them.
    SparseIndex next(n);
    next.run_begins_ = runs;
    next.runs_.resize(runs[n]);
    next.run_postings_.assign(runs[n] + 1, postings[n]);
    next.offsets_.resize(postings[n]);
    next.weights_.resize(postings[n]);
    for (Index t = 0; t < n; ++t) {
      const Index from = run_postings_[run_begins_[t]], count = run_postings_[run_begins_[t + 1]] - from;
      for (Index r = run_begins_[t]; r < run_begins_[t + 1]; ++r, ++runs[t]) {
        next.runs_[runs[t]] = runs_[r];
        next.run_postings_[runs[t]] = postings[t] + run_postings_[r] - from;
      }
      for (Index e = 0; e < count; ++e) {
        next.offsets_[postings[t] + e] = offsets_[from + e];
        next.weights_[postings[t] + e] = weights_[from + e];
      }
      postings[t] += count;
    }
    last = last_before;
    detail::each_entry(rows, [&](Index i, Index t, float w) {
      if (w == 0) return;
      const Index document = documents_ + i;
      next.push(static_cast<std::int32_t>(document / block), static_cast<std::uint16_t>(document % block), w, last[t],
                runs[t], postings[t]);
    });
    next.documents_ = documents_ + rows.rows();
    next.copy_dense_runs();
    *this = std::move(next);
  }

  // Writes a posting. `run` is the place of the next run of its term, and `at` that of the next posting.
  void push(std::int32_t b, std::uint16_t offset, float w, std::int32_t& last, Index& run, Index& at) {
    if (last != b) {
      runs_[run] = {b, w, w};
      run_postings_[run++] = at;
      last = b;
    }
    Run& current = runs_[run - 1];
    if (w < current.low) current.low = w;
    if (w > current.high) current.high = w;
    offsets_[at] = offset;
    weights_[at++] = w;
  }

  void copy_dense_runs() {
    dense_of_.assign(runs_.size(), -1);
    std::int32_t count = 0;
    for (Index r = 0; r < runs_.size(); ++r)
      if (run_postings_[r + 1] - run_postings_[r] >= dense_from) dense_of_[r] = count++;
    dense_.assign(Index{count} * block, 0.0F);
    for (Index r = 0; r < runs_.size(); ++r) {
      if (dense_of_[r] < 0) continue;
      float* const to = dense_.data() + Index{dense_of_[r]} * block;
      for (Index e = run_postings_[r]; e < run_postings_[r + 1]; ++e) to[offsets_[e]] = weights_[e];
    }
  }

  using List32 = detail::List<std::int32_t>;

  Index documents_ = 0;
  detail::List<Index> run_begins_;       // [terms + 1]: the first run of each term
  detail::List<Run> runs_;               // by term, then by block
  detail::List<Index> run_postings_;     // [runs + 1]: the first posting of each run
  detail::List<std::uint16_t> offsets_;  // of the documents in their blocks, ascending in each run
  detail::List<float> weights_;
  List32 dense_of_;            // [runs]: the number of the dense copy of a run, or -1
  detail::List<float> dense_;  // the dense copies, of `block` numbers each
};

/// Returns the inverted index of documents, which are the rows of a sparse matrix.
///
/// Shapes     documents: n x terms, sparse, float
/// Cost       O(entries + terms); 6 bytes for each entry, 8 for each term, and 24 for each term in a block of 4096
///            documents; 16 KiB more if at least a quarter of the block has the term
/// Edge case  a weight of 0 is not stored; weights may be negative; a row may be empty
/// Throws     Error if a weight is not finite, or if the inner indices of a row (or column) do not increase strictly
template <detail::SparseExpression D>
SparseIndex sparse_index(const D& documents) {
  const auto& rows = detail::sparse_rows(documents.derived(), "sparse_index(documents)");
  SparseIndex index(rows.cols());
  index.append(rows, "sparse_index(documents): documents");
  return index;
}

namespace detail {

/// The members of an index that searches and files read.
struct IndexContents {
  using Run = SparseIndex::Run;
  const SparseIndex& index;

  [[nodiscard]] Index first_run(Index term) const { return index.run_begins_[term]; }
  [[nodiscard]] const Run& run(Index r) const { return index.runs_[r]; }
  [[nodiscard]] Index first_posting(Index run) const { return index.run_postings_[run]; }
  /// Returns the dense copy of a run, or null.
  [[nodiscard]] const float* dense(Index run) const {
    const std::int32_t copy = index.dense_of_[run];
    return copy < 0 ? nullptr : index.dense_.data() + Index{copy} * SparseIndex::block;
  }
  [[nodiscard]] const std::uint16_t* offsets() const { return index.offsets_.data(); }
  [[nodiscard]] const float* weights() const { return index.weights_.data(); }

  /// Makes an index of checked lists: the postings begins[t], ..., begins[t + 1] - 1 of term t, in ascending order of
  /// their documents.
  static SparseIndex make(Index documents, Index terms, const std::int64_t* begins, const std::int32_t* numbers,
                          const float* weights) {
    SparseIndex result(terms);
    result.documents_ = documents;
    result.offsets_.resize(begins[terms]);
    result.weights_.resize(begins[terms]);
    Index runs = 0;
    for (Index t = 0; t < terms; ++t)
      for (Index e = begins[t]; e < begins[t + 1]; ++e)
        runs += e == begins[t] || numbers[e] / SparseIndex::block != numbers[e - 1] / SparseIndex::block;
    result.runs_.resize(runs);
    result.run_postings_.assign(runs + 1, Index{begins[terms]});
    Index run = 0, at = 0;
    for (Index t = 0; t < terms; ++t) {
      std::int32_t last = -1;
      for (Index e = begins[t]; e < begins[t + 1]; ++e)
        result.push(static_cast<std::int32_t>(numbers[e] / SparseIndex::block),
                    static_cast<std::uint16_t>(numbers[e] % SparseIndex::block), weights[e], last, run, at);
      result.run_begins_[t + 1] = run;
    }
    result.copy_dense_runs();
    return result;
  }
};

}  // namespace detail
}  // namespace filigree
