// SPDX-License-Identifier: MIT
#pragma once

#include <Eigen/SparseCore>

#include <cmath>

#include "filigree/core/check.hpp"
#include "filigree/core/list.hpp"
#include "filigree/retrieval/sparse_index.hpp"

namespace filigree {

/// The options of bm25.
struct bm25_options {
  double k1 = 1.2;  // how slowly the weight of a term saturates with its count
  double b = 0.75;  // how much the length of a document matters, from 0 to 1
};

/// Returns BM25 weights of documents: the inner product of a row and the term counts of a query is the BM25 score.
///
/// Formula    w(j, t) = idf(t) · tf(j, t) / (tf(j, t) + k1 · (1 − b + b · len(j) / mean len))
/// Shapes     counts: documents x terms, sparse, float, as the result
/// Cost       O(entries + terms)
/// Edge case  idf(t) = log(1 + (N − df(t) + 1/2) / (df(t) + 1/2)) is Lucene's form, which is never negative; the
///            constant factor k1 + 1 is left out, which does not change a ranking; a document may be empty
/// Throws     Error if a count is negative or not finite, if k1 is negative or not finite, or if b is not in [0, 1]
/// Reference  Robertson and Zaragoza, The Probabilistic Relevance Framework: BM25 and Beyond, 2009, section 3.4
template <detail::SparseExpression C>
Eigen::SparseMatrix<float, Eigen::RowMajor> bm25(const C& counts, const bm25_options& options = {}) {
  detail::require(options.k1 >= 0 && std::isfinite(options.k1),
                  "bm25(counts, {.k1}): k1 must be finite and at least 0, got ", options.k1);
  detail::require(options.b >= 0 && options.b <= 1, "bm25(counts, {.b}): b must be from 0 to 1, got ", options.b);
  const auto& rows = detail::sparse_rows(counts.derived(), "bm25(counts)");
  const Index n = rows.rows();
  detail::List<double> lengths(n, 0.0), documents(rows.cols(), 0.0);
  double length = 0;
  detail::each_entry(rows, [&](Index j, Index t, float count) {
    detail::require(std::isfinite(count) && count >= 0, "bm25(counts): counts(", j, ", ", t,
                    ") must be finite and at least 0, got ", count);
    lengths[j] += static_cast<double>(count);
    length += static_cast<double>(count);
    documents[t] += count > 0 ? 1.0 : 0.0;
  });
  const double mean = length / static_cast<double>(n);
  Eigen::SparseMatrix<float, Eigen::RowMajor> weights = rows;
  weights.makeCompressed();
  Index at = 0;
  detail::each_entry(rows, [&](Index j, Index t, float count) {
    const double tf = static_cast<double>(count), df = documents[t];
    const double idf = std::log(1 + (static_cast<double>(n) - df + 0.5) / (df + 0.5));
    const double saturation = options.k1 * (1 - options.b + options.b * lengths[j] / mean);
    weights.valuePtr()[at++] = tf > 0 ? static_cast<float>(idf * tf / (tf + saturation)) : 0.0F;
  });
  return weights;
}

}  // namespace filigree
