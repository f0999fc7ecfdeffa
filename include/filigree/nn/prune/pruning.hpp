// SPDX-License-Identifier: MIT
#pragma once

#include <Eigen/SparseCore>
#include <algorithm>
#include <cmath>
#include <cstddef>
#include <tuple>
#include <type_traits>
#include <utility>
#include <vector>

#include "filigree/core/with_indices.hpp"
#include "filigree/nn/network.hpp"
#include "filigree/nn/prune/masks.hpp"

namespace filigree {

/// Options of prune() and pruning().
struct pruning_options {
  double fraction = 0.9;                 ///< of the weights that are pruned in the end
  double initial = 0;                    ///< fraction at the begin of the schedule
  bool global = false;                   ///< ranks the weights of all layers together, instead of each layer by itself
  Index n = 0, m = 0;                    ///< keeps n of m consecutive inputs instead; 0: no
  Index every = 1;                       ///< steps between two changes of the masks
  std::vector<std::size_t> stages = {};  ///< numbers of the stages that are pruned; empty: all linear stages
};

namespace detail {

/// A layer whose weights can be masked.
template <class T>
concept MaskableLayer = requires(const T& layer, const WeightMask& mask) {
  layer.masked(mask);
};

/// Calls f.operator()<L>() for each stage that is pruned.
template <class Net, class F>
void each_pruned_stage(const pruning_options& options, F&& f) {
  const auto visit = [&]<std::size_t L>() {
    const auto& stages = options.stages;
    if constexpr (MaskableLayer<std::tuple_element_t<L, typename Net::StageTuple>>) {
      if (stages.empty() || std::find(stages.begin(), stages.end(), L) != stages.end()) f.template operator()<L>();
    }
  };
  with_indices<Net::depth>([&]<std::size_t... L>(std::index_sequence<L...>) { (visit.template operator()<L>(), ...); });
}

template <class Net>
void require_pruning(const pruning_options& options, const char* call) {
  require(options.fraction >= 0 && options.fraction <= 1, call, ": fraction must be between 0 and 1, got ",
          options.fraction);
  require(options.initial >= 0 && options.initial <= options.fraction, call,
          ": initial must be between 0 and fraction, got ", options.initial);
  require(options.every >= 1, call, ": every must be at least 1, got ", options.every);
  const bool grouped = options.n != 0 || options.m != 0;
  require(!grouped || (options.n >= 1 && options.n <= options.m), call, ": n must be from 1 to m, got ", options.n,
          " and ", options.m);
  require(!grouped || !options.global, call, ": n and m select within each layer, without {.global = true}");
  std::size_t found = 0;
  each_pruned_stage<Net>(options, [&]<std::size_t L>() { ++found; });
  require(found >= (std::max)(options.stages.size(), std::size_t{1}), call,
          ": the stages must be linear stages of the network, each named once");
}

}  // namespace detail

/// Prunes the weights of smallest magnitude of the linear stages of a network, now and in later training: sets the
/// masks of the layers.
///
/// Layers within sequences, sums and transformer layers are not pruned; Linear::masked() masks those.
/// Formula    drops ⌊fraction · count⌋ weights of each layer or, if global, of all layers together; or keeps n of m
/// Cost       O(weights)
/// Throws     Error if an option is out of range, a stage is not linear, or a weight is not finite
/// Reference  Han et al., arXiv:1506.02626, section 3; n:m: Mishra et al., arXiv:2104.08378, section 3
template <class Net>
void prune(Net& net, const pruning_options& options = {}) {
  using Row = Eigen::Matrix<typename Net::Scalar, 1, Eigen::Dynamic, Eigen::RowMajor>;
  detail::require_pruning<Net>(options, "prune(net, options)");
  if (options.global) {
    Index count = 0, at = 0;
    detail::each_pruned_stage<Net>(options,
                                   [&]<std::size_t L>() { count += std::as_const(net).template weights<L>().size(); });
    Row all(count);
    detail::each_pruned_stage<Net>(options, [&]<std::size_t L>() {
      const auto weights = std::as_const(net).template weights<L>();
      all.segment(at, weights.size()) = Eigen::Map<const Row>(weights.data(), weights.size());
      at += weights.size();
    });
    const WeightMask kept = magnitude_mask(all, options.fraction);
    at = 0;
    detail::each_pruned_stage<Net>(options, [&]<std::size_t L>() {
      const auto weights = std::as_const(net).template weights<L>();
      net.template mask_weights<L>(Eigen::Map<const WeightMask>(kept.data() + at, weights.rows(), weights.cols()));
      at += weights.size();
    });
    return;
  }
  detail::each_pruned_stage<Net>(options, [&]<std::size_t L>() {
    const auto weights = std::as_const(net).template weights<L>();
    net.template mask_weights<L>(options.m > 0 ? n_m_mask(weights, options.n, options.m)
                                               : magnitude_mask(weights, options.fraction));
  });
}

/// Pruning in the course of training: a function for {.after_step} of fit.
template <class Net, class Schedule>
class Pruning {
 public:
  Pruning(Net& net, Schedule schedule, pruning_options options)
      : net_(&net), schedule_(std::move(schedule)), options_(std::move(options)) {}

  // Prunes the network after a number of steps.
  void operator()(Index step) {
    const double reached = schedule_(step);
    detail::require(reached >= 0 && reached <= 1, "pruning(net, schedule): the schedule must be from 0 to 1; schedule(",
                    step, ") is ", reached);
    if (!(reached > reached_) || (reached < 1 && step % options_.every != 0)) return;
    reached_ = reached;
    if (options_.m > 0 && reached < 1) return;
    pruning_options now = options_;
    now.fraction = options_.initial + (options_.fraction - options_.initial) * reached;
    prune(*net_, now);
  }

 private:
  Net* net_;
  Schedule schedule_;
  pruning_options options_;
  double reached_ = 0;
};

/// Makes a function that prunes a network in the course of training: fit(net, ..., {.after_step = pruning(net, cubic(0,
/// 1000))}).
///
/// It changes the masks every options.every steps, and in the step in which the schedule reaches 1. In between, pruned
/// weights stay 0. With n and m, the weights are pruned once, in the step in which the schedule reaches 1. The network
/// must outlive the function.
/// Formula    prune() with fraction initial + (fraction − initial) · schedule(step)
/// Edge case  a checkpoint does not store masks: after resuming, weights are pruned at the next change of the masks
/// Throws     Error if an option is out of range or a stage is not linear; in training, if the schedule is not from 0
///            to 1
/// Reference  Zhu and Gupta, arXiv:1710.01878, section 3
template <class Net, class Schedule>
Pruning<Net, Schedule> pruning(Net& net, const Schedule& schedule, const pruning_options& options = {}) {
  detail::require_pruning<Net>(options, "pruning(net, schedule, options)");
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
