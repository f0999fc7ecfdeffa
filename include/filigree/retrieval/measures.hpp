// SPDX-License-Identifier: MIT
#pragma once

#include <Eigen/SparseCore>

#include <algorithm>
#include <cmath>
#include <functional>
#include <utility>

#include "filigree/attention/selected.hpp"
#include "filigree/core/check.hpp"
#include "filigree/core/list.hpp"
#include "filigree/retrieval/sparse_index.hpp"

// Measures of rankings. A ranking is the result of selected(sparse_scores(queries, index) | top_k(k)). The judgements
// are a sparse queries x documents matrix of grades; a document is relevant if its grade is positive.

namespace filigree {

namespace detail {

/// The grades of one query: those of the first k documents of its ranking, and those of all its relevant documents in
/// descending order.
struct RankedGrades {
  List<double> found, ideal;
};

/// Returns the mean of measure(grades) over the queries that have relevant documents.
template <class R, class Measure>
double mean_over_queries(Index k, const Selected<float>& ranking, const R& judgements, const char* call,
                         const Measure& measure) {
  require(k >= 1, call, ": k must be at least 1, got ", k);
  const auto& rows = sparse_rows(judgements, call);
  require(ranking.columns.rows() == rows.rows(), call, ": the ranking has ", ranking.columns.rows(),
          " rows and the judgements ", rows.rows(), ": must have one for each query");
  RankedGrades grades;
  double sum = 0;
  Index queries = 0;
  List<double> grade_of(rows.cols(), 0.0);
  for (Index i = 0; i < rows.rows(); ++i) {
    const auto [begin, end] = entries_of(rows, i);
    grades.found.clear();
    grades.ideal.clear();
    for (Index e = begin; e < end; ++e) {
      const float grade = rows.valuePtr()[e];
      require(std::isfinite(grade) && grade >= 0, call, ": judgements(", i, ", ", Index{rows.innerIndexPtr()[e]},
              ") must be finite and at least 0, got ", grade);
      grade_of[Index{rows.innerIndexPtr()[e]}] = static_cast<double>(grade);
      if (grade > 0) grades.ideal.push_back(static_cast<double>(grade));
    }
    for (Index r = 0; r < (std::min)(k, ranking.columns.cols()) && ranking.columns(i, r) != -1; ++r) {
      const Index document = ranking.columns(i, r);
      require(document >= 0 && document < rows.cols(), call, ": a document of row ", i,
              " of the ranking must be below judgements.cols() = ", rows.cols(), ", got ", document);
      grades.found.push_back(grade_of[document]);
    }
    for (Index e = begin; e < end; ++e) grade_of[Index{rows.innerIndexPtr()[e]}] = 0;
    if (grades.ideal.empty()) continue;
    std::sort(grades.ideal.begin(), grades.ideal.end(), std::greater<>());
    sum += measure(std::as_const(grades));
    ++queries;
  }
  require(queries > 0, call, ": at least one query must have a relevant document");
  return sum / static_cast<double>(queries);
}

}  // namespace detail

/// Returns the fraction of the relevant documents that are among the first k, as a mean over queries.
///
/// Formula    mean |relevant ∩ first k| / |relevant|
/// Edge case  queries without relevant documents are left out
/// Throws     Error if k < 1, if a shape does not match, if a grade is negative or not finite, or if no query has a
///            relevant document
template <detail::SparseExpression R>
double recall_at(Index k, const Selected<float>& ranking, const R& judgements) {
  return detail::mean_over_queries(k, ranking, judgements.derived(), "recall_at(k, ranking, judgements)",
                                   [](const detail::RankedGrades& grades) {
                                     double hits = 0;
                                     for (const double g : grades.found) hits += g > 0 ? 1.0 : 0.0;
                                     return hits / static_cast<double>(grades.ideal.size());
                                   });
}

/// Returns the normalized discounted cumulative gain of the first k documents, as a mean over queries.
///
/// Formula    mean DCG / DCG of the best order; DCG = Σ_{r ≤ k} grade(r) / log2(r + 1), r = 1, 2, ...
/// Edge case  queries without relevant documents are left out
/// Throws     Error for the reasons of recall_at
/// Reference  Järvelin and Kekäläinen, Cumulated gain-based evaluation of IR techniques, 2002
template <detail::SparseExpression R>
double ndcg_at(Index k, const Selected<float>& ranking, const R& judgements) {
  const auto gain = [k](const detail::List<double>& grades) {
    double sum = 0;
    for (Index r = 0; r < (std::min)(k, grades.size()); ++r) sum += grades[r] / std::log2(static_cast<double>(r + 2));
    return sum;
  };
  return detail::mean_over_queries(
      k, ranking, judgements.derived(), "ndcg_at(k, ranking, judgements)",
      [&](const detail::RankedGrades& grades) { return gain(grades.found) / gain(grades.ideal); });
}

/// Returns the mean reciprocal rank of the first relevant document among the first k.
///
/// Formula    mean 1 / r, where r = 1, 2, ... is the rank of the first relevant document, and 0 if there is none
/// Edge case  queries without relevant documents are left out
/// Throws     Error for the reasons of recall_at
template <detail::SparseExpression R>
double mrr_at(Index k, const Selected<float>& ranking, const R& judgements) {
  return detail::mean_over_queries(k, ranking, judgements.derived(), "mrr_at(k, ranking, judgements)",
                                   [](const detail::RankedGrades& grades) {
                                     for (Index r = 0; r < grades.found.size(); ++r)
                                       if (grades.found[r] > 0) return 1 / static_cast<double>(r + 1);
                                     return 0.0;
                                   });
}

/// Returns the mean average precision of the first k documents.
///
/// Formula    mean (Σ_{r ≤ k, relevant} |relevant ∩ first r| / r) / |relevant|
/// Edge case  queries without relevant documents are left out
/// Throws     Error for the reasons of recall_at
template <detail::SparseExpression R>
double map_at(Index k, const Selected<float>& ranking, const R& judgements) {
  return detail::mean_over_queries(k, ranking, judgements.derived(), "map_at(k, ranking, judgements)",
                                   [](const detail::RankedGrades& grades) {
                                     double hits = 0, sum = 0;
                                     for (Index r = 0; r < grades.found.size(); ++r)
                                       if (grades.found[r] > 0) sum += ++hits / static_cast<double>(r + 1);
                                     return sum / static_cast<double>(grades.ideal.size());
                                   });
}

}  // namespace filigree
