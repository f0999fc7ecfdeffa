// SPDX-License-Identifier: MIT
#pragma once

#include <cmath>
#include <limits>

#include "filigree/core/random.hpp"
#include "filigree/engine/matrix_product.hpp"
#include "filigree/nn/rows.hpp"
#include "filigree/pipe/stage.hpp"

namespace filigree {

/// What linear(in, out) returns. Its parameters are the weights, in x out, and the biases.
template <Real S>
struct Linear {
  using Category = Layer;
  using Scalar = S;
  Index in, out;

  [[nodiscard]] Index inputs() const { return in; }
  [[nodiscard]] Index outputs(Index width) const {
    detail::require(width == in, "linear(", in, ", ", out, "): gets ", width, " columns from the stage before it, not ",
                    in);
    return out;
  }
  [[nodiscard]] Index weights() const { return in * out; }
  [[nodiscard]] Index parameters() const { return in * out + out; }

  void start(S* parameters, Generator& generator) const {
    const double r = std::sqrt(6 / static_cast<double>(in + out + 1));
    fill_uniform(detail::Rows<S>(parameters, in, out), -r, r, generator);
    std::fill_n(parameters + in * out, out, S(0));
  }

  void forward(const S* parameters, const detail::ConstRows<S>& x, S* y, const detail::Session& session) const {
    const detail::View<S> weights = {parameters, in, out, out, 1};
    detail::multiply(detail::view(x), weights, {.data = y, .stride = out, .start = parameters + in * out}, session);
  }

  /// dx may be null.
  void backward(const S* parameters, const detail::ConstRows<S>& x, const detail::ConstRows<S>& dy, S* dx, S* gradient,
                const detail::Session& session) const {
    const detail::View<S> weights = {parameters, in, out, out, 1};
    if (dx != nullptr) detail::multiply(detail::view(dy), weights.transposed(), {.data = dx, .stride = in}, session);
    detail::multiply(detail::view(x).transposed(), detail::view(dy), {.data = gradient, .stride = out}, session);
    const double* sums = detail::sum_columns(dy, session, [](S d) { return d; });
    for (Index j = 0; j < out; ++j) gradient[in * out + j] = static_cast<S>(sums[j]);
  }
};

/// A layer x W + b with `in` inputs and `out` outputs.
///
/// Its parameters belong to the network that it becomes part of. W starts uniform in [-r, r], where
/// r = sqrt(6 / (in + out + 1)), and b at 0. linear<double>(in, out) makes a network of double.
/// Cost       2 N in out operations for N samples, three times that with the way back
/// Throws     Error if in or out is below 1
/// Reference  Glorot and Bengio, AISTATS 2010, equation 16
template <Real S = float>
Linear<S> linear(Index in, Index out) {
  constexpr Index most = (std::numeric_limits<kernel::Column>::max)();
  detail::require(in >= 1 && in <= most, "linear(in, out): in must be from 1 to ", most, ", got ", in);
  detail::require(out >= 1 && out <= most, "linear(in, out): out must be from 1 to ", most, ", got ", out);
  return {.in = in, .out = out};
}

}  // namespace filigree
