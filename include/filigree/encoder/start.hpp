// SPDX-License-Identifier: MIT
#pragma once

#include <cmath>

#include "filigree/core/check.hpp"
#include "filigree/encoder/autoencoder.hpp"

namespace filigree {

/// Returns the point whose distances to the rows of X have the least sum, by Weiszfeld's algorithm.
///
/// Formula    argmin over y of Σ ‖x_i − y‖
/// Shapes     X: n x d, result: d
/// Cost       O(n d) for each of at most 100 steps; stops where one moves the point by 1e-9 of its distance from X
/// Throws     Error if X has no rows or is not finite
/// Reference  Weiszfeld 1937; Vardi and Zhang, PNAS 97, 2000, for a point that lies on a row
template <DenseExpression X>
auto geometric_median(const X& samples) {
  using S = typename X::Scalar;
  detail::require(samples.rows() >= 1, "geometric_median(X): X must have at least 1 row");
  using Row = detail::Later<Eigen::RowVectorXd, X>;
  using Vector = detail::Later<Eigen::VectorXd, X>;
  using Wide = detail::Later<Eigen::Matrix<double, Eigen::Dynamic, Eigen::Dynamic, Eigen::RowMajor>, X>;
  const Wide x = samples.template cast<double>();
  detail::require(x.allFinite(), "geometric_median(X): X must be finite");
  Row at = x.colwise().mean();
  for (int step = 0; step < 100; ++step) {
    const Vector distances = (x.rowwise() - at).rowwise().norm();
    const double here = static_cast<double>((distances.array() == 0).count());
    const Vector weights = (distances.array() > 0).select(distances.array().inverse(), 0.0);
    const double sum = weights.sum();
    if (!(sum > 0)) break;
    const Row mean = weights.transpose() * x / sum, pull = sum * (mean - at);
    const double stay = here > 0 && pull.norm() > 0 ? (std::min)(1.0, here / pull.norm()) : here > 0 ? 1.0 : 0.0;
    const Row move = (1 - stay) * (mean - at);
    at += move;
    if (move.norm() <= 1e-9 * distances.mean()) break;
  }
  return Eigen::Matrix<S, Eigen::Dynamic, 1>(at.transpose().template cast<S>());
}

namespace detail {

/// Number of the first linear or gated layer among stages.
template <class... T>
constexpr std::size_t first_linear() {
  constexpr bool linear[] = {(is_linear<T> || is_gated<T>)..., true};
  std::size_t at = 0;
  while (!linear[at]) ++at;
  return at;
}

}  // namespace detail

/// Starts the decoder of an autoencoder, a linear layer after a linear or gated one, as the transpose of the encoder
/// with rows of length 1, and the encoder as the transpose of that.
///
/// Throws     Error if the outputs are not as many as the inputs
/// Reference  Gao et al., arXiv:2406.04093, appendix A.1
template <class... E, class D>
void tie(Autoencoder<std::tuple<E...>, std::tuple<D>>& sae) {
  constexpr std::size_t decoder = sizeof...(E);
  constexpr std::size_t encoder = detail::first_linear<E...>();
  static_assert(encoder < sizeof...(E), "filigree: tie(sae): the encoder has no linear or gated layer");
  detail::require(sae.outputs() == sae.inputs(), "tie(sae): the decoder puts out ", sae.outputs(),
                  " columns, and the encoder takes ", sae.inputs());
  auto from = sae.template weights<encoder>();
  auto to = sae.template weights<decoder>();
  to = from.transpose();
  for (Index j = 0; j < to.rows(); ++j) {
    const auto length = to.row(j).stableNorm();
    if (length > 0) to.row(j) /= length;
  }
  from = to.transpose();
}

}  // namespace filigree
