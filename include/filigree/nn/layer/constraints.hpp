// SPDX-License-Identifier: MIT
#pragma once

#include <cmath>
#include <cstddef>
#include <limits>
#include <memory>
#include <vector>

#include "filigree/core/check.hpp"
#include "filigree/core/concepts.hpp"

namespace filigree::detail {

/// Constraints on the weights of a layer, which hold whenever the weights are used.
struct Constraints {
  bool unit_rows = false, non_negative = false;
  std::shared_ptr<const std::vector<char>> mask = nullptr;  // [rows][cols], 0 for weights that must be 0

  [[nodiscard]] bool any() const { return unit_rows || non_negative || mask != nullptr; }

  /// Removes the components of a gradient that the constraints forbid: changes of the length of a row, and of masked
  /// weights.
  template <Real S>
  void project_gradient(const S* weights, S* gradient, Index rows, Index cols) const {
    for (Index e = 0; mask != nullptr && e < rows * cols; ++e)
      if ((*mask)[static_cast<std::size_t>(e)] == 0) gradient[e] = S(0);
    for (Index i = 0; unit_rows && i < rows; ++i) {
      double dot = 0, square = 0;
      for (Index e = i * cols; e < (i + 1) * cols; ++e) {
        dot += static_cast<double>(weights[e]) * static_cast<double>(gradient[e]);
        square += static_cast<double>(weights[e]) * static_cast<double>(weights[e]);
      }
      const S scale = static_cast<S>(square > 0 ? dot / square : 0.0);
      for (Index e = i * cols; e < (i + 1) * cols; ++e) gradient[e] -= scale * weights[e];
    }
  }

  /// Returns true if the weights satisfy the constraints up to rounding.
  template <Real S>
  [[nodiscard]] bool are_satisfied(const S* weights, Index rows, Index cols) const {
    for (Index e = 0; mask != nullptr && e < rows * cols; ++e)
      if ((*mask)[static_cast<std::size_t>(e)] == 0 && weights[e] != S(0)) return false;
    for (Index e = 0; non_negative && e < rows * cols; ++e)
      if (weights[e] < S(0)) return false;
    for (Index i = 0; unit_rows && i < rows; ++i) {
      double square = 0;
      for (Index e = i * cols; e < (i + 1) * cols; ++e)
        square += static_cast<double>(weights[e]) * static_cast<double>(weights[e]);
      if (square > 0 && !(std::abs(square - 1) <= 8 * static_cast<double>(std::numeric_limits<S>::epsilon())))
        return false;
    }
    return true;
  }

  /// Projects the weights onto the nearest ones that satisfy the constraints. A row of zeros is unchanged.
  template <Real S>
  void project_weights(S* weights, Index rows, Index cols) const {
    for (Index e = 0; mask != nullptr && e < rows * cols; ++e)
      if ((*mask)[static_cast<std::size_t>(e)] == 0) weights[e] = S(0);
    for (Index e = 0; non_negative && e < rows * cols; ++e) weights[e] = weights[e] < S(0) ? S(0) : weights[e];
    for (Index i = 0; unit_rows && i < rows; ++i) {
      double square = 0;
      for (Index e = i * cols; e < (i + 1) * cols; ++e)
        square += static_cast<double>(weights[e]) * static_cast<double>(weights[e]);
      const double factor = square > 0 ? 1 / std::sqrt(square) : 1;
      for (Index e = i * cols; e < (i + 1) * cols; ++e)
        weights[e] = static_cast<S>(static_cast<double>(weights[e]) * factor);
    }
  }
};

}  // namespace filigree::detail
