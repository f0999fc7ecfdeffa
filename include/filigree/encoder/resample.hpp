// SPDX-License-Identifier: MIT
#pragma once

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <span>
#include <tuple>
#include <vector>

#include "filigree/core/generator.hpp"
#include "filigree/encoder/start.hpp"
#include "filigree/nn/layer/pre_bias.hpp"

namespace filigree {

/// Reinitializes dead latents to the directions of badly reconstructed samples.
///
/// For each dead latent, a sample is drawn with probability proportional to the square of its squared error. Its
/// direction, relative to the bias of pre_bias() if there is one, becomes the latent's decoder row, with length 1. The
/// encoder column gets the same direction and 0.2 times the mean column length of the other latents. The latent's
/// encoder biases become 0 (all three of a gated encoder).
/// Continue training with new optimizer moments, as fit() does.
/// Throws     Error if the numbers of inputs and outputs differ, X has no rows or X.cols() is not inputs(), an error of
///            a sample is not finite, or a latent is out of range
/// Reference  Bricken et al. 2023, "Towards Monosemanticity", appendix "Neuron resampling"
template <class... E, class D, DenseExpression X>
void resample(Autoencoder<std::tuple<E...>, std::tuple<D>>& sae, std::span<const Index> dead, const X& samples,
              std::uint64_t seed) {
  using S = typename Autoencoder<std::tuple<E...>, std::tuple<D>>::Scalar;
  constexpr std::size_t decoder = sizeof...(E), encoder = detail::first_linear<E...>();
  static_assert(encoder < sizeof...(E),
                "filigree: resample(sae, dead, X, seed): the encoder has no linear or gated layer");
  detail::require(sae.outputs() == sae.inputs(),
                  "resample(sae, dead, X, seed): the autoencoder must have as many outputs as inputs");
  detail::require(samples.rows() >= 1, "resample(sae, dead, X, seed): X must have at least 1 row");
  const Index latents = sae.latents();
  std::vector<char> alive(static_cast<std::size_t>(latents), 1);
  for (const Index j : dead) {
    detail::require(j >= 0 && j < latents, "resample(sae, dead, X, seed): a latent must be from 0 to ", latents - 1,
                    ", got ", j);
    alive[static_cast<std::size_t>(j)] = 0;
  }
  if (dead.empty()) return;

  using Row = detail::Dependent<Eigen::RowVectorXd, X>;
  using Wide = detail::Dependent<Eigen::Matrix<double, Eigen::Dynamic, Eigen::Dynamic, Eigen::RowMajor>, X>;
  const Wide x = samples.template cast<double>();
  const detail::Dependent<Eigen::VectorXd, X> errors =
      (sae(samples).template cast<double>() - x).rowwise().squaredNorm();
  std::vector<double> cumulative;  // prefix sums of the unnormalized probabilities
  double sum = 0;
  for (Index i = 0; i < x.rows(); ++i) cumulative.push_back(sum += errors[i] * errors[i]);
  detail::require(std::isfinite(sum), "resample(sae, dead, X, seed): the errors of the samples must be finite");

  auto in = sae.template weights<encoder>();
  auto out = sae.template weights<decoder>();
  double length_sum = 0;
  Index count = 0;
  for (Index j = 0; j < latents; ++j)
    if (alive[static_cast<std::size_t>(j)] != 0) {
      length_sum += static_cast<double>(in.col(j).norm());
      ++count;
    }
  const double length = 0.2 * (count > 0 ? length_sum / static_cast<double>(count) : 1);
  Row origin = Row::Zero(x.cols());
  if constexpr ((std::same_as<E, PreBias> || ...))
    origin = sae.template biases<decoder>().template cast<double>().transpose();

  Generator generator(seed);
  for (const Index j : dead) {
    const double drawn = sum * generator.uniform();
    const Index i = std::min<Index>(std::upper_bound(cumulative.begin(), cumulative.end(), drawn) - cumulative.begin(),
                                    x.rows() - 1);
    Row direction = x.row(i) - origin;
    const double norm = direction.norm();
    if (!(norm > 0)) continue;  // a sample at the origin has no direction: the latent does not change
    direction /= norm;
    out.row(j) = direction.template cast<S>();
    in.col(j) = (length * direction).transpose().template cast<S>();
    auto biases = sae.template biases<encoder>();
    for (Index b = j; b < biases.size(); b += latents) biases[b] = S(0);
  }
}

}  // namespace filigree
