// SPDX-License-Identifier: MIT
#pragma once

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <limits>
#include <optional>
#include <vector>

#include "filigree/core/check.hpp"
#include "filigree/core/generator.hpp"
#include "filigree/nn/state.hpp"

namespace filigree {

namespace detail {
template <Real S>
class JumpReluState;
}

/// Options of jump_relu(latents, options).
struct jump_relu_options {
  std::optional<double> theta = {};      ///< initial thresholds; default: 0.001, and when fit() begins, the root mean
                                         ///< square of the layer's inputs in the first batch; inside a
                                         ///< sequence or a sum, 0.001
  std::optional<double> bandwidth = {};  ///< eps, the width of the interval around a threshold in which an input
                                         ///< contributes to its derivative; default: the threshold
};

/// A layer of learned thresholds, which are its parameters.
template <Real S>
struct JumpRelu {
  using Category = Layer;
  using Scalar = S;
  template <Real>
  using State = detail::JumpReluState<S>;
  Index latents;
  double theta, bandwidth;  // 0: the default

  [[nodiscard]] Index inputs() const { return latents; }
  [[nodiscard]] Index outputs(Index width) const {
    detail::require(width == latents, "jump_relu(", latents, "): gets ", width,
                    " columns from the stage before it, not ", latents);
    return width;
  }
  [[nodiscard]] Index weight_count() const { return 0; }
  [[nodiscard]] Index parameter_count() const { return latents; }
  void initialize(S* parameters, Generator&) const {
    std::fill_n(parameters, latents, static_cast<S>(theta > 0 ? theta : unknown));
  }
  /// Returns true if fit() should call initialize_from_samples() before its first step: no threshold was given, set or
  /// learned.
  [[nodiscard]] bool needs_samples(const S* parameters) const {
    return theta == 0 &&
           std::all_of(parameters, parameters + latents, [](S x) { return x == static_cast<S>(unknown); });
  }
  /// Sets the thresholds from inputs of the layer, samples as rows.
  template <class M>
  void initialize_from_samples(S* parameters, const M& z) const {
    const double square = z.template cast<double>().squaredNorm() / static_cast<double>(z.size());
    const S root = static_cast<S>(std::sqrt(square));
    if (root > S(0) && std::isfinite(root)) std::fill_n(parameters, latents, root);
  }
  /// Replaces the thresholds by their logarithms during a training step, so that they stay positive. A threshold of 0
  /// stays 0.
  void begin_step(S* parameters, S* gradient) const {
    for (Index j = 0; j < latents; ++j) {
      gradient[j] *= parameters[j];
      parameters[j] = std::log(parameters[j]);
    }
  }
  /// Restores the thresholds from their logarithms.
  void end_step(S* parameters) const {
    for (Index j = 0; j < latents; ++j) parameters[j] = std::exp(parameters[j]);
  }
  /// Sets negative thresholds to 0.
  void project_weights(S* parameters) const {
    for (Index j = 0; j < latents; ++j) parameters[j] = parameters[j] < S(0) ? S(0) : parameters[j];
  }
  [[nodiscard]] bool satisfies_constraints(const S* parameters) const {
    return std::none_of(parameters, parameters + latents, [](S x) { return x < S(0); });
  }

  static constexpr double unknown = 1e-3;  // initial value in the paper
};

/// Makes a layer that keeps values above a learned threshold theta ≥ 0 for each latent.
///
/// The paper uses theta = eps = 0.001, for inputs of variance 1 and billions of samples. With these values the
/// thresholds hardly move in a thousand steps. By default both depend on the data: theta starts at the root mean square
/// of the inputs, and eps equals theta. fit updates the logarithm of theta.
///
/// The derivative with respect to z is [z > theta]. The derivative with respect to theta is a straight-through
/// estimate: -(theta / eps) K((z - theta) / eps) with K(u) = [|u| < 1 / 2]. The derivative of l0() in a penalize right
/// after this layer is -(1 / eps) K((z - theta) / eps).
/// Formula    z · [z > theta]
/// Cost       O(N latents); later layers read only values above or near their thresholds
/// Throws     Error if latents is below 1, or theta or the bandwidth is not positive
/// Reference  Rajamanoharan et al., arXiv:2407.14435, equations 10 to 12
template <Real S = float>
JumpRelu<S> jump_relu(Index latents, const jump_relu_options& options = {}) {
  constexpr double max = (std::numeric_limits<double>::max)();
  detail::require(latents >= 1, "jump_relu(latents): latents must be at least 1, got ", latents);
  const double theta = options.theta.value_or(0), bandwidth = options.bandwidth.value_or(0);
  detail::require(!options.theta || (theta > 0 && theta <= max),
                  "jump_relu(latents, {.theta}): theta must be positive and finite, got ", theta);
  detail::require(!options.bandwidth || (bandwidth > 0 && bandwidth <= max),
                  "jump_relu(latents, {.bandwidth}): the bandwidth must be positive and finite, got ", bandwidth);
  return {.latents = latents, .theta = theta, .bandwidth = bandwidth};
}

namespace detail {

template <Real S>
class JumpReluState {
 public:
  void forward(const JumpRelu<S>& layer, Context<S>& context) {
    const Activations<S>& in = context.in;
    const S* thresholds = context.parameters;
    const ConstRows<S> z = context.inputs();
    const S half_width = static_cast<S>(layer.bandwidth / 2), scale = layer.bandwidth > 0 ? S(0) : S(0.5);
    memory_.allocate(in.n, in.cols);
    Lists<S> lists = memory_.lists();
    lists.stores_absent = true;
    context.for_each_rows([&](Index first, Index last) {
      for (Index i = first; i < last; ++i) {
        Index count = i * lists.stride;
        for (Index j = 0; j < in.cols; ++j) {
          // A value near its threshold, on either side, contributes to the derivative. NaN is kept.
          const S x = z(i, j), theta = thresholds[j];
          const bool above = !(x <= theta);
          const S radius = context.training ? half_width + scale * theta : S(0);
          lists.values[count] = above ? x : S(0);
          lists.columns[count] = static_cast<Column>(j);
          count += above || theta - x < radius ? 1 : 0;
        }
        lists.counts[i] = count - i * lists.stride;
      }
    });
    context.out.set_lists(in.cols, lists);
  }

  Gradient<S> backward(const JumpRelu<S>& layer, Context<S>& context) { return backward(layer, context, 0); }
  /// `l0_factor` is the factor of l0() in a penalty right after the layer.
  Gradient<S> backward(const JumpRelu<S>& layer, Context<S>& context, double l0_factor) {
    const Activations<S>& in = context.in;
    const S* thresholds = context.parameters;
    S* gradient = context.gradient;
    memory_.set_gradients(context.dy, in.cols, context.session);
    const ConstRows<S> z = context.inputs();
    const Lists<S>& lists = memory_.lists();
    const double l0 = l0_factor / static_cast<double>((std::max)(in.n, Index{1}));
    const S half_width = static_cast<S>(layer.bandwidth / 2), scale = layer.bandwidth > 0 ? S(0) : S(0.5);
    sums_.assign(static_cast<std::size_t>(layer.latents), 0);
    for (Index i = 0; i < in.n; ++i)
      for (Index e = i * lists.stride; e < i * lists.stride + lists.counts[i]; ++e) {
        const Index j = lists.columns[e];
        const S theta = thresholds[j], x = z(i, j);
        if (std::abs(x - theta) < half_width + scale * theta)
          sums_[static_cast<std::size_t>(j)] +=
              static_cast<double>(theta) * static_cast<double>(lists.gradients[e]) + l0;
        if (x <= theta) lists.gradients[e] = S(0);
      }
    for (Index j = 0; j < layer.latents; ++j) {
      const double sum = sums_[static_cast<std::size_t>(j)];
      const double eps = layer.bandwidth > 0 ? layer.bandwidth : static_cast<double>(thresholds[j]);
      gradient[j] = sum == 0 ? S(0) : static_cast<S>(-sum / eps);
    }
    return {.lists = &lists};
  }

 private:
  ListMemory<S> memory_;
  std::vector<double> sums_;
};

}  // namespace detail
}  // namespace filigree
