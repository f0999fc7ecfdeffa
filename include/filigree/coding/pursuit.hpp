// SPDX-License-Identifier: MIT
#pragma once

#include <algorithm>
#include <cmath>
#include <limits>

#include "filigree/coding/gram.hpp"
#include "filigree/coding/methods.hpp"
#include "filigree/core/scratch.hpp"
#include "filigree/kernel/kernels.hpp"

// Matching pursuits on correlations h = D r with a residual r, where the atoms have length 1.

namespace filigree::detail {

/// Returns the index of the entry with the largest magnitude, the first of equal ones; -1 if none exceeds `bound`.
///
/// Cost  four independent chains of comparisons
template <Real S>
Index largest_magnitude(const S* h, Index stride, S bound) {
  constexpr Index chains = 4;
  S best[chains];
  for (S& b : best) b = bound;
  for (Index j = 0; j < stride; j += chains)
    for (Index c = 0; c < chains; ++c) {
      const S size = std::abs(h[j + c]);
      best[c] = size > best[c] ? size : best[c];
    }
  const S largest = (std::max)((std::max)(best[0], best[1]), (std::max)(best[2], best[3]));
  if (!(largest > bound)) return -1;
  Index at = 0;
  while (std::abs(h[at]) != largest) ++at;
  return at;
}

/// The magnitude below which correlations are rounding errors.
template <Real S>
S rounding_of_correlations(Index width, double squares) {
  return static_cast<S>(4 * std::numeric_limits<S>::epsilon() * std::sqrt(static_cast<double>(width) * squares));
}

/// Orders the codes of a row by column and divides them by the lengths of the atoms.
template <Real S>
void finish_row(const Gram<S>& gram, CodeRow<S>& row) {
  for (Index i = 1; i < row.count; ++i) {
    const kernel::Column column = row.columns[i];
    const S value = row.values[i];
    Index at = i;
    for (; at > 0 && row.columns[at - 1] > column; --at) {
      row.columns[at] = row.columns[at - 1];
      row.values[at] = row.values[at - 1];
    }
    row.columns[at] = column;
    row.values[at] = value;
  }
  for (Index i = 0; i < row.count; ++i) row.values[i] *= gram.inverse_length(row.columns[i]);
}

/// Codes one sample by orthogonal matching pursuit.
///
/// The Cholesky factor L of the Gram matrix of the chosen atoms grows by a row in each step, and so does z with
/// L z = D_chosen x. Then ‖r‖² = ‖x‖² − ‖z‖², the codes solve L' c = z, and h = D x − G c.
template <Real S>
void code_sample(const omp& method, const Gram<S>& gram, const CodedSample<S>& sample, ScratchFrame& frame,
                 CodeRow<S>& out) {
  const kernel::Kernels<S>& kernels = kernel::kernels<S>();
  const Index stride = gram.stride(), rank = (std::min)(gram.count(), gram.width());
  const Index limit = method.k > 0 ? (std::min)(method.k, rank) : rank;
  S* h = frame.take<S>(stride);
  double* factor = frame.take<double>(limit * (limit + 1) / 2);  // rows of L, packed
  double* z = frame.take<double>(limit);
  double* codes = frame.take<double>(limit);
  S* weights = frame.take<S>(limit);
  std::copy_n(sample.correlations, stride, h);
  const S rounding = rounding_of_correlations<S>(gram.width(), sample.squares);
  const double enough = method.tolerance * method.tolerance;
  double squares = sample.squares;  // ‖r‖²
  out.count = 0;
  while (out.count < limit && squares > enough) {
    const Index j = largest_magnitude(h, stride, rounding), s = out.count;
    if (j < 0) break;
    double* row = factor + s * (s + 1) / 2;
    double pivot = static_cast<double>(gram.diagonal(j)), projection = static_cast<double>(sample.correlations[j]);
    for (Index i = 0; i < s; ++i) {
      const double* other = factor + i * (i + 1) / 2;
      double sum = static_cast<double>(gram.row(j)[out.columns[i]]);
      for (Index l = 0; l < i; ++l) sum -= row[l] * other[l];
      row[i] = sum / other[i];
      pivot -= row[i] * row[i];
      projection -= row[i] * z[i];
    }
    // An atom in the span of the chosen ones has a correlation of 0 but for rounding.
    if (!(pivot > 64 * static_cast<double>(std::numeric_limits<S>::epsilon()))) break;
    row[s] = std::sqrt(pivot);
    z[s] = projection / row[s];
    squares -= z[s] * z[s];
    out.columns[s] = static_cast<kernel::Column>(j);
    out.count = s + 1;
    for (Index i = s; i >= 0; --i) {
      double sum = z[i];
      for (Index l = i + 1; l <= s; ++l) sum -= factor[l * (l + 1) / 2 + i] * codes[l];
      codes[i] = sum / factor[i * (i + 1) / 2 + i];
    }
    for (Index i = 0; i <= s; ++i) weights[i] = -static_cast<S>(codes[i]);
    if (out.count == limit || !(squares > enough)) break;
    std::copy_n(sample.correlations, stride, h);
    kernels.gather(h, weights, out.columns, out.count, gram.products(), stride, stride, true);
    for (Index i = 0; i <= s; ++i) h[out.columns[i]] = S(0);  // exactly orthogonal
  }
  for (Index i = 0; i < out.count; ++i) out.values[i] = static_cast<S>(codes[i]);
  finish_row(gram, out);
}

/// Codes one sample by matching pursuit.
template <Real S>
void code_sample(const matching_pursuit& method, const Gram<S>& gram, const CodedSample<S>& sample, ScratchFrame& frame,
                 CodeRow<S>& out) {
  const kernel::Kernels<S>& kernels = kernel::kernels<S>();
  const Index stride = gram.stride();
  S *h = frame.take<S>(stride), *codes = frame.take<S>(stride);
  std::copy_n(sample.correlations, stride, h);
  std::fill_n(codes, stride, S(0));
  const S rounding = rounding_of_correlations<S>(gram.width(), sample.squares);
  const double enough = method.tolerance * method.tolerance;
  double squares = sample.squares;
  for (Index step = 0; (step < method.k || method.k == 0) && squares > enough; ++step) {
    Index j = -1;
    if (method.non_negative) {
      S best = rounding;
      for (Index i = 0; i < gram.count(); ++i)
        if (h[i] > best) best = h[j = i];
    } else {
      j = largest_magnitude(h, stride, rounding);
    }
    if (j < 0) break;
    const S change = h[j] * gram.inverse_diagonal(j);
    codes[j] += change;
    squares -= static_cast<double>(h[j]) * static_cast<double>(change);
    kernels.subtract_multiple(h, gram.row(j), change, stride);
  }
  out.count = list_nonzeros(codes, gram.count(), out);
  for (Index i = 0; i < out.count; ++i) out.values[i] *= gram.inverse_length(out.columns[i]);
}

/// Codes one sample by soft thresholding of its correlations.
template <Real S>
void code_sample(const SoftThreshold& method, const Gram<S>& gram, const CodedSample<S>& sample, ScratchFrame& frame,
                 CodeRow<S>& out) {
  S* codes = frame.take<S>(gram.stride());
  method.select_values<S>(sample.correlations, codes, gram.count(), S(0));
  out.count = list_nonzeros(codes, gram.count(), out);
}

}  // namespace filigree::detail
