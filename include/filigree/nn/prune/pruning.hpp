// SPDX-License-Identifier: MIT
#pragma once

#include <Eigen/SparseCore>
#include <algorithm>
#include <cmath>
#include <cstddef>
#include <utility>
#include <vector>

#include "filigree/nn/network.hpp"
#include "filigree/nn/prune/linear_layers.hpp"
#include "filigree/nn/prune/masks.hpp"

namespace filigree {

/// Options of prune() and pruning().
struct pruning_options {
  double fraction = 0.9;                 ///< of the weights that are pruned in the end
  double initial = 0;                    ///< fraction at the begin of the schedule
  bool global = false;                   ///< ranks the weights of all layers together, instead of each layer by itself
  Index n = 0, m = 0;                    ///< keeps n of m consecutive inputs instead; 0: no
  Index every = 1;                       ///< steps between two changes of the masks
  std::vector<std::size_t> stages = {};  ///< numbers of the stages that are pruned; empty: all with linear layers
};

namespace detail {

/// Returns the linear layers of the stages that are pruned.
template <class Net>
std::vector<LinearLayer<Net>> pruned_layers(Net& net, const pruning_options& options) {
  std::vector<LinearLayer<Net>> layers = linear_layers(net);
  const auto& stages = options.stages;
  std::erase_if(layers, [&](const auto& layer) {
    return !stages.empty() && std::find(stages.begin(), stages.end(), layer.stage()) == stages.end();
  });
  return layers;
}

template <class Net>
void require_pruning(Net& net, const pruning_options& options, const char* call) {
  require(options.fraction >= 0 && options.fraction <= 1, call, ": fraction must be between 0 and 1, got ",
          options.fraction);
  require(options.initial >= 0 && options.initial <= options.fraction, call,
          ": initial must be between 0 and fraction, got ", options.initial);
  require(options.every >= 1, call, ": every must be at least 1, got ", options.every);
  const bool grouped = options.n != 0 || options.m != 0;
  require(!grouped || (options.n >= 1 && options.n <= options.m), call, ": n must be from 1 to m, got ", options.n,
          " and ", options.m);
  require(!grouped || !options.global, call, ": n and m select within each layer, without {.global = true}");
  const auto layers = pruned_layers(net, options);
  bool valid = !layers.empty();
  for (auto l = options.stages.begin(); l != options.stages.end(); ++l)
    valid = valid && std::count(options.stages.begin(), l, *l) == 0 &&
            std::any_of(layers.begin(), layers.end(), [&](const auto& layer) { return layer.stage() == *l; });
  require(valid, call, ": the stages must be stages of the network with linear layers, each named once");
}

}  // namespace detail

/// Prunes the weights of smallest magnitude of the linear layers of a network, now and in later training: sets the
/// masks of the layers, also of those within sequence, residual, repeat, attention and other layers.
///
/// Formula    drops ⌊fraction · count⌋ weights of each layer or, if global, of all layers together; or keeps n of m
/// Cost       O(weights)
/// Throws     Error if an option is out of range, a stage has no linear layer, or a weight is not finite
/// Reference  Han et al., arXiv:1506.02626, section 3; n:m: Mishra et al., arXiv:2104.08378, section 3
template <class Net>
void prune(Net& net, const pruning_options& options = {}) {
  using Row = Eigen::Matrix<typename Net::Scalar, 1, Eigen::Dynamic, Eigen::RowMajor>;
  detail::require_pruning(net, options, "prune(net, options)");
  const auto layers = detail::pruned_layers(net, options);
  std::vector<WeightMask> masks;  // all of them first: an Error changes nothing
  if (options.global) {
    Index count = 0, at = 0;
    for (const auto& layer : layers) count += layer.weights().size();
    Row all(count);
    for (const auto& layer : layers) {
      const auto weights = layer.weights();
      all.segment(at, weights.size()) = Eigen::Map<const Row>(weights.data(), weights.size());
      at += weights.size();
    }
    const WeightMask kept = magnitude_mask(all, options.fraction);
    at = 0;
    for (const auto& layer : layers) {
      const auto weights = layer.weights();
      masks.emplace_back(Eigen::Map<const WeightMask>(kept.data() + at, weights.rows(), weights.cols()));
      at += weights.size();
    }
  } else {
    for (const auto& layer : layers)
      masks.push_back(options.m > 0 ? n_m_mask(layer.weights(), options.n, options.m)
                                    : magnitude_mask(layer.weights(), options.fraction));
  }
  for (std::size_t l = 0; l < layers.size(); ++l) layers[l].mask(masks[l]);
}

/// Pruning in the course of training: a function for {.after_step} of fit.
template <class Net, class Schedule>
class Pruning {
 public:
  Pruning(Net& net, Schedule schedule, pruning_options options)
      : net_(&net), schedule_(std::move(schedule)), options_(std::move(options)) {}

  // Prunes the network after a number of steps.
  void operator()(Index step) {
    if (!std::exchange(started_, true)) skip_steps_before(step);
    const double reached = schedule_(step);
    detail::require(reached >= 0 && reached <= 1, "pruning(net, schedule): the schedule must be from 0 to 1; schedule(",
                    step, ") is ", reached);
    if (!changes(step, reached)) return;
    reached_ = reached;
    if (options_.m > 0 && reached < 1) return;
    pruning_options now = options_;
    now.fraction = options_.initial + (options_.fraction - options_.initial) * reached;
    prune(*net_, now);
  }

 private:
  [[nodiscard]] bool changes(Index step, double reached) const {
    return reached > reached_ && (reached >= 1 || step % options_.every == 0);
  }
  // Training that resumes from a checkpoint begins with a later step, and with masks: preceding changes are in them.
  void skip_steps_before(Index step) {
    const auto layers = detail::pruned_layers(*net_, options_);
    if (!std::all_of(layers.begin(), layers.end(), [](const auto& layer) { return layer.is_masked(); })) return;
    for (Index s = 1; s < step; ++s)
      if (const double reached = schedule_(s); changes(s, reached)) reached_ = reached;
  }

  Net* net_;
  Schedule schedule_;
  pruning_options options_;
  double reached_ = 0;
  bool started_ = false;
};

/// Makes a function that prunes a network in the course of training: fit(net, ..., {.after_step = pruning(net, cubic(0,
/// 1000))}).
///
/// It changes the masks every options.every steps, and in the step in which the schedule reaches 1. In between, pruned
/// weights stay 0. With n and m, the weights are pruned once, in the step in which the schedule reaches 1. The network
/// must outlive the function.
/// Formula    prune() with fraction initial + (fraction − initial) · schedule(step)
/// Edge case  checkpoints store masks: training that resumes gives the same bits as without an interruption
/// Throws     Error if an option is out of range or a stage has no linear layer; in training, if the schedule is not
/// from 0
///            to 1
/// Reference  Zhu and Gupta, arXiv:1710.01878, section 3
template <class Net, class Schedule>
Pruning<Net, Schedule> pruning(Net& net, const Schedule& schedule, const pruning_options& options = {}) {
  detail::require_pruning(net, options, "pruning(net, schedule, options)");
  return {net, schedule, options};
}

/// Returns the weights of linear stage number L that are not 0, as a sparse matrix: X * sparse_weights<L>(net) are the
/// outputs of the stage without the biases.
///
/// Shapes  result: in x out, row-major
template <std::size_t L, class Net>
auto sparse_weights(const Net& net) {
  const auto weights = net.template weights<L>();
  return Eigen::SparseMatrix<typename Net::Scalar, Eigen::RowMajor>(weights.sparseView());
}

}  // namespace filigree
