// SPDX-License-Identifier: MIT
#pragma once

#include <algorithm>
#include <cmath>
#include <vector>

#include "filigree/core/check.hpp"
#include "filigree/nn/step.hpp"

namespace filigree {

/// Options of jump_relu(latents, options).
struct jump_relu_options {
  double theta = 1e-3;      ///< thresholds at the start
  double bandwidth = 1e-3;  ///< eps: how near to its threshold a number counts for the derivative by it
};

/// What jump_relu(latents) returns. Its parameters are the thresholds.
template <Real S>
struct JumpRelu {
  using Category = Layer;
  using Scalar = S;
  Index latents;
  double theta, bandwidth;

  [[nodiscard]] Index inputs() const { return latents; }
  [[nodiscard]] Index outputs(Index width) const {
    detail::require(width == latents, "jump_relu(", latents, "): gets ", width,
                    " columns from the stage before it, not ", latents);
    return width;
  }
  [[nodiscard]] Index weights() const { return 0; }
  [[nodiscard]] Index parameters() const { return latents; }
  void start(S* parameters, Generator&) const { std::fill_n(parameters, latents, static_cast<S>(theta)); }
  /// Before and after a step of training, in which thresholds move by their logarithms: so they stay positive. A
  /// threshold of 0 stays 0.
  void begin_step(S* parameters, S* gradient) const {
    for (Index j = 0; j < latents; ++j) {
      gradient[j] *= parameters[j];
      parameters[j] = std::log(parameters[j]);
    }
  }
  void end_step(S* parameters) const {
    for (Index j = 0; j < latents; ++j) parameters[j] = std::exp(parameters[j]);
  }
  /// A threshold is not below 0.
  void restore(S* parameters) const {
    for (Index j = 0; j < latents; ++j) parameters[j] = parameters[j] < S(0) ? S(0) : parameters[j];
  }
  [[nodiscard]] bool holds(const S* parameters) const {
    return std::none_of(parameters, parameters + latents, [](S x) { return x < S(0); });
  }
};

/// A layer z [z > theta], with a threshold theta >= 0 for each latent, which fit moves by its logarithm.
///
/// The derivative by z is [z > theta]. That by theta is straight-through: -(theta / eps) K((z - theta) / eps), and
/// -(1 / eps) K((z - theta) / eps) for l0() in a penalize right behind this layer, where K(u) = [|u| < 1 / 2].
/// Cost       O(N latents), after which only what is above its threshold, or near it, is touched
/// Throws     Error if latents is below 1, or theta or the bandwidth is not positive
/// Reference  Rajamanoharan et al., arXiv:2407.14435, equations 10 to 12
template <Real S = float>
JumpRelu<S> jump_relu(Index latents, const jump_relu_options& options = {}) {
  constexpr double most = (std::numeric_limits<double>::max)();
  detail::require(latents >= 1, "jump_relu(latents): latents must be at least 1, got ", latents);
  detail::require(options.theta > 0 && options.theta <= most,
                  "jump_relu(latents, {.theta}): theta must be positive and finite, got ", options.theta);
  detail::require(options.bandwidth > 0 && options.bandwidth <= most,
                  "jump_relu(latents, {.bandwidth}): the bandwidth must be positive and finite, got ",
                  options.bandwidth);
  return {.latents = latents, .theta = options.theta, .bandwidth = options.bandwidth};
}

namespace detail {

template <Real S>
class Step<JumpRelu<S>, S> {
 public:
  void forward(const JumpRelu<S>& layer, const S* thresholds, Flow<S>& in, Flow<S>& out, const Way& way) {
    const ConstRows<S> z = in.rows(way.session);
    const S reach = way.training ? static_cast<S>(layer.bandwidth / 2) : S(0);
    memory_.hold(in.n, in.cols);
    Lists<S> lists = memory_.lists();
    lists.with_absent = true;
    for_each_rows(in.n, way.session, [&](Index first, Index last) {
      for (Index i = first; i < last; ++i) {
        Index count = i * lists.stride;
        for (Index j = 0; j < in.cols; ++j) {
          // What is near to its threshold has a derivative by it, whichever side it is on. NaN is kept.
          const S x = z(i, j), theta = thresholds[j];
          const bool above = !(x <= theta);
          lists.values[count] = above ? x : S(0);
          lists.columns[count] = static_cast<Column>(j);
          count += above || theta - x < reach ? 1 : 0;
        }
        lists.counts[i] = count - i * lists.stride;
      }
    });
    out.keep(in.cols, lists);
  }

  Slope<S> backward(const JumpRelu<S>& layer, const S* thresholds, Flow<S>& in, Flow<S>& out, const Slope<S>& slope,
                    S* gradient, bool, const Way& way) {
    memory_.receive(slope, out.cols, way.session);
    const ConstRows<S> z = in.rows(way.session);
    const Lists<S>& lists = memory_.lists();
    const double l0 = way.l0 / static_cast<double>((std::max)(in.n, Index{1}));
    sums_.assign(static_cast<std::size_t>(layer.latents), 0);
    for (Index i = 0; i < in.n; ++i)
      for (Index e = i * lists.stride; e < i * lists.stride + lists.counts[i]; ++e) {
        const Index j = lists.columns[e];
        const S theta = thresholds[j], x = z(i, j);
        if (std::abs(x - theta) < static_cast<S>(layer.bandwidth / 2))
          sums_[static_cast<std::size_t>(j)] += static_cast<double>(theta) * static_cast<double>(lists.slopes[e]) + l0;
        if (x <= theta) lists.slopes[e] = S(0);
      }
    for (Index j = 0; j < layer.latents; ++j)
      gradient[j] = static_cast<S>(-sums_[static_cast<std::size_t>(j)] / layer.bandwidth);
    return {.kept = &lists};
  }

 private:
  ListMemory<S> memory_;
  std::vector<double> sums_;
};

}  // namespace detail
}  // namespace filigree
