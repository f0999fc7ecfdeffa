// SPDX-License-Identifier: MIT
#pragma once

#include <Eigen/Cholesky>
#include <algorithm>
#include <cmath>

#include "filigree/engine/symmetric_inverse.hpp"
#include "filigree/nn/prune/masks.hpp"

namespace filigree {

/// Options of sparse_gpt().
struct sparse_gpt_options {
  double fraction = 0.5;      ///< of the weights that are pruned
  Index n = 0, m = 0;         ///< keeps n of m consecutive inputs instead; 0: no
  double damping = 0.01;      ///< added to the diagonal of Xᵀ X, relative to its mean
  Index block = 128;          ///< inputs whose weights are selected together
  ExecutorRef executor = {};  ///< threads that compute; results do not depend on it
};

/// Weights of a layer after pruning, with 0 where the mask is false.
template <Real S>
struct PrunedWeights {
  Eigen::Matrix<S, Eigen::Dynamic, Eigen::Dynamic, Eigen::RowMajor> weights;  // in x out
  WeightMask mask;                                                            // in x out
};

/// Prunes the weights of a linear layer, and changes the remaining ones such that its outputs for calibration samples
/// change little: SparseGPT.
///
/// Inputs are processed in ascending order. The error of a pruned weight is compensated by the weights of later inputs,
/// with the optimal update of second order. Before each block of inputs (for n:m: before each m inputs) the weights of
/// smallest saliency are selected.
/// Formula    H = Xᵀ X + λ I, H⁻¹ = Uᵀ U with U upper triangular; saliency W_ij² / U_ii²; for each input i and output j
///            whose weight is pruned, W_kj −= U_ik W_ij / U_ii for k ≥ i
/// Shapes     W: in x out; X: N x in, the inputs of the layer for calibration samples, dense or sparse
/// Cost       2 N in² + 3 in³ + in² out operations; 16 in² + 8 N in bytes, in double
/// Edge case  weights of inputs that are 0 in all samples become 0
/// Throws     Error if an option is out of range, X.cols() is not W.rows(), W or X is not finite, or H is not positive
///            definite in double (with damping 0)
/// Reference  Frantar and Alistarh, arXiv:2301.00774, algorithm 1
template <DenseExpression W, Samples X>
auto sparse_gpt(const W& weights, const X& samples, const sparse_gpt_options& options = {}) {
  using S = typename W::Scalar;
  using Wide = detail::Dependent<Eigen::Matrix<double, Eigen::Dynamic, Eigen::Dynamic, Eigen::RowMajor>, X>;
  const char* const call = "sparse_gpt(W, X)";
  const Index in = weights.rows(), out = weights.cols();
  detail::require(options.fraction >= 0 && options.fraction <= 1,
                  "sparse_gpt(W, X, {.fraction}): must be between 0 and 1, got ", options.fraction);
  detail::require(options.damping >= 0 && std::isfinite(options.damping),
                  "sparse_gpt(W, X, {.damping}): must be at least 0 and finite, got ", options.damping);
  detail::require(options.block >= 1, "sparse_gpt(W, X, {.block}): must be at least 1, got ", options.block);
  const bool grouped = options.n != 0 || options.m != 0;
  detail::require(!grouped || (options.n >= 1 && options.n <= options.m),
                  "sparse_gpt(W, X, {.n, .m}): n must be from 1 to m, got ", options.n, " and ", options.m);
  detail::require(samples.cols() == in, call, ": X.cols() = ", samples.cols(), " must equal W.rows() = ", in);
  detail::require_finite_weights(weights, call, "W");
  detail::require_valid_samples(samples, call);
  const detail::Session session(detail::Execution{.executor = options.executor});
  const Wide x = Wide(samples.template cast<double>());
  detail::require(x.allFinite(), call, ": X must be finite");

  Wide h = Wide::Zero(in, in), w = weights.matrix().template cast<double>();
  PrunedWeights<S> result{.weights = weights.matrix(), .mask = WeightMask::Constant(in, out, true)};
  if (in == 0 || out == 0) return result;
  detail::multiply(detail::view(x).transposed(), detail::view(x), {.data = h.data(), .stride = in}, session);
  const double damping = options.damping * h.diagonal().mean();
  for (Index i = 0; i < in; ++i) {
    if (h(i, i) == 0) {
      h(i, i) = 1;
      w.row(i).setZero();
    }
    h(i, i) += damping;
  }
  const bool inverted = h.allFinite() && detail::invert_symmetric(h, session);
  const Eigen::LLT<Wide> factor(h);
  detail::require(inverted && factor.info() == Eigen::Success, call,
                  ": X' X + damping must be positive definite; increase {.damping}");
  const Wide u = factor.matrixU();

  const Index block = grouped ? detail::ceil_div(options.block, options.m) * options.m : options.block;
  Wide errors, coefficients;
  for (Index first = 0; first < in; first += block) {
    const Index count = (std::min)(block, in - first), end = first + count;
    const auto saliency = [&](Index begin, Index size) {
      const detail::Dependent<Eigen::VectorXd, X> scales = u.diagonal().segment(begin, size).cwiseInverse();
      return Wide(scales.asDiagonal() * w.middleRows(begin, size).cwiseAbs());
    };
    if (!grouped) result.mask.middleRows(first, count) = magnitude_mask(saliency(first, count), options.fraction);
    errors.setZero(count, out);
    for (Index i = first; i < end; ++i) {
      if (grouped && i % options.m == 0) {
        const Index size = (std::min)(options.m, end - i);
        result.mask.middleRows(i, size) = n_m_mask(saliency(i, size), options.n, options.m);
      }
      auto error = errors.row(i - first);
      for (Index j = 0; j < out; ++j)
        if (!result.mask(i, j)) error[j] = w(i, j) / u(i, i);
      w.middleRows(i, end - i).noalias() -= u.row(i).segment(i, end - i).transpose() * error;
    }
    if (end == in) break;
    coefficients = -u.block(first, end, count, in - end);
    detail::multiply(detail::view(coefficients).transposed(), detail::view(errors),
                     {.data = w.data() + end * out, .stride = out, .add = true}, session);
  }
  for (Index i = 0; i < in; ++i)
    for (Index j = 0; j < out; ++j) result.weights(i, j) = result.mask(i, j) ? static_cast<S>(w(i, j)) : S(0);
  detail::require(result.weights.allFinite(), call, ": the result must be finite; increase {.damping}");
  return result;
}

}  // namespace filigree
