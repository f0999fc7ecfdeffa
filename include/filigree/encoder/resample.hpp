// SPDX-License-Identifier: MIT
#pragma once

#include <algorithm>
#include <cmath>
#include <span>
#include <vector>

#include "filigree/core/generator.hpp"
#include "filigree/encoder/start.hpp"

namespace filigree {

/// Gives dead latents new directions: each becomes that of a sample, drawn with a chance that grows as the square of
/// the sample's squared error. The row of the decoder has length 1, the column of the encoder 0.2 times the mean length
/// of those of the other latents, and its bias is 0, as are all three of a gated one. With pre_bias(), directions are
/// those from the bias.
///
/// Training that goes on should do so with new moments, as fit does.
/// Throws     Error if the outputs are not as many as the inputs, X has no rows or not the autoencoder's inputs, or a
///            latent is out of range
/// Reference  Bricken et al. 2023, "Towards Monosemanticity", appendix "Neuron resampling"
template <class... E, class D, DenseExpression X>
void resample(Autoencoder<std::tuple<E...>, std::tuple<D>>& sae, std::span<const Index> dead, const X& samples,
              std::uint64_t seed) {
  using S = typename Autoencoder<std::tuple<E...>, std::tuple<D>>::Scalar;
  constexpr std::size_t decoder = sizeof...(E), encoder = detail::first_linear<E...>();
  static_assert(encoder < sizeof...(E),
                "filigree: resample(sae, dead, X, seed): the encoder has no linear or gated layer");
  detail::require(sae.outputs() == sae.inputs(),
                  "resample(sae, dead, X, seed): samples are no directions for the outputs of a transcoder");
  detail::require(samples.rows() >= 1, "resample(sae, dead, X, seed): X must have at least 1 row");
  const Index latents = sae.latents();
  std::vector<char> alive(static_cast<std::size_t>(latents), 1);
  for (const Index j : dead) {
    detail::require(j >= 0 && j < latents, "resample(sae, dead, X, seed): a latent must be from 0 to ", latents - 1,
                    ", got ", j);
    alive[static_cast<std::size_t>(j)] = 0;
  }
  if (dead.empty()) return;

  using Row = detail::Later<Eigen::RowVectorXd, X>;
  using Wide = detail::Later<Eigen::Matrix<double, Eigen::Dynamic, Eigen::Dynamic, Eigen::RowMajor>, X>;
  const Wide x = samples.template cast<double>();
  const detail::Later<Eigen::VectorXd, X> errors = (sae(samples).template cast<double>() - x).rowwise().squaredNorm();
  std::vector<double> chances;  // summed up
  double sum = 0;
  for (Index i = 0; i < x.rows(); ++i) chances.push_back(sum += errors[i] * errors[i]);
  detail::require(std::isfinite(sum), "resample(sae, dead, X, seed): the errors of the samples must be finite");

  auto in = sae.template weights<encoder>();
  auto out = sae.template weights<decoder>();
  double lengths = 0;
  Index count = 0;
  for (Index j = 0; j < latents; ++j)
    if (alive[static_cast<std::size_t>(j)] != 0) {
      lengths += static_cast<double>(in.col(j).norm());
      ++count;
    }
  const double length = 0.2 * (count > 0 ? lengths / static_cast<double>(count) : 1);
  Row origin = Row::Zero(x.cols());
  if constexpr ((std::same_as<E, PreBias> || ...))
    origin = sae.template biases<decoder>().template cast<double>().transpose();

  Generator generator(seed);
  for (const Index j : dead) {
    const double at = sum * generator.uniform();
    const Index i =
        std::min<Index>(std::upper_bound(chances.begin(), chances.end(), at) - chances.begin(), x.rows() - 1);
    Row direction = x.row(i) - origin;
    const double size = direction.norm();
    if (!(size > 0)) continue;  // a sample without a direction leaves the latent as it is
    direction /= size;
    out.row(j) = direction.template cast<S>();
    in.col(j) = (length * direction).transpose().template cast<S>();
    auto biases = sae.template biases<encoder>();
    for (Index b = j; b < biases.size(); b += latents) biases[b] = S(0);
  }
}

}  // namespace filigree
