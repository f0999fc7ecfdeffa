// SPDX-License-Identifier: MIT
#pragma once

#include <Eigen/Core>
#include <Eigen/SparseCore>

#include <algorithm>
#include <cmath>
#include <limits>
#include <type_traits>
#include <utility>

#include "filigree/attention/selected.hpp"
#include "filigree/core/executor.hpp"
#include "filigree/core/lazy.hpp"
#include "filigree/core/list.hpp"
#include "filigree/core/operand.hpp"
#include "filigree/retrieval/sparse_index.hpp"
#include "filigree/retrieval/sparse_search.hpp"
#include "filigree/select/threshold.hpp"
#include "filigree/select/top_k.hpp"

namespace filigree {

/// A source of the scores of sparse queries and the documents of an index. top_k or threshold must follow.
template <class Queries, class Index_>
struct SparseScores {
  Queries queries;  // as Operand holds it
  Index_ index;
};

/// Returns the inner products of sparse queries and the documents of an index, as a source for top_k or threshold:
/// sparse_scores(queries, index) | top_k(10).
///
/// Formula    s(i, j) = Σ_t q(i, t) · d(j, t)
/// Shapes     queries: n x terms, sparse, float; the scores are n x documents
/// Cost       O(entries of the lists of a query's terms) per query, less where bounds of blocks skip lists
/// Edge case  scores are sums in double, rounded to float; a document that shares no term with the query is absent
/// Aliasing   the index and lvalue queries are held by reference
/// Throws     Error at the evaluation if the widths differ, if a weight is not finite, or if the inner indices of a row
///            (or column) of the queries do not increase strictly
template <detail::SparseExpression Q, class X>
  requires(std::is_same_v<std::remove_cvref_t<X>, SparseIndex>)
SparseScores<Operand<Q>, Operand<X>> sparse_scores(Q&& queries, X&& index) {
  return {std::forward<Q>(queries), std::forward<X>(index)};
}

/// The documents that each query finds, with their scores: a lazy n x documents matrix. It can be assigned to a sparse
/// or dense matrix, and selected(A) lists its entries in the order of the ranking.
///
/// Throws  Error before anything is written
template <class Queries, class Index_>
class SparseRanking : public LazyMatrix<SparseRanking<Queries, Index_>, float> {
 public:
  using Scalar = float;

  // Keeps the k best scores of each row, or all above a threshold if k = 0.
  SparseRanking(SparseScores<Queries, Index_> source, Index k, float above)
      : source_(std::move(source)), k_(k), above_(above) {
    check();
  }

  [[nodiscard]] Index rows() const { return source_.queries.rows(); }
  [[nodiscard]] Index cols() const { return source_.index.documents(); }

  /// Returns the same ranking, computed by this executor, which must outlive it. Queries run in parallel.
  template <Executor E>
  [[nodiscard]] SparseRanking on(E& executor) const {
    SparseRanking copy = *this;
    copy.executor_ = ExecutorRef(executor);
    return copy;
  }

  template <class S, int R, int C, int O, int MaxR, int MaxC>
    requires(R != Eigen::Dynamic || MaxR != Eigen::Dynamic || MaxC != Eigen::Dynamic)
  operator Eigen::Matrix<S, R, C, O, MaxR, MaxC>() const {
    Eigen::Matrix<S, R, C, O, MaxR, MaxC> result;
    detail::assign(result, static_cast<const LazyMatrix<SparseRanking, float>&>(*this));
    return result;
  }
  template <class S, int O, class Integer>
  operator Eigen::SparseMatrix<S, O, Integer>() const {
    static_assert(std::is_same_v<S, float>, "filigree: the target must have the scalar of the expression");
    return to_sparse<Eigen::SparseMatrix<S, O, Integer>>();
  }

  void check() const {
    detail::require(source_.queries.cols() == source_.index.terms(),
                    "sparse_scores(queries, index): queries.cols() = ", source_.queries.cols(),
                    " must equal index.terms() = ", source_.index.terms());
  }
  static constexpr const char* name() { return "sparse_scores(queries, index)"; }
  // All rows are computed before the first is written.
  [[nodiscard]] bool reads(const AddressRange&) const { return false; }

  void evaluate_to(const detail::Target<float>& to) const {
    const auto found = search();
    for (Index i = 0; i < to.rows; ++i) {
      if (to.op == detail::Assign::set)
        for (Index j = 0; j < to.cols; ++j) to.store(i, j, 0);
      for (const detail::Hit& hit : found[i]) to.store(i, hit.document, hit.score);
    }
  }

  template <class Sparse>
  Sparse to_sparse() const {
    auto found = search();
    Index entries = 0;
    for (const auto& hits : found) entries += hits.size();
    detail::require(entries <= Index{(std::numeric_limits<typename Sparse::StorageIndex>::max)()}, name(),
                    ": the index type of the sparse target cannot count ", entries, " entries");
    Eigen::SparseMatrix<float, Eigen::RowMajor, typename Sparse::StorageIndex> result(rows(), cols());
    result.reserve(entries);
    for (Index i = 0; i < rows(); ++i) {
      result.startVec(i);
      std::sort(found[i].begin(), found[i].end(),
                [](const detail::Hit& a, const detail::Hit& b) { return a.document < b.document; });
      for (const detail::Hit& hit : found[i]) result.insertBack(i, hit.document) = hit.score;
    }
    result.finalize();
    return Sparse(std::move(result));
  }

  // Returns min(k, documents) after top_k(k), and 0 after threshold(t).
  [[nodiscard]] Index limit() const { return (std::min)(k_, cols()); }
  // Returns the hits of each query in the order of the ranking.
  [[nodiscard]] detail::List<detail::List<detail::Hit>> search() const {
    check();
    constexpr const char* call = "sparse_scores(queries, index)";
    const auto& queries = detail::sparse_rows(source_.queries, call);
    detail::each_entry(queries, [&](Index i, Index t, float w) {
      detail::require(std::isfinite(w), call, ": queries(", i, ", ", t, ") must be finite, got ", w);
    });
    const Index n = rows();
    detail::List<detail::List<detail::Hit>> found(n);
    const Index workers = executor_.concurrency();
    detail::List<detail::SparseSearch> searches;
    searches.reserve(workers);
    for (Index w = 0; w < workers; ++w) searches.push_back(detail::SparseSearch(source_.index));
    const auto task = [&](Index i, Index worker) {
      detail::SparseSearch& search = searches[worker];
      search.start();
      const auto range = detail::entries_of(queries, i);
      for (Index e = range.first; e < range.second; ++e)
        search.add_term(Index{queries.innerIndexPtr()[e]}, queries.valuePtr()[e]);
      detail::Hits hits(k_, above_);
      search.run(hits);
      found[i] = std::move(hits.sorted());
    };
    executor_.run(n, task);
    return found;
  }

 private:
  SparseScores<Queries, Index_> source_;
  Index k_;
  float above_;
  ExecutorRef executor_;
};

/// Keeps the k documents with the largest scores for each query.
///
/// Formula    the k largest s(i, j)
/// Cost       skips lists and blocks of documents whose bounds are below the k-th score found so far
/// Edge case  ties go to the lowest document; a query with terms in fewer than k documents has fewer entries
/// Throws     Error if the widths of queries and index differ
template <class Q, class X>
SparseRanking<Q, X> operator|(SparseScores<Q, X> source, const TopK& stage) {
  return {std::move(source), stage.k, -std::numeric_limits<float>::infinity()};
}

/// Keeps the documents with scores above t for each query.
///
/// Formula    s(i, j) > t
/// Throws     Error if the widths of queries and index differ
template <class Q, class X>
SparseRanking<Q, X> operator|(SparseScores<Q, X> source, const Threshold& stage) {
  return {std::move(source), 0, detail::round_bound<float>(stage.t)};
}

/// Does not compile: only top_k and threshold follow sparse_scores.
template <class Q, class X, detail::Piped Next>
void operator|(const SparseScores<Q, X>&, const Next&) {
  static_assert(!sizeof(Next),
                "filigree: sparse_scores(queries, index) | stage: the stage must be top_k(k) or threshold(t); assign "
                "the result to a matrix to apply more stages");
}
/// Does not compile: no stage follows.
template <class Q, class X, detail::Piped Next>
void operator|(const SparseRanking<Q, X>&, const Next&) {
  static_assert(!sizeof(Next),
                "filigree: sparse_scores(queries, index) | top_k(k) | stage: no stage may follow; assign the result to "
                "a dense matrix to apply more stages");
}

/// Returns the documents that each query finds and their scores, in the order of the ranking.
///
/// Shapes     n x k for top_k(k), where k is at most the number of documents; otherwise as wide as the longest row
/// Edge case  rows with fewer documents are padded with -1 and 0
template <class Q, class X>
Selected<float> selected(const SparseRanking<Q, X>& ranking) {
  const auto found = ranking.search();
  Index width = ranking.limit();
  for (const auto& hits : found) width = (std::max)(width, hits.size());
  Selected<float> result;
  result.columns.setConstant(ranking.rows(), width, -1);
  result.weights.setZero(ranking.rows(), width);
  for (Index i = 0; i < ranking.rows(); ++i)
    for (Index r = 0; r < found[i].size(); ++r) {
      result.columns(i, r) = found[i][r].document;
      result.weights(i, r) = found[i][r].score;
    }
  return result;
}

}  // namespace filigree
