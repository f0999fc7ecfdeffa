// SPDX-License-Identifier: MIT
#pragma once

#include <cmath>
#include <limits>

#include "filigree/core/check.hpp"
#include "filigree/core/concepts.hpp"

namespace filigree {

/// Returns the peak signal-to-noise ratio of a picture and its copy, in decibels.
///
/// Formula    10 log₁₀(peak² / mean (a − b)²)
/// Shapes     a, b: the same
/// Edge case  infinity for equal pictures; NaN if a or b has NaN
/// Throws     Error if the shapes differ, the pictures are empty, or peak is not positive and finite
template <DenseExpression A, DenseExpression B>
double psnr(const A& a, const B& b, double peak = 1) {
  detail::require(a.rows() == b.rows() && a.cols() == b.cols(), "psnr(a, b, peak): b must be ", a.rows(), "x", a.cols(),
                  ", is ", b.rows(), "x", b.cols());
  detail::require(a.size() > 0, "psnr(a, b, peak): a must not be empty");
  detail::require(peak > 0 && peak <= (std::numeric_limits<double>::max)(),
                  "psnr(a, b, peak): peak must be positive and finite, got ", peak);
  const double error =
      (a.template cast<double>() - b.template cast<double>()).cwiseAbs2().sum() / static_cast<double>(a.size());
  return 20 * std::log10(peak) - 10 * std::log10(error);
}

}  // namespace filigree
