// SPDX-License-Identifier: MIT
#pragma once

#include "filigree/nn/layer/gated.hpp"                    // IWYU pragma: export
#include "filigree/nn/layer/jump_relu.hpp"                // IWYU pragma: export
#include "filigree/nn/layer/layer_norm.hpp"               // IWYU pragma: export
#include "filigree/nn/layer/linear.hpp"                   // IWYU pragma: export
#include "filigree/nn/layer/penalize.hpp"                 // IWYU pragma: export
#include "filigree/nn/layer/pre_bias.hpp"                 // IWYU pragma: export
#include "filigree/nn/loss/aux_k.hpp"                     // IWYU pragma: export
#include "filigree/nn/loss/cross_entropy.hpp"             // IWYU pragma: export
#include "filigree/nn/loss/gate_losses.hpp"               // IWYU pragma: export
#include "filigree/nn/loss/matryoshka.hpp"                // IWYU pragma: export
#include "filigree/nn/loss/normalized_squared_error.hpp"  // IWYU pragma: export
#include "filigree/nn/loss/squared_error.hpp"             // IWYU pragma: export
#include "filigree/nn/network.hpp"                        // IWYU pragma: export
#include "filigree/nn/optimizer/adam.hpp"                 // IWYU pragma: export
#include "filigree/nn/optimizer/adamw.hpp"                // IWYU pragma: export
#include "filigree/nn/optimizer/optimizer.hpp"            // IWYU pragma: export
#include "filigree/nn/optimizer/proximal_gradient.hpp"    // IWYU pragma: export
#include "filigree/nn/optimizer/sgd.hpp"                  // IWYU pragma: export
#include "filigree/nn/pass.hpp"                           // IWYU pragma: export
#include "filigree/nn/penalty/entropy.hpp"                // IWYU pragma: export
#include "filigree/nn/penalty/flops.hpp"                  // IWYU pragma: export
#include "filigree/nn/penalty/group_lasso.hpp"            // IWYU pragma: export
#include "filigree/nn/penalty/hoyer_square.hpp"           // IWYU pragma: export
#include "filigree/nn/penalty/kl.hpp"                     // IWYU pragma: export
#include "filigree/nn/penalty/l0_penalty.hpp"             // IWYU pragma: export
#include "filigree/nn/penalty/l1.hpp"                     // IWYU pragma: export
#include "filigree/nn/penalty/weight_decay.hpp"           // IWYU pragma: export
#include "filigree/nn/samples.hpp"                        // IWYU pragma: export
#include "filigree/nn/train/checkpoint.hpp"               // IWYU pragma: export
#include "filigree/nn/train/fit.hpp"                      // IWYU pragma: export
#include "filigree/nn/train/fit_options.hpp"              // IWYU pragma: export
#include "filigree/nn/train/loss_and_gradient.hpp"        // IWYU pragma: export
#include "filigree/nn/train/schedule.hpp"                 // IWYU pragma: export
