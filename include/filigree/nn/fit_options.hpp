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

/// One round over the samples.
struct EpochReport {
  Index epoch;                                           ///< counted from 1
  double loss;                                           ///< mean over the samples, as each batch was met
  double l0 = std::numeric_limits<double>::quiet_NaN();  ///< of an autoencoder: mean number of latents that are not 0
  Index dead_latents = 0;                                ///< of an autoencoder: those that were 0 in every sample
};

/// Options of fit.
struct fit_options {
  Index epochs = 10;                                      ///< rounds over the samples
  Index batch = 0;                                        ///< samples per step; 0: all
  bool drop_rest = false;                                 ///< leaves out what fills no batch at the end of an epoch
  std::uint64_t seed = 0;                                 ///< of the order of samples and of dropout
  double clip = std::numeric_limits<double>::infinity();  ///< largest norm of a gradient; longer ones shrink to it
  Index patience = 0;                                     ///< stops after so many epochs without a new best; 0: never
  std::function<double(Index step)> schedule = {};        ///< factor of the rate in each step, counted from 0
  std::function<bool(const EpochReport&)> after_epoch = {};  ///< returns whether to go on
  std::string checkpoint = {};                               ///< file for what training needs to go on; empty: none
  Index checkpoint_every = 0;                                ///< steps between checkpoints; 0: one after each epoch
  bool resume = false;                                       ///< goes on from that file, if it is there; the last
                                                             ///< after_epoch may be called again
  bool progress = true;                                      ///< a line on the terminal, if standard error is one
  ExecutorRef executor = {};                                 ///< whose threads compute; no bit depends on it
};

/// What fit did.
struct FitReport {
  std::vector<double> losses;  ///< of each epoch; of L-BFGS of each evaluation
  Index steps = 0;
  std::string note = {};  ///< why it ended before its time, if it did
};

}  // namespace filigree
