// SPDX-License-Identifier: MIT
#pragma once

#include <vector>

#include "filigree/nn/by_column.hpp"

namespace filigree::detail {

/// Buffers for losses of residuals.
template <Real S>
struct ResidualMemory {
  std::vector<Column> dead;
  ListMemory<S> lists;
  ByColumn<S> by_column;
  Buffer weights, biases, numbers, residuals, sums;
};

/// For how many samples each latent has been inactive.
struct LatentUse {
  const std::vector<Index>& samples_since_active;  // for each latent, since it was last not 0
  Index dead_after;                                // default number of inactive samples after which a latent is dead
};

/// The data that a loss of residuals reads after a forward and backward pass through an autoencoder of two linear
/// layers.
template <Real S>
struct ResidualPass {
  ConstRows<S> inputs, outputs, target;                            // of the encoder; of the decoder; of the network
  const S *encoder, *encoder_biases;                               // in x latents, latents
  const S* decoder;                                                // latents x out
  S *encoder_gradient, *encoder_bias_gradient, *decoder_gradient;  // the loss adds to them; null: only the value
  Index latents;
  LatentUse use;
  ResidualMemory<S>& memory;
  const Session& session;
};

}  // namespace filigree::detail
