// SPDX-License-Identifier: MIT
#pragma once

#include <cmath>
#include <cstddef>
#include <limits>
#include <memory>
#include <vector>

#include "filigree/core/check.hpp"
#include "filigree/core/concepts.hpp"
#include "filigree/kernel/kernels.hpp"

namespace filigree::detail {

/// Constraints on the weights of a layer, which hold whenever the weights are used. Each row is projected on its own.
///
/// Sums over a row are computed in double, as partial sums in an order that depends only on the length of the row.
struct Constraints {
  bool unit_rows = false, non_negative = false;
  std::shared_ptr<const std::vector<char>> mask = nullptr;  // [rows][cols], 0 for weights that must be 0

  [[nodiscard]] bool any() const { return unit_rows || non_negative || mask != nullptr; }

  /// Removes the components of a gradient that the constraints forbid: changes of the length of a row, and of masked
  /// weights. Changes rows [first, last).
  template <Real S>
  void project_gradient(const S* weights, S* gradient, Index first, Index last, Index cols) const {
    const auto& kernels = kernel::kernels<S>();
    set_masked(gradient, first, last, cols);
    for (Index i = first; unit_rows && i < last; ++i) {
      const kernel::ProductSums sums = kernels.sum_products(weights + i * cols, gradient + i * cols, cols);
      const S scale = static_cast<S>(sums.squares > 0 ? sums.products / sums.squares : 0.0);
      kernels.subtract_multiple(gradient + i * cols, weights + i * cols, scale, cols);
    }
  }
  template <Real S>
  void project_gradient(const S* weights, S* gradient, Index rows, Index cols) const {
    project_gradient(weights, gradient, 0, rows, cols);
  }

  /// Returns true if the weights satisfy the constraints up to rounding.
  template <Real S>
  [[nodiscard]] bool are_satisfied(const S* weights, Index rows, Index cols) const {
    const auto& kernels = kernel::kernels<S>();
    for (Index e = 0; mask != nullptr && e < rows * cols; ++e)
      if ((*mask)[static_cast<std::size_t>(e)] == 0 && weights[e] != S(0)) return false;
    for (Index e = 0; non_negative && e < rows * cols; ++e)
      if (weights[e] < S(0)) return false;
    for (Index i = 0; unit_rows && i < rows; ++i) {
      const double square = kernels.sum_squares(weights + i * cols, cols);
      if (square > 0 && !(std::abs(square - 1) <= 8 * static_cast<double>(std::numeric_limits<S>::epsilon())))
        return false;
    }
    return true;
  }

  /// Projects the weights onto the nearest ones that satisfy the constraints. A row of zeros is unchanged. Changes rows
  /// [first, last).
  template <Real S>
  void project_weights(S* weights, Index first, Index last, Index cols) const {
    const auto& kernels = kernel::kernels<S>();
    set_masked(weights, first, last, cols);
    for (Index e = first * cols; non_negative && e < last * cols; ++e)
      weights[e] = weights[e] < S(0) ? S(0) : weights[e];
    for (Index i = first; unit_rows && i < last; ++i) {
      const double square = kernels.sum_squares(weights + i * cols, cols);
      if (square > 0) kernels.scale_wide(weights + i * cols, 1 / std::sqrt(square), cols);
    }
  }
  template <Real S>
  void project_weights(S* weights, Index rows, Index cols) const {
    project_weights(weights, 0, rows, cols);
  }

 private:
  /// Sets the entries to 0 that the mask forbids.
  template <Real S>
  void set_masked(S* values, Index first, Index last, Index cols) const {
    for (Index e = first * cols; mask != nullptr && e < last * cols; ++e)
      if ((*mask)[static_cast<std::size_t>(e)] == 0) values[e] = S(0);
  }
};

}  // namespace filigree::detail
