// SPDX-License-Identifier: MIT
#pragma once

#include "filigree/core/sparse_indices.hpp"
#include "filigree/nn/training.hpp"

namespace filigree {

/// Trains a network: changes its parameters to reduce the loss of samples X for targets Y.
///
/// Every epoch takes all samples in a random order, in batches. The last batch may be smaller, but a single remaining
/// sample joins the preceding batch. The same seed gives the same bits, for any number of threads and with or without
/// resuming from a checkpoint.
/// Shapes  X: N x inputs, Y: N x outputs, each dense or sparse
/// Throws  Error if a shape, an option or the checkpoint does not fit, or if a sample is not finite; the network is
///         then unchanged. Error if the loss, a gradient or the schedule is not finite, or if a parameter would
///         overflow; the parameters are then those before the failing step
template <class Net, Samples X, Samples Y, Term Objective, Optimizer Opt>
FitReport fit(Net& net, const X& samples, const Y& targets, const Objective& objective, const Opt& optimizer,
              const fit_options& options = {}) {
  detail::require(options.epochs >= 0, "fit: epochs must be at least 0, got ", options.epochs);
  detail::require(options.batch >= 0, "fit: batch must be at least 1, or 0 for all samples, got ", options.batch);
  detail::require(options.clip > 0, "fit: clip must be above 0, got ", options.clip);
  detail::require(options.patience >= 0, "fit: patience must be at least 0, got ", options.patience);
  detail::require(options.checkpoint_every >= 0, "fit: checkpoint_every must be at least 0, got ",
                  options.checkpoint_every);
  detail::require(!options.checkpoint.empty() || (!options.resume && options.checkpoint_every == 0),
                  "fit: resume and checkpoint_every need a file, {.checkpoint = path}");
  if constexpr (requires { optimizer.template check<typename Net::Scalar>(); })
    optimizer.template check<typename Net::Scalar>();
  detail::require_valid_samples(samples, "fit: X");
  detail::require_valid_samples(targets, "fit: Y");
  const auto x = detail::samples_of<Net>(samples);
  const auto y = detail::samples_of<Net>(targets);
  detail::require_samples(net, x, y);
  return detail::Training(net, optimizer, options, x, y).run(objective);
}

/// Trains a network with the samples as targets, as for autoencoders.
template <class Net, Samples X, Term Objective, Optimizer Opt>
FitReport fit(Net& net, const X& samples, const Objective& objective, const Opt& optimizer,
              const fit_options& options = {}) {
  detail::require_valid_samples(samples, "fit: X");
  const auto x = detail::samples_of<Net>(samples);
  return fit(net, x, x, objective, optimizer, options);
}

}  // namespace filigree
