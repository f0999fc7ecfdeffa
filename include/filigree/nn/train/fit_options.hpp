// SPDX-License-Identifier: MIT
#pragma once

#include <cstdint>
#include <functional>
#include <limits>
#include <string>
#include <vector>

#include "filigree/core/concepts.hpp"
#include "filigree/core/executor.hpp"

namespace filigree {

/// The results of one epoch.
struct EpochReport {
  Index epoch;  ///< counted from 1
  double loss;  ///< mean over the samples, each with the parameters at its batch
  double l0 = std::numeric_limits<double>::quiet_NaN();  ///< of an autoencoder: mean number of nonzero latents
  Index dead_latents = 0;                                ///< of an autoencoder: latents that were 0 in every sample
};

/// Options of fit.
struct fit_options {
  Index epochs = 10;                                      ///< passes over the samples
  Index batch = 0;                                        ///< samples per step; 0: all
  Index group = 1;                                        ///< of a Batch: consecutive sequences that stay together
  bool drop_rest = false;                                 ///< skips an incomplete batch at the end of an epoch
  std::uint64_t seed = 0;                                 ///< seeds the order of samples and dropout
  double clip = std::numeric_limits<double>::infinity();  ///< largest norm of the gradient; longer ones are scaled
  Index patience = 0;                               ///< stops after this many epochs without a lower loss; 0: never
  std::function<double(Index step)> schedule = {};  ///< factor of the rate in each step, from 0; it
                                                    ///< must not change the network
  std::function<bool(const EpochReport&)> after_epoch = {};  ///< returns false to stop
  std::function<void(Index steps)> after_step = {};          ///< called with the number of steps so far; may change
                                                             ///< the parameters and masks of the network
  std::string checkpoint = {};                               ///< file from which training can resume; empty: none
  Index checkpoint_every = 0;                                ///< steps between checkpoints; 0: one after each epoch
  bool resume = false;                                       ///< resumes from the checkpoint file, if it exists; the
                                                             ///< last call of after_epoch may be repeated
  bool progress = true;                                      ///< shows a progress line if standard error is a terminal
  ExecutorRef executor = {};                                 ///< threads that compute; results do not depend on it
};

/// The results of fit.
struct FitReport {
  std::vector<double> losses;  ///< of each epoch; with lbfgs of each evaluation
  Index steps = 0;
  std::string note = {};  ///< why training stopped early; empty if it did not
};

}  // namespace filigree
