// SPDX-License-Identifier: MIT
#pragma once

#include "filigree/nn/adam.hpp"                      // IWYU pragma: export
#include "filigree/nn/adamw.hpp"                     // IWYU pragma: export
#include "filigree/nn/aux_k.hpp"                     // IWYU pragma: export
#include "filigree/nn/checkpoint.hpp"                // IWYU pragma: export
#include "filigree/nn/cross_entropy.hpp"             // IWYU pragma: export
#include "filigree/nn/entropy.hpp"                   // IWYU pragma: export
#include "filigree/nn/fit.hpp"                       // IWYU pragma: export
#include "filigree/nn/fit_options.hpp"               // IWYU pragma: export
#include "filigree/nn/flops.hpp"                     // IWYU pragma: export
#include "filigree/nn/gated.hpp"                     // IWYU pragma: export
#include "filigree/nn/group_lasso.hpp"               // IWYU pragma: export
#include "filigree/nn/hoyer_square.hpp"              // IWYU pragma: export
#include "filigree/nn/jump_relu.hpp"                 // IWYU pragma: export
#include "filigree/nn/kl.hpp"                        // IWYU pragma: export
#include "filigree/nn/l0_penalty.hpp"                // IWYU pragma: export
#include "filigree/nn/l1.hpp"                        // IWYU pragma: export
#include "filigree/nn/layer_norm.hpp"                // IWYU pragma: export
#include "filigree/nn/linear.hpp"                    // IWYU pragma: export
#include "filigree/nn/loss_and_gradient.hpp"         // IWYU pragma: export
#include "filigree/nn/matryoshka.hpp"                // IWYU pragma: export
#include "filigree/nn/network.hpp"                   // IWYU pragma: export
#include "filigree/nn/normalized_squared_error.hpp"  // IWYU pragma: export
#include "filigree/nn/optimizer.hpp"                 // IWYU pragma: export
#include "filigree/nn/pass.hpp"                      // IWYU pragma: export
#include "filigree/nn/penalize.hpp"                  // IWYU pragma: export
#include "filigree/nn/pre_bias.hpp"                  // IWYU pragma: export
#include "filigree/nn/proximal_gradient.hpp"         // IWYU pragma: export
#include "filigree/nn/samples.hpp"                   // IWYU pragma: export
#include "filigree/nn/schedule.hpp"                  // IWYU pragma: export
#include "filigree/nn/sgd.hpp"                       // IWYU pragma: export
#include "filigree/nn/squared_error.hpp"             // IWYU pragma: export
#include "filigree/nn/weight_decay.hpp"              // IWYU pragma: export
