// SPDX-License-Identifier: MIT
#pragma once

#include <algorithm>
#include <cmath>
#include <limits>
#include <utility>

#include "filigree/coding/gram.hpp"
#include "filigree/coding/lasso.hpp"

namespace filigree::detail {

/// Returns a number that is at least the largest eigenvalue of a Gram matrix and at most a few percent larger.
///
/// Formula  ‖G^m‖_F^(1/m) for m = 64, at most count^(1/128) times too large
template <Real S>
double largest_eigenvalue_bound(const Gram<S>& gram, const Session& session) {
  // D' D has the same eigenvalues but for zeros.
  const bool wide = gram.width() < gram.count();
  const Index n = wide ? gram.width() : gram.count();
  List<S> power(n * n, S(0)), square(n * n, S(0));
  const MatrixView<S> atoms = gram.atoms_view();
  if (wide)
    multiply<S>(atoms.transposed(), atoms, {power.data(), n}, session);
  else
    multiply<S>(atoms, atoms.transposed(), {power.data(), n}, session);
  double logarithm = 0, exponent = 1;  // the eigenvalue is at most e^logarithm ‖power‖^exponent
  for (int squaring = 0;; ++squaring) {
    double squares = 0;
    for (const S p : power) squares += static_cast<double>(p) * static_cast<double>(p);
    const double norm = std::sqrt(squares);
    if (!(norm > 0)) return 0;
    logarithm += exponent * std::log(norm);
    if (squaring == 6) break;
    for (S& p : power) p = static_cast<S>(static_cast<double>(p) / norm);
    const MatrixView<S> view = {power.data(), n, n, n, 1};
    multiply<S>(view, view, {square.data(), n}, session);
    std::swap(power, square);
    exponent /= 2;
  }
  return std::exp(logarithm) * (1 + 64 * static_cast<double>(std::numeric_limits<S>::epsilon()));
}

/// Codes samples by FISTA. Their steps are products of matrices; samples that have stopped leave the matrices.
template <Real S>
class ProximalSteps {
 public:
  ProximalSteps(const fista& method, const Gram<S>& gram, double eigenvalue, const Session& session)
      : method_(method), gram_(gram), eigenvalue_(eigenvalue), session_(session) {}

  /// Replaces the initial codes by the results. Rows have gram.stride() numbers.
  void run(Index rows, const S* correlations, const double* squares, S* codes) {
    const Index stride = gram_.stride();
    if (rows == 0 || !(eigenvalue_ > 0)) return;
    S* points = points_.template get<S>(rows * stride);        // where the gradient is evaluated
    S* gradients = gradients_.template get<S>(rows * stride);  // G times the points
    S* current = current_.template get<S>(rows * stride);
    active_ = List<Index>(rows, Index(0));
    momentum_ = List<double>(rows, 1.0);
    done_ = List<char>(rows, char(0));
    for (Index i = 0; i < rows; ++i) active_[i] = i;
    std::copy_n(codes, rows * stride, current);
    std::copy_n(codes, rows * stride, points);
    Index left = rows;
    for (Index iteration = 0; left > 0; ++iteration) {
      const bool checks = iteration % 8 == 0, last = iteration >= method_.max_iterations;
      if (checks || last) {
        step_matrix(left, current, gradients);
        for_each_rows(left, [&](Index i) {
          const Index row = active_[i];
          done_[i] =
              last || complete(correlations + row * stride, squares[row], current + i * stride, gradients + i * stride);
          if (done_[i] != 0) std::copy_n(current + i * stride, stride, codes + row * stride);
        });
        Index kept = 0;
        for (Index i = 0; i < left; ++i) {
          if (done_[i] != 0) continue;
          active_[kept] = active_[i];
          momentum_[kept] = momentum_[i];
          if (kept != i) {
            std::copy_n(current + i * stride, stride, current + kept * stride);
            std::copy_n(points + i * stride, stride, points + kept * stride);
          }
          ++kept;
        }
        left = kept;
        if (left == 0) break;
      }
      step_matrix(left, points, gradients);
      for_each_rows(left, [&](Index i) {
        step(correlations + active_[i] * stride, current + i * stride, points + i * stride, gradients + i * stride,
             momentum_[i]);
      });
    }
  }

 private:
  template <class F>
  void for_each_rows(Index rows, F&& f) const {
    constexpr Index task_rows = 16;
    session_.run(ceil_div(rows, task_rows), [&](Index task, Index) {
      for (Index i = task * task_rows; i < (std::min)((task + 1) * task_rows, rows); ++i) f(i);
    });
  }

  void step_matrix(Index rows, const S* from, S* to) const {
    multiply<S>({from, rows, gram_.count(), gram_.stride(), 1}, gram_.view(), {to, gram_.stride()}, session_);
  }

  /// Returns true if the duality gap is small enough.
  [[nodiscard]] bool complete(const S* b, double squares, const S* codes, const S* products) const {
    const LassoTerms terms = {method_.alpha, squares, method_.non_negative};
    double with_products = 0, with_correlations = 0, l1 = 0, largest = 0, scale = 0;
    for (Index j = 0; j < gram_.count(); ++j) {
      const S h = b[j] - products[j];
      const auto c = static_cast<double>(codes[j]);
      with_products += c * static_cast<double>(b[j]);
      with_correlations += c * static_cast<double>(h);
      l1 += std::abs(c);
      largest = (std::max)(largest, static_cast<double>(terms.size(h)));
      scale = (std::max)(scale, static_cast<double>(std::abs(b[j])));
    }
    if (method_.alpha == 0) return largest <= method_.tolerance * scale;
    const auto [objective, gap] = terms.gap(with_products, with_correlations, l1, largest);
    return gap <= method_.tolerance * objective;
  }

  void step(const S* b, S* current, S* point, const S* products, double& momentum) const {
    const S size = static_cast<S>(1 / eigenvalue_), bound = static_cast<S>(method_.alpha / eigenvalue_);
    const double next_momentum = 0.5 * (1 + std::sqrt(1 + 4 * momentum * momentum));
    const S weight = static_cast<S>((momentum - 1) / next_momentum);
    const S lowest = method_.non_negative ? S(0) : -(std::numeric_limits<S>::max)();
    double against = 0;  // (point − next) · (next − current)
    for (Index j = 0; j < gram_.count(); ++j) {
      const S z = point[j] + size * (b[j] - products[j]);
      const S up = z - bound, down = z + bound;
      S next = up > 0 ? up : (down < 0 ? down : S(0));
      next = next < lowest ? lowest : next;
      const S change = next - current[j];
      against += static_cast<double>((point[j] - next) * change);
      point[j] = next + weight * change;
      current[j] = next;
    }
    momentum = next_momentum;
    if (against <= 0) return;
    momentum = 1;
    std::copy_n(current, gram_.count(), point);
  }

  const fista& method_;
  const Gram<S>& gram_;
  double eigenvalue_;
  const Session& session_;
  Buffer points_, gradients_, current_;
  List<Index> active_;
  List<double> momentum_;
  List<char> done_;
};

}  // namespace filigree::detail
