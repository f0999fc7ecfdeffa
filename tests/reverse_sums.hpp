// SPDX-License-Identifier: MIT
// Gradients of a product in long double. The functions are compiled once, with optimization, for float and double.
#pragma once

#include <filigree/kernel/types.hpp>
#include <optional>
#include <string>
#include <vector>

#include "inputs.hpp"
#include "oracle.hpp"

namespace test {

/// Gradients in long double, and bounds of the errors of computed ones.
struct ReverseSums {
  using Table = Eigen::Matrix<oracle::Real, Dynamic, Dynamic, Eigen::RowMajor>;
  Table q, k, v, q_bound, k_bound, v_bound;
};

/// Sums the gradients of a product row by row. The caller computes the derivatives of the stages between scores() and
/// add_weights(), and between add_weights() and add_scores().
template <class S>
class ReverseReference {
 public:
  ReverseReference(const Matrix<S>& q, const Matrix<S>& k, const Matrix<S>& v, const Matrix<S>& d_out, S scale);

  /// Writes the scores of row i that are not -inf, with their columns. Returns how many.
  Index scores(Index i, S* values, filigree::kernel::Column* columns);
  /// Adds the row's part of dV, and writes dW for its weights. `gain` is how much the stages magnify errors.
  void add_weights(const S* weights, const filigree::kernel::Column* columns, Index count, oracle::Real gain, S* dw);
  /// Adds the row's parts of dQ and dK for the gradients by its scores.
  void add_scores(const S* gradient, const filigree::kernel::Column* columns, Index count);

  const ReverseSums& sums() const { return sums_; }

 private:
  Matrix<S> q_, k_, v_, d_out_;
  S scale_;
  ReverseSums sums_;
  Index row_ = 0;
  oracle::Real height_ = 0, error_ = 0;
  std::vector<char> kept_;
};

/// Returns the first difference between a gradient and the sums, or nothing if they agree.
template <class S>
std::optional<std::string> gradient_differs(const char* name, const Matrix<S>& got, const ReverseSums::Table& sums,
                                            const ReverseSums::Table& bounds);

}  // namespace test
