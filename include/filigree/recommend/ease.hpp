// SPDX-License-Identifier: MIT
#pragma once

#include <Eigen/Core>
#include <cmath>
#include <concepts>
#include <utility>

#include "filigree/engine/symmetric_inverse.hpp"
#include "filigree/recommend/gram.hpp"

namespace filigree {

/// Returns the weights B of the linear autoencoder X ≈ X B without self-weights, in closed form: EASE. The scores of a
/// user are x B.
///
/// Formula    argmin of ‖X − X B‖² + λ ‖B‖² with diag B = 0: B_ij = −P_ij / P_jj for i ≠ j, P = (Xᵀ X + λ)⁻¹
/// Shapes     X: users x items, result: items x items, row-major, of the scalar of X
/// Cost       Σ over users of (their items)² / 2, and 2 items³ operations; 8 items² bytes, for float another 4 items².
///            Computed in double
/// Edge case  the row and the column of an item without interactions are 0; without users, B is 0
/// Throws     Error if λ is not above 0 and finite, an entry of X is not finite, its indices do not ascend, or λ is so
///            small that Xᵀ X + λ is not positive definite in double
/// Reference  Steck, arXiv:1905.03375, equation 8
template <Interactions X>
auto ease(const X& x, double lambda, ExecutorRef executor = {}) {
  using S = typename X::Scalar;
  using Result = Eigen::Matrix<S, Eigen::Dynamic, Eigen::Dynamic, Eigen::RowMajor>;
  detail::require(lambda > 0 && std::isfinite(lambda), "ease(X, lambda): lambda must be above 0 and finite, got ",
                  lambda);
  detail::require_interactions(x, "ease(X, lambda)");
  const detail::Session session(detail::Execution{.executor = executor});
  detail::GramMatrix b = detail::gram_matrix(x, "ease(X, lambda)", session);
  b.diagonal().array() += lambda;
  detail::require(detail::invert_symmetric(b, session), "ease(X, lambda): X' X + lambda is not positive definite; ",
                  lambda, " is too small for the entries of X");
  const detail::Dependent<Eigen::RowVectorXd, X> scales = -b.diagonal().cwiseInverse().transpose();
  for (Index i = 0; i < b.rows(); ++i) {
    b.row(i).array() *= scales.array();
    b(i, i) = 0;
  }
  b.array() += 0.0;  // -0 becomes 0
  if constexpr (std::same_as<S, double>)
    return Result(std::move(b));
  else
    return Result(b.template cast<S>());
}

}  // namespace filigree
