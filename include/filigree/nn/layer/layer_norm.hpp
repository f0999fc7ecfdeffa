// SPDX-License-Identifier: MIT
#pragma once

#include <Eigen/Core>
#include <cmath>

#include "filigree/core/check.hpp"
#include "filigree/core/generator.hpp"
#include "filigree/nn/state.hpp"

namespace filigree {

namespace detail {
template <Real S>
class LayerNormState;
}

/// A layer normalization. Its parameters are the gains, then the offsets.
template <Real S>
struct LayerNorm {
  using Category = Layer;
  using Scalar = S;
  template <Real>
  using State = detail::LayerNormState<S>;
  Index width;
  double epsilon;

  [[nodiscard]] Index inputs() const { return width; }
  [[nodiscard]] Index outputs(Index columns) const {
    detail::require(columns == width, "layer_norm(", width, "): gets ", columns,
                    " columns from the stage before it, not ", width);
    return width;
  }
  [[nodiscard]] Index weight_count() const { return 0; }
  [[nodiscard]] Index parameter_count() const { return 2 * width; }
  void initialize(S* parameters, Generator&) const {
    std::fill_n(parameters, width, S(1));
    std::fill_n(parameters + width, width, S(0));
  }
};

/// Normalizes each sample to mean 0 and variance 1 over its columns, then applies a gain and an offset to each column.
///
/// Formula    gain_j (x_j − mean) / √(variance + epsilon) + offset_j
/// Cost       O(N width)
/// Throws     Error if width is below 1, or epsilon is not positive and finite
/// Reference  Ba et al., arXiv:1607.06450, equation 4; in the form of torch.nn.LayerNorm
template <Real S = float>
LayerNorm<S> layer_norm(Index width, double epsilon = 1e-5) {
  detail::require(width >= 1, "layer_norm(width): width must be at least 1, got ", width);
  detail::require(epsilon > 0 && std::isfinite(epsilon),
                  "layer_norm(width, epsilon): epsilon must be positive and finite, got ", epsilon);
  return {.width = width, .epsilon = epsilon};
}

namespace detail {

template <Real S>
class LayerNormState {
 public:
  void forward(const LayerNorm<S>& layer, Context<S>& context) {
    const ConstRows<S> x = context.inputs();
    const Index width = layer.width;
    const S *gain = context.parameters, *offset = gain + width;
    S* y = context.make_outputs(width).data();
    S* normal = normal_.get<S>((std::max)(x.rows() * width, Index{1}));
    S* scale = scales_.get<S>((std::max)(x.rows(), Index{1}));
    context.for_each_rows([&](Index first, Index last) {
      for (Index i = first; i < last; ++i) {
        const S* const row = x.data() + i * width;
        const double size = static_cast<double>(width);
        const double mean = sum_in_chains(width, [=](Index j) { return static_cast<double>(row[j]); }) / size;
        const double square = sum_in_chains(width, [=](Index j) {
          const double d = static_cast<double>(row[j]) - mean;
          return d * d;
        });
        const double s = 1 / std::sqrt(square / size + layer.epsilon);
        scale[i] = static_cast<S>(s);
        using Values = Eigen::Array<S, Eigen::Dynamic, 1>;
        Eigen::Map<Values> normalized(normal + i * width, width);
        normalized = ((Eigen::Map<const Values>(row, width).template cast<double>() - mean) * s).template cast<S>();
        Eigen::Map<Values>(y + i * width, width) =
            Eigen::Map<const Values>(gain, width) * normalized + Eigen::Map<const Values>(offset, width);
      }
    });
  }

  Gradient<S> backward(const LayerNorm<S>& layer, Context<S>& context) {
    const Index width = layer.width, n = context.in.n;
    const S* parameters = context.parameters;
    S* gradient = context.gradient;
    const ConstRows<S> dy = context.output_gradient();
    S* normal = normal_.get<S>(0);
    const S* scale = scales_.get<S>(0);
    // The products that are summed for the gradient of a gain replace the normalized values, which are not needed
    // later.
    S* dx = gradients_.get<S>((std::max)(n * width, Index{1}));
    const double* sums = sum_columns(dy, context.session, [](S d) { return d; });
    for (Index j = 0; j < width; ++j) gradient[width + j] = static_cast<S>(sums[j]);
    context.for_each_rows([&](Index first, Index last) {
      for (Index i = first; i < last; ++i) {
        const auto gradient_of = [&](Index j) {
          return static_cast<double>(dy(i, j)) * static_cast<double>(parameters[j]);
        };
        const double size = static_cast<double>(width);
        const double mean = sum_in_chains(width, gradient_of) / size;
        const double dot =
            sum_in_chains(width, [&](Index j) { return gradient_of(j) * static_cast<double>(normal[i * width + j]); }) /
            size;
        for (Index j = 0; j < width; ++j) {
          S& x = normal[i * width + j];
          dx[i * width + j] =
              static_cast<S>((gradient_of(j) - mean - static_cast<double>(x) * dot) * static_cast<double>(scale[i]));
          x *= dy(i, j);
        }
      }
    });
    const double* products = sum_columns(ConstRows<S>(normal, n, width), context.session, [](S d) { return d; });
    for (Index j = 0; j < width; ++j) gradient[j] = static_cast<S>(products[j]);
    if (!context.needs_input_gradient) return {};
    return {.dense = dx};
  }

 private:
  Buffer normal_, scales_, gradients_;
};

}  // namespace detail
}  // namespace filigree
