// SPDX-License-Identifier: MIT
#pragma once

#include <algorithm>
#include <cmath>
#include <utility>
#include <vector>

#include "filigree/engine/matrix_product.hpp"
#include "filigree/nn/loss/query_count.hpp"
#include "filigree/nn/term.hpp"

// Losses of encoders of queries and documents. The outputs of a batch are the vectors of B queries, then blocks of B
// documents: document i of each block belongs to query i, and that of the first block is relevant to it. The score of a
// document for a query is the inner product of their vectors. The losses read no targets.

namespace filigree {

namespace detail {

/// The blocks of B documents after B queries.
template <Real S>
class RankedRows {
 public:
  RankedRows(const ConstRows<S>& y, Index queries, const char* call) : y_(y), queries_(queries) {
    require(y.rows() >= 2 * queries && y.rows() % queries == 0, call, ": the outputs must be ", queries,
            " queries and one or more blocks of ", queries, " documents, got ", y.rows(), " rows");
  }
  [[nodiscard]] Index blocks() const { return y_.rows() / queries_ - 1; }
  [[nodiscard]] Index document(Index query, Index block) const { return (block + 1) * queries_ + query; }
  [[nodiscard]] double score(Index query, Index block) const {
    const S *a = y_.data() + query * y_.cols(), *b = y_.data() + document(query, block) * y_.cols();
    return sum_in_chains(y_.cols(), [&](Index j) { return static_cast<double>(a[j]) * static_cast<double>(b[j]); });
  }
  /// Adds d times the derivative of score(query, block) to the gradient.
  void add(Index query, Index block, double d, S* gradient) const {
    const Index cols = y_.cols(), q = query * cols, t = document(query, block) * cols;
    const auto factor = static_cast<S>(d);
    for (Index j = 0; j < cols; ++j) {
      gradient[q + j] += factor * y_.data()[t + j];
      gradient[t + j] += factor * y_.data()[q + j];
    }
  }

 private:
  ConstRows<S> y_;
  Index queries_;
};

/// Replaces scores by their softmax, and returns the logarithm of the sum of their exponentials.
inline double softmax_of(double* scores, Index count) {
  double top = scores[0], sum = 0;
  for (Index j = 1; j < count; ++j)
    if (scores[j] > top || scores[j] != scores[j]) top = scores[j];
  for (Index j = 0; j < count; ++j) sum += scores[j] = std::exp(scores[j] - top);
  for (Index j = 0; j < count; ++j) scores[j] /= sum;
  return top + std::log(sum);
}

}  // namespace detail

/// Options of in_batch_negatives().
struct in_batch_negatives_options {
  double scale = 1;     ///< factor of the scores, such as 20 for vectors of length 1
  Index documents = 0;  ///< of each query, in place of the number of queries
};

/// A loss: the cross entropy of the relevant documents among all documents of a batch.
struct InBatchNegatives {
  using Kind = Loss;
  static constexpr bool reads_targets = false;
  detail::QueryCount count;
  double scale;

  template <Real S>
  double add(const detail::ConstRows<S>& y, const detail::ConstRows<S>&, double factor, S* gradient,
             const detail::Session& session) const {
    const Index queries = count.of(y.rows(), "in_batch_negatives");
    (void)detail::RankedRows<S>(y, queries, "in_batch_negatives(queries)");
    const Index cols = y.cols(), documents = y.rows() - queries;
    using Matrix = Eigen::Matrix<S, Eigen::Dynamic, Eigen::Dynamic, Eigen::RowMajor>;
    Matrix scores(queries, documents);
    const detail::MatrixView<S> q = {y.data(), queries, cols, cols, 1},
                                t = {y.data() + queries * cols, documents, cols, cols, 1};
    detail::multiply<S>(q, t.transposed(), {.data = scores.data(), .stride = documents}, session);
    const double weight = factor / static_cast<double>(queries);
    double value = 0;
    std::vector<double> row(static_cast<std::size_t>(documents));
    for (Index i = 0; i < queries; ++i) {
      for (Index j = 0; j < documents; ++j)
        row[static_cast<std::size_t>(j)] = scale * static_cast<double>(scores(i, j));
      const double own = row[static_cast<std::size_t>(i)];
      value += weight * (detail::softmax_of(row.data(), documents) - own);
      for (Index j = 0; j < documents; ++j)
        scores(i, j) = static_cast<S>(weight * scale * (row[static_cast<std::size_t>(j)] - (i == j ? 1 : 0)));
    }
    if (gradient == nullptr) return value;
    const detail::MatrixView<S> d = detail::view(scores);
    detail::multiply<S>(d, t, {.data = gradient, .stride = cols, .add = true}, session);
    detail::multiply<S>(d.transposed(), q, {.data = gradient + queries * cols, .stride = cols, .add = true}, session);
    return value;
  }
};

/// Measures the cross entropy of the relevant document of each query among all documents of the batch.
///
/// The outputs are those of B queries, then of their B relevant documents, then of any number of blocks of B other
/// documents. Other terms of the objective may follow: in_batch_negatives(32) + 1e-3 * document_flops(32).
/// Formula    mean over queries i of log Σ_j exp(scale q_i · d_j) − scale q_i · d_i
/// Throws     Error if queries < 1 or scale is not positive and finite; in training, if the number of output rows is
///            not a multiple of `queries` with at least one block of documents
/// Reference  Formal et al., arXiv:2109.10086, equation 3; Karpukhin et al., arXiv:2004.04906, section 3.2
inline InBatchNegatives in_batch_negatives(Index queries, const in_batch_negatives_options& options = {}) {
  detail::require(queries >= 1, "in_batch_negatives(queries): queries must be at least 1, got ", queries);
  detail::require(options.scale > 0 && std::isfinite(options.scale),
                  "in_batch_negatives(queries, {.scale}): scale must be positive and finite, got ", options.scale);
  detail::require(options.documents == 0,
                  "in_batch_negatives(queries, {.documents}): give the number of queries or of documents, not both");
  return {.count = {.queries = queries}, .scale = options.scale};
}
/// Measures the same cross entropy, given the number of documents of each query. The number of queries may then be
/// another one in each step of fit: in_batch_negatives({.documents = 1}).
///
/// Throws  Error if documents < 1 or scale is not positive and finite; in training, if the number of output rows is not
///         a multiple of documents + 1
inline InBatchNegatives in_batch_negatives(const in_batch_negatives_options& options) {
  InBatchNegatives loss = in_batch_negatives(1, {.scale = options.scale});
  loss.count = detail::queries_with(options.documents, "in_batch_negatives({.documents})");
  return loss;
}

/// A loss: the squared error of the margin between a relevant and another document.
struct MarginMse {
  using Kind = Loss;
  static constexpr bool reads_targets = false;
  std::vector<double> margins;

  template <Real S>
  double add(const detail::ConstRows<S>& y, const detail::ConstRows<S>&, double factor, S* gradient,
             const detail::Session& session) const {
    const auto queries = static_cast<Index>(margins.size());
    const detail::RankedRows<S> rows(y, queries, "margin_mse(margins)");
    detail::require(rows.blocks() == 2, "margin_mse(margins): needs 2 blocks of ", queries, " documents, got ",
                    rows.blocks());
    const double weight = factor / static_cast<double>(queries);
    return weight * detail::sum_over_rows(queries, session, [&](Index i) {
             const double e = rows.score(i, 0) - rows.score(i, 1) - margins[static_cast<std::size_t>(i)];
             if (gradient != nullptr) {
               rows.add(i, 0, 2 * weight * e, gradient);
               rows.add(i, 1, -2 * weight * e, gradient);
             }
             return e * e;
           });
  }
};

/// Measures the squared error of the margins between the scores of a relevant and of another document, given the
/// margins of a teacher.
///
/// The outputs are those of B queries, of B relevant documents, and of B others; B is the number of margins.
/// Formula    mean over queries of (q · d⁺ − q · d⁻ − margin)²
/// Throws     Error if there is no margin, or one is not finite; in training, unless there are 3 B output rows
/// Reference  Hofstätter et al., arXiv:2010.02666, equation 6
inline MarginMse margin_mse(std::vector<double> margins) {
  detail::require(!margins.empty(), "margin_mse(margins): needs a margin for each query, got none");
  for (std::size_t i = 0; i < margins.size(); ++i)
    detail::require(std::isfinite(margins[i]), "margin_mse(margins): margins[", i, "] must be finite, got ",
                    margins[i]);
  return {.margins = std::move(margins)};
}

/// A loss: the divergence of the softmax of scores from that of a teacher.
struct DistillationKl {
  using Kind = Loss;
  static constexpr bool reads_targets = false;
  Eigen::Matrix<double, Eigen::Dynamic, Eigen::Dynamic, Eigen::RowMajor> teacher;

  template <Real S>
  double add(const detail::ConstRows<S>& y, const detail::ConstRows<S>&, double factor, S* gradient,
             const detail::Session& session) const {
    const Index queries = teacher.rows(), count = teacher.cols();
    const detail::RankedRows<S> rows(y, queries, "distillation_kl(teacher)");
    detail::require(rows.blocks() == count, "distillation_kl(teacher): teacher has scores of ", count,
                    " documents for each query, got ", rows.blocks(), " blocks of ", queries, " documents");
    const double weight = factor / static_cast<double>(queries);
    return weight * detail::sum_over_rows(queries, session, [&](Index i) {
             std::vector<double> p(static_cast<std::size_t>(count)), s(p), scores(p);
             for (Index t = 0; t < count; ++t) {
               p[static_cast<std::size_t>(t)] = teacher(i, t);
               scores[static_cast<std::size_t>(t)] = s[static_cast<std::size_t>(t)] = rows.score(i, t);
             }
             const double teacher_sum = detail::softmax_of(p.data(), count), sum = detail::softmax_of(s.data(), count);
             double value = 0;
             for (Index t = 0; t < count; ++t) {
               const auto at = static_cast<std::size_t>(t);
               value += p[at] * (teacher(i, t) - teacher_sum - scores[at] + sum);
               if (gradient != nullptr) rows.add(i, t, weight * (s[at] - p[at]), gradient);
             }
             return value;
           });
  }
};

/// Measures the divergence of the scores of the documents of each query from the scores of a teacher, by their softmax.
///
/// The outputs are those of B queries, then of C blocks of B documents.
/// Formula    mean over queries i of Σ_t p_t log(p_t / s_t), with p = softmax(teacher_i) and s = softmax(q_i · d_it)
/// Shapes     teacher: B x C
/// Throws     Error if teacher is empty or not finite; in training, unless there are B (1 + C) output rows
/// Reference  Hinton et al., arXiv:1503.02531, section 2
template <DenseExpression M>
DistillationKl distillation_kl(const M& teacher) {
  DistillationKl loss{.teacher = teacher.template cast<double>()};
  detail::require(loss.teacher.size() > 0, "distillation_kl(teacher): must be queries x documents, got ",
                  loss.teacher.rows(), " x ", loss.teacher.cols());
  detail::require(loss.teacher.allFinite(), "distillation_kl(teacher): all scores must be finite");
  return loss;
}

}  // namespace filigree
