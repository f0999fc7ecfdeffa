// SPDX-License-Identifier: MIT
#pragma once

#include <vector>

#include "filigree/nn/by_column.hpp"

namespace filigree::detail {

/// Memory of losses of residuals.
template <Real S>
struct ResidualMemory {
  std::vector<Column> dead;
  ListMemory<S> lists;
  ByColumn<S> by_column;
  Buffer weights, biases, numbers, residuals, sums;
};

/// How long each latent has not been used.
struct LatentUse {
  const std::vector<Index>& samples_since_active;  // since it was not 0
  Index dead_after;  // for how many it may be 0 where a loss does not say it: a tenth of those seen
};

/// What a loss of residuals sees of a pass through an autoencoder of two linear layers, when both ways are done.
template <Real S>
struct ResidualPass {
  ConstRows<S> inputs, outputs, target;  // what the encoder takes, what the decoder puts out, what it should
  const S *encoder, *encoder_biases;     // in x latents, latents
  const S* decoder;                      // latents x out
  S *encoder_gradient, *encoder_bias_gradient, *decoder_gradient;  // to add to; null: the value alone
  Index latents;
  LatentUse use;
  ResidualMemory<S>& memory;
  const Session& session;
};

}  // namespace filigree::detail
