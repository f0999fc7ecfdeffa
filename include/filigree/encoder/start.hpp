// SPDX-License-Identifier: MIT
#pragma once

#include <cstddef>
#include <tuple>

#include "filigree/core/check.hpp"
#include "filigree/encoder/autoencoder.hpp"
#include "filigree/nn/layer/gated.hpp"

namespace filigree {

/// Returns the point with the smallest sum of distances to the rows of X, by Weiszfeld's algorithm.
///
/// Formula    argmin over y of Σ ‖x_i − y‖
/// Shapes     X: n x d, result: d
/// Cost       O(n d) for each of at most 100 steps; stops if a step is shorter than 1e-9 times the mean distance
/// Throws     Error if X has no rows or is not finite
/// Reference  Weiszfeld 1937; Vardi and Zhang, PNAS 97, 2000, for an iterate that coincides with a row
template <DenseExpression X>
auto geometric_median(const X& samples) {
  using S = typename X::Scalar;
  detail::require(samples.rows() >= 1, "geometric_median(X): X must have at least 1 row");
  using Row = detail::Dependent<Eigen::RowVectorXd, X>;
  using Vector = detail::Dependent<Eigen::VectorXd, X>;
  using Wide = detail::Dependent<Eigen::Matrix<double, Eigen::Dynamic, Eigen::Dynamic, Eigen::RowMajor>, X>;
  const Wide x = samples.template cast<double>();
  detail::require(x.allFinite(), "geometric_median(X): X must be finite");
  Row median = x.colwise().mean();
  for (int step = 0; step < 100; ++step) {
    const Vector distances = (x.rowwise() - median).rowwise().norm();
    const double equal_rows = static_cast<double>((distances.array() == 0).count());
    const Vector weights = (distances.array() > 0).select(distances.array().inverse(), 0.0);
    const double sum = weights.sum();
    if (!(sum > 0)) break;
    const Row mean = weights.transpose() * x / sum, r = sum * (mean - median);
    double damping = 0;
    if (equal_rows > 0) damping = r.norm() > 0 ? (std::min)(1.0, equal_rows / r.norm()) : 1.0;
    const Row move = (1 - damping) * (mean - median);
    median += move;
    if (move.norm() <= 1e-9 * distances.mean()) break;
  }
  return Eigen::Matrix<S, Eigen::Dynamic, 1>(median.transpose().template cast<S>());
}

namespace detail {

/// Returns the index of the first linear or gated layer; the number of stages if there is none.
template <class... T>
constexpr std::size_t first_linear() {
  constexpr bool linear[] = {(is_linear<T> || is_gated<T>)..., true};
  std::size_t at = 0;
  while (!linear[at]) ++at;
  return at;
}

}  // namespace detail

/// Initializes a linear decoder to the transpose of a linear or gated encoder, with rows scaled to length 1, and the
/// encoder to the transpose of the result.
///
/// Throws     Error if the numbers of inputs and outputs differ
/// Reference  Gao et al., arXiv:2406.04093, appendix A.1
template <class... E, class D>
void tie(Autoencoder<std::tuple<E...>, std::tuple<D>>& sae) {
  constexpr std::size_t decoder = sizeof...(E);
  constexpr std::size_t encoder = detail::first_linear<E...>();
  static_assert(encoder < sizeof...(E), "filigree: tie(sae): the encoder has no linear or gated layer");
  detail::require(sae.outputs() == sae.inputs(), "tie(sae): the decoder has ", sae.outputs(),
                  " outputs, but the encoder has ", sae.inputs(), " inputs");
  auto in = sae.template weights<encoder>();
  auto out = sae.template weights<decoder>();
  out = in.transpose();
  for (Index j = 0; j < out.rows(); ++j) {
    const auto length = out.row(j).stableNorm();
    if (length > 0) out.row(j) /= length;
  }
  in = out.transpose();
}

}  // namespace filigree
