// SPDX-License-Identifier: MIT
#pragma once

#include "filigree/nn/layer/sparse_product.hpp"
#include "filigree/nn/loss/code_pass.hpp"
#include "filigree/nn/term.hpp"

namespace filigree {

/// A loss of codes: the sum of the open gates.
struct GateL1 {
  using Kind = CodeLoss;

  template <Real S>
  double add(detail::CodePass<S>& codes, double factor) const {
    detail::require(codes.gates != nullptr, "gate_l1(): the stage before the decoder must be gated(in, latents)");
    const Lists<S>& gates = *codes.gates;
    if (gates.n == 0) return 0;
    const double scale = factor / static_cast<double>(gates.n);
    return scale * detail::sum_over_rows(gates.n, codes.session, [&](Index i) {
             double sum = 0;
             for (Index e = i * gates.stride; e < i * gates.stride + gates.counts[i]; ++e) {
               sum += static_cast<double>(gates.values[e]);
               if (codes.needs_gradient()) gates.gradients[e] += static_cast<S>(scale);
             }
             return sum;
           });
  }
};

/// Penalizes open gates.
///
/// Formula    mean of Σ max(π_j + b_gate_j, 0)
/// Reference  Rajamanoharan et al., arXiv:2404.16014, equation 8, second term
inline GateL1 gate_l1() { return {}; }

/// A loss of codes: the error of a reconstruction from the gates.
struct GateReconstruction {
  using Kind = CodeLoss;

  template <Real S>
  double add(detail::CodePass<S>& codes, double factor) const {
    detail::require(codes.gates != nullptr,
                    "gate_reconstruction(): the stage before the decoder must be gated(in, latents)");
    const Lists<S>& gates = *codes.gates;
    const Index out = codes.out();
    if (gates.n == 0) return 0;
    const double scale = factor / static_cast<double>(gates.n);
    S* residuals = codes.memory[0].template get<S>(gates.n * out);
    S* products = codes.memory[1].template get<S>(gates.n * gates.stride);
    return scale * detail::sum_over_rows(gates.n, codes.session, [&](Index i) {
             S* residual = residuals + i * out;
             const Index at = i * gates.stride, count = gates.counts[i];
             detail::gather_rows(residual, gates.values + at, gates.columns + at, count, codes.weights, out);
             double sum = 0;
             for (Index f = 0; f < out; ++f) {
               residual[f] += codes.biases[f] - codes.target(i, f);
               sum += static_cast<double>(residual[f]) * static_cast<double>(residual[f]);
             }
             if (!codes.needs_gradient()) return sum;
             kernel::kernels<S>().dots(products + at, residual, gates.columns + at, count, codes.weights, out, out);
             for (Index e = at; e < at + count; ++e) gates.gradients[e] += static_cast<S>(2 * scale) * products[e];
             return sum;
           });
  }
};

/// Measures the squared error of the decoder applied to the gates. The decoder W', b' is treated as constant.
///
/// Formula    mean ‖max(π + b_gate, 0) W' + b' − x‖²
/// Reference  Rajamanoharan et al., arXiv:2404.16014, equation 8, third term
inline GateReconstruction gate_reconstruction() { return {}; }

}  // namespace filigree
