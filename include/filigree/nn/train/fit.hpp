// SPDX-License-Identifier: MIT
#pragma once

#include "filigree/core/sparse_indices.hpp"
#include "filigree/nn/batch.hpp"
#include "filigree/nn/train/training.hpp"

namespace filigree {

namespace detail {

/// Throws an Error if an option of fit is invalid.
template <Real S, Optimizer Opt>
void require_options(const Opt& optimizer, const fit_options& options) {
  require(options.epochs >= 0, "fit: epochs must be at least 0, got ", options.epochs);
  require(options.batch >= 0, "fit: batch must be at least 1, or 0 for all samples, got ", options.batch);
  require(options.group >= 1, "fit: group must be at least 1, got ", options.group);
  require(options.clip > 0, "fit: clip must be above 0, got ", options.clip);
  require(options.patience >= 0, "fit: patience must be at least 0, got ", options.patience);
  require(options.checkpoint_every >= 0, "fit: checkpoint_every must be at least 0, got ", options.checkpoint_every);
  require(!options.checkpoint.empty() || (!options.resume && options.checkpoint_every == 0),
          "fit: resume and checkpoint_every need a file, {.checkpoint = path}");
  if constexpr (requires { optimizer.template check<S>(); }) optimizer.template check<S>();
}

}  // namespace detail

/// Trains a network: changes its parameters to reduce the loss of samples X for targets Y.
///
/// Every epoch takes all samples in a random order, in batches. The last batch may be smaller, but a single remaining
/// sample joins the preceding batch. The same seed gives the same bits, for any number of threads and with or without
/// resuming from a checkpoint.
/// Shapes  X: N x inputs, Y: N x outputs, each dense or sparse
/// Cost    O(batch) memory. Samples are read where they are stored, except sparse ones that are not stored by rows, and
///         expressions and matrices whose rows are not contiguous: fit copies these
/// Throws  Error if a shape, an option or the checkpoint does not fit, or if a sample is not finite; the network is
///         then unchanged. Error if the loss, a gradient or the schedule is not finite, or if a parameter would
///         overflow; the parameters are then those before the failing step
template <class Net, Samples X, Samples Y, Term Objective, Optimizer Opt>
FitReport fit(Net& net, const X& samples, const Y& targets, const Objective& objective, const Opt& optimizer,
              const fit_options& options = {}) {
  detail::require_options<typename Net::Scalar>(optimizer, options);
  detail::require_valid_samples(samples, "fit: X");
  detail::require_valid_samples(targets, "fit: Y");
  const auto& x = detail::samples_of<Net>(samples);
  const auto& y = detail::samples_of<Net>(targets);
  detail::require_samples(net, x, y);
  return detail::Training(net, optimizer, options, x, y).run(objective);
}

/// Trains a network on sequences of different lengths.
///
/// A step takes whole sequences, in a random order, with at most options.batch tokens; a longer sequence is a step of
/// its own. With options.group = g, sequences g i to g i + g - 1 are a group, such as a query and its documents. A step
/// takes whole groups: the first sequence of each, then the second of each, and so on, as in_batch_negatives() reads
/// them. A group with more tokens is a step of its own.
/// Shapes  tokens: N x inputs, or N ids; Y: N x outputs, or one row for each sequence if the network pools sequences
/// Throws  Error as above, for the option drop_rest, and if the number of sequences is not a multiple of options.group
template <class Net, class X, class M, Samples Y, Term Objective, Optimizer Opt>
FitReport fit(Net& net, const Batch<X, M>& samples, const Y& targets, const Objective& objective, const Opt& optimizer,
              const fit_options& options = {}) {
  detail::require_options<typename Net::Scalar>(optimizer, options);
  const auto& tokens = detail::tokens_of<typename Net::Scalar>(samples);
  detail::require_valid_samples(tokens, "fit: tokens");
  detail::require_valid_samples(targets, "fit: Y");
  const auto& x = detail::samples_of<Net>(tokens);
  const auto& y = detail::samples_of<Net>(targets);
  const detail::Slice<Index> lengths = detail::lengths_of(samples);
  detail::require_samples(net, x, y, lengths.size());
  if constexpr (detail::is_batch<M>) {
    const auto& rows = detail::tokens_of<typename Net::Scalar>(samples.memory);
    detail::require_valid_samples(rows, "fit: memory");
    const auto& memory = detail::samples_of<Net>(rows);
    detail::require_finite(memory, "memory");
    const detail::Slice<Index> memory_lengths = detail::lengths_of(samples.memory);
    return detail::Training(net, optimizer, options, x, y, lengths, detail::TrainingMemory(memory, memory_lengths))
        .run(objective);
  } else {
    return detail::Training(net, optimizer, options, x, y, lengths).run(objective);
  }
}

/// Trains a network on sequences of different lengths by losses that read no targets, such as in_batch_negatives().
template <class Net, class X, class M, Term Objective, Optimizer Opt>
FitReport fit(Net& net, const Batch<X, M>& samples, const Objective& objective, const Opt& optimizer,
              const fit_options& options = {}) {
  static_assert(!detail::reads_targets<Objective>, "filigree: fit: a loss of the objective reads targets; pass Y");
  const Index rows = net.pools_sequences() ? static_cast<Index>(samples.lengths.size()) : samples.tokens.rows();
  const Eigen::SparseMatrix<typename Net::Scalar, Eigen::RowMajor> none(rows, net.outputs());
  return fit(net, samples, none, objective, optimizer, options);
}

/// Trains a network with the samples as targets, as for autoencoders. The samples of a batch are copied once.
template <class Net, Samples X, Term Objective, Optimizer Opt>
FitReport fit(Net& net, const X& samples, const Objective& objective, const Opt& optimizer,
              const fit_options& options = {}) {
  detail::require_options<typename Net::Scalar>(optimizer, options);
  detail::require_valid_samples(samples, "fit: X");
  const auto& x = detail::samples_of<Net>(samples);
  detail::require_samples(net, x, x);
  return detail::Training(net, optimizer, options, x, x).run(objective);
}

}  // namespace filigree
