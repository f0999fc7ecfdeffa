// SPDX-License-Identifier: MIT
#pragma once

#include <Eigen/SparseCore>
#include <algorithm>
#include <cmath>
#include <concepts>

#include "filigree/nn/samples.hpp"
#include "filigree/pipe/weights.hpp"
#include "filigree/select/prune_magnitude.hpp"
#include "filigree/select/prune_n_m.hpp"
#include "filigree/select/top_k.hpp"

namespace filigree {

/// The weights of a linear layer that remain, inputs x outputs: true for a weight that is kept.
using WeightMask = Eigen::Array<bool, Eigen::Dynamic, Eigen::Dynamic, Eigen::RowMajor>;

namespace detail {

template <class W>
void require_finite_weights(const W& weights, const char* call, const char* name) {
  static_assert(Real<typename W::Scalar>, "filigree: weights and scores of pruning must be float or double");
  require(weights.allFinite(), call, ": ", name, " must be finite");
}

/// Sets the mask to true at the entries that a selector keeps of each row of the scores, or of their transpose.
template <class Scores, class Selector>
void mark_kept(const Scores& scores, const Selector& selector, bool transposed, WeightMask& mask) {
  using S = typename Scores::Scalar;
  const Eigen::SparseMatrix<S, Eigen::RowMajor> kept = scores | selector;
  each_entry(kept, [&](Index i, Index j, S) { (transposed ? mask(j, i) : mask(i, j)) = true; });
}

template <class Scores>
using RowMajorOf = Eigen::Matrix<typename Scores::Scalar, Eigen::Dynamic, Eigen::Dynamic, Eigen::RowMajor>;

}  // namespace detail

/// Keeps all but a fraction of the weights of a layer, those of smallest magnitude.
///
/// Formula    drops ⌊fraction · in · out⌋, by |W_ij|
/// Shapes     W: in x out, as the result
/// Edge case  of equal magnitudes, the first in row-major order are kept
/// Throws     Error unless 0 <= fraction <= 1 and W is finite
/// Reference  Han et al., arXiv:1506.02626, section 3
template <DenseExpression W>
WeightMask magnitude_mask(const W& weights, double fraction) {
  const auto selector = prune_magnitude(fraction);
  detail::require_finite_weights(weights, "magnitude_mask(W, fraction)", "W");
  WeightMask mask = WeightMask::Constant(weights.rows(), weights.cols(), false);
  const detail::RowMajorOf<W> rows = weights;
  if (rows.size() > 0) detail::mark_kept(rows, selector, false, mask);
  return mask;
}

/// Keeps, of the weights of each output, all but a fraction: those of smallest score.
///
/// Formula    drops ⌊fraction · in⌋ of each output, by |score|
/// Shapes     scores: in x out, such as weights or wanda_scores(W, X); result: the same
/// Edge case  of equal scores, those of the lowest inputs are kept
/// Throws     Error unless 0 <= fraction <= 1 and the scores are finite
template <DenseExpression Scores>
WeightMask output_mask(const Scores& scores, double fraction) {
  detail::require(fraction >= 0 && fraction <= 1,
                  "output_mask(scores, fraction): fraction must be between 0 and 1, got ", fraction);
  detail::require_finite_weights(scores, "output_mask(scores, fraction)", "the scores");
  WeightMask mask = WeightMask::Constant(scores.rows(), scores.cols(), false);
  const Index k = scores.rows() - static_cast<Index>(std::floor(fraction * static_cast<double>(scores.rows())));
  const detail::RowMajorOf<Scores> outputs = scores.matrix().cwiseAbs().transpose();
  if (k > 0 && outputs.size() > 0) detail::mark_kept(outputs, top_k(k), true, mask);
  return mask;
}

/// Keeps, for each output, the n weights of largest score of each m consecutive inputs.
///
/// Formula    the n largest |score| of each m
/// Shapes     scores: in x out, such as weights or wanda_scores(W, X); result: the same
/// Edge case  of equal scores, those of the lowest inputs are kept; the last group may be short
/// Throws     Error unless 1 <= n <= m and the scores are finite
/// Reference  Mishra et al., arXiv:2104.08378, section 3
template <DenseExpression Scores>
WeightMask n_m_mask(const Scores& scores, Index n, Index m) {
  const auto selector = prune_n_m(n, m);
  detail::require_finite_weights(scores, "n_m_mask(scores, n, m)", "the scores");
  WeightMask mask = WeightMask::Constant(scores.rows(), scores.cols(), false);
  const detail::RowMajorOf<Scores> outputs = scores.matrix().transpose();
  if (outputs.size() > 0) detail::mark_kept(outputs, selector, true, mask);
  return mask;
}

/// Returns the scores of Wanda: magnitudes of weights times the norms of their inputs in calibration samples.
///
/// Wanda prunes output_mask(wanda_scores(W, X), fraction), or n_m_mask(wanda_scores(W, X), n, m). The samples are the
/// inputs of the layer: network.before<L>(samples).
/// Formula    |W_ij| · ‖x_i‖₂ for column i of X
/// Shapes     W: in x out, X: N x in, dense or sparse; result: in x out
/// Throws     Error if X.cols() is not W.rows(), or W, X or a score is not finite
/// Reference  Sun et al., arXiv:2306.11695, equation 1
template <DenseExpression W, Samples X>
auto wanda_scores(const W& weights, const X& samples) {
  const char* const call = "wanda_scores(W, X)";
  detail::require(samples.cols() == weights.rows(), call, ": X.cols() = ", samples.cols(),
                  " must equal W.rows() = ", weights.rows());
  detail::require_finite_weights(weights, call, "W");
  detail::require_valid_samples(samples, call);
  detail::Dependent<Eigen::ArrayXd, X> squares = Eigen::ArrayXd::Zero(weights.rows());
  if constexpr (SparseSamples<X>)
    detail::each_entry(samples, [&](Index, Index j, auto value) {
      squares[j] += static_cast<double>(value) * static_cast<double>(value);
    });
  else
    squares = samples.matrix().template cast<double>().colwise().squaredNorm().transpose().array();
  detail::require(squares.allFinite(), call, ": X must be finite");
  detail::RowMajorOf<W> scores = weights.matrix().cwiseAbs();
  for (Index i = 0; i < scores.rows(); ++i) scores.row(i) *= static_cast<typename W::Scalar>(std::sqrt(squares[i]));
  detail::require(scores.allFinite(), call, ": the scores must be finite; W or X is too large");
  return scores;
}

}  // namespace filigree
