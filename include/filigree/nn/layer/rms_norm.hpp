// SPDX-License-Identifier: MIT
#pragma once

#include <algorithm>
#include <cmath>

#include "filigree/core/check.hpp"
#include "filigree/core/generator.hpp"
#include "filigree/nn/state.hpp"

namespace filigree {

namespace detail {
template <Real S>
class RmsNormState;
}

/// A root mean square normalization. Its parameters are the gains.
template <Real S>
struct RmsNorm {
  using Category = Layer;
  using Scalar = S;
  template <Real>
  using State = detail::RmsNormState<S>;
  Index width;
  double epsilon;

  [[nodiscard]] Index inputs() const { return width; }
  [[nodiscard]] Index outputs(Index columns) const {
    detail::require(columns == width, "rms_norm(", width, "): gets ", columns,
                    " columns from the stage before it, not ", width);
    return width;
  }
  [[nodiscard]] Index weight_count() const { return 0; }
  [[nodiscard]] Index parameter_count() const { return width; }
  void initialize(S* parameters, Generator&) const { std::fill_n(parameters, width, S(1)); }
};

/// Divides each sample by the root of the mean of its squares, then applies a gain to each column.
///
/// Formula    gain_j x_j / √(mean(x²) + epsilon)
/// Cost       O(N width)
/// Throws     Error if width is below 1, or epsilon is not positive and finite
/// Reference  Zhang and Sennrich, arXiv:1910.07467, equation 4; in the form of torch.nn.RMSNorm
template <Real S = float>
RmsNorm<S> rms_norm(Index width, double epsilon = 1e-6) {
  detail::require(width >= 1, "rms_norm(width): width must be at least 1, got ", width);
  detail::require(epsilon > 0 && std::isfinite(epsilon),
                  "rms_norm(width, epsilon): epsilon must be positive and finite, got ", epsilon);
  return {.width = width, .epsilon = epsilon};
}

namespace detail {

template <Real S>
class RmsNormState {
 public:
  void forward(const RmsNorm<S>& layer, Context<S>& context) {
    const ConstRows<S> x = context.inputs();
    const Index width = layer.width;
    const S* gain = context.parameters;
    S* y = context.make_outputs(width).data();
    S* scale = scales_.get<S>((std::max)(x.rows(), Index{1}));
    context.for_each_rows([&](Index first, Index last) {
      for (Index i = first; i < last; ++i) {
        const S* const row = x.data() + i * width;
        const double square = sum_in_chains(width, [=](Index j) {
          const double value = static_cast<double>(row[j]);
          return value * value;
        });
        scale[i] = static_cast<S>(1 / std::sqrt(square / static_cast<double>(width) + layer.epsilon));
        for (Index j = 0; j < width; ++j) y[i * width + j] = gain[j] * (row[j] * scale[i]);
      }
    });
  }

  Gradient<S> backward(const RmsNorm<S>& layer, Context<S>& context) {
    const Index width = layer.width, n = context.in.n;
    const S* gain = context.parameters;
    const S* scale = scales_.get<S>(0);
    const ConstRows<S> x = context.inputs(), dy = context.output_gradient();
    S* products = products_.get<S>((std::max)(n * width, Index{1}));  // of dy and the normalized values
    S* dx = gradients_.get<S>((std::max)(n * width, Index{1}));
    context.for_each_rows([&](Index first, Index last) {
      for (Index i = first; i < last; ++i) {
        const S *const row = x.data() + i * width, *const d = dy.data() + i * width;
        const double mean = sum_in_chains(width,
                                          [&](Index j) {
                                            return static_cast<double>(d[j]) * static_cast<double>(gain[j]) *
                                                   static_cast<double>(row[j] * scale[i]);
                                          }) /
                            static_cast<double>(width);
        for (Index j = 0; j < width; ++j) {
          const S normal = row[j] * scale[i];
          products[i * width + j] = d[j] * normal;
          dx[i * width + j] = static_cast<S>(
              (static_cast<double>(d[j]) * static_cast<double>(gain[j]) - static_cast<double>(normal) * mean) *
              static_cast<double>(scale[i]));
        }
      }
    });
    const double* sums = sum_columns(ConstRows<S>(products, n, width), context.session, [](S p) { return p; });
    for (Index j = 0; j < width; ++j) context.gradient[j] = static_cast<S>(sums[j]);
    if (!context.needs_input_gradient) return {};
    return {.dense = dx};
  }

 private:
  Buffer scales_, products_, gradients_;
};

}  // namespace detail
}  // namespace filigree
