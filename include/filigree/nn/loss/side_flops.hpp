// SPDX-License-Identifier: MIT
#pragma once

#include <algorithm>

#include "filigree/nn/loss/query_count.hpp"
#include "filigree/nn/penalty/flops.hpp"
#include "filigree/nn/term.hpp"

namespace filigree {

/// Options of query_flops() and document_flops().
struct side_flops_options {
  Index threshold = 0;  ///< vectors with at most this number of nonzero entries are not penalized
  Index documents = 0;  ///< of each query, in place of the number of queries
};

/// A loss: flops() of the queries or of the documents among the outputs.
struct SideFlops {
  using Kind = Loss;
  static constexpr bool reads_targets = false;
  detail::QueryCount count;
  bool of_documents;
  Index threshold;

  template <Real S>
  double add(const detail::ConstRows<S>& y, const detail::ConstRows<S>&, double factor, S* gradient,
             const detail::Session& session) const {
    const Index queries = count.of(y.rows(), of_documents ? "document_flops" : "query_flops");
    const Index begin = of_documents ? queries : 0, n = (of_documents ? y.rows() : queries) - begin, cols = y.cols();
    detail::require(n >= 0 && begin + n <= y.rows(), of_documents ? "document_flops" : "query_flops",
                    "(queries): there are ", queries, " queries, but the outputs have ", y.rows(), " rows");
    if (threshold == 0)
      return Flops().add(detail::ConstRows<S>(y.data() + begin * cols, n, cols), factor,
                         gradient != nullptr ? gradient + begin * cols : nullptr, session);
    Eigen::Matrix<S, Eigen::Dynamic, Eigen::Dynamic, Eigen::RowMajor> penalized = y.middleRows(begin, n);
    for (Index i = 0; i < n; ++i)
      if ((penalized.row(i).array() != S(0)).count() <= threshold) penalized.row(i).setZero();
    return Flops().add(detail::ConstRows<S>(penalized.data(), n, cols), factor,
                       gradient != nullptr ? gradient + begin * cols : nullptr, session);
  }
};

/// Penalizes the queries of a batch by flops(): the first `queries` outputs.
///
/// Formula    Σ_j (mean over queries of |y_j|)², in which vectors with at most `threshold` nonzero entries count as 0
/// Throws     Error if queries < 1 or threshold < 0; in training, if there are fewer output rows
/// Reference  Formal et al., arXiv:2109.10086, equation 5; Paria et al., arXiv:2004.05665, equation 4
inline SideFlops query_flops(Index queries, const side_flops_options& options = {}) {
  detail::require(queries >= 1, "query_flops(queries): queries must be at least 1, got ", queries);
  detail::require(options.threshold >= 0, "query_flops(queries, {.threshold}): must be at least 0, got ",
                  options.threshold);
  detail::require(options.documents == 0,
                  "query_flops(queries, {.documents}): give the number of queries or of documents, not both");
  return {.count = {.queries = queries}, .of_documents = false, .threshold = options.threshold};
}
/// Penalizes the queries of a batch by flops(), given the number of documents of each query.
///
/// Throws  Error if documents < 1 or threshold < 0; in training, if the number of output rows is not a multiple of
///         documents + 1
inline SideFlops query_flops(const side_flops_options& options) {
  SideFlops loss = query_flops(1, {.threshold = options.threshold});
  loss.count = detail::queries_with(options.documents, "query_flops({.documents})");
  return loss;
}
/// Penalizes the documents of a batch by flops(): the outputs after the first `queries`.
///
/// Formula    Σ_j (mean over documents of |y_j|)², in which vectors with at most `threshold` nonzero entries count as 0
/// Throws     Error as query_flops(queries)
/// Reference  Formal et al., arXiv:2109.10086, equation 5; Paria et al., arXiv:2004.05665, equation 4
inline SideFlops document_flops(Index queries, const side_flops_options& options = {}) {
  detail::require(queries >= 1, "document_flops(queries): queries must be at least 1, got ", queries);
  detail::require(options.threshold >= 0, "document_flops(queries, {.threshold}): must be at least 0, got ",
                  options.threshold);
  detail::require(options.documents == 0,
                  "document_flops(queries, {.documents}): give the number of queries or of documents, not both");
  return {.count = {.queries = queries}, .of_documents = true, .threshold = options.threshold};
}
/// Penalizes the documents of a batch by flops(), given the number of documents of each query.
///
/// Throws  Error if documents < 1 or threshold < 0; in training, if the number of output rows is not a multiple of
///         documents + 1
inline SideFlops document_flops(const side_flops_options& options) {
  SideFlops loss = document_flops(1, {.threshold = options.threshold});
  loss.count = detail::queries_with(options.documents, "document_flops({.documents})");
  return loss;
}

}  // namespace filigree
