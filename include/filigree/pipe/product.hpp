// SPDX-License-Identifier: MIT
#pragma once

#include <utility>

#include "filigree/core/operand.hpp"
#include "filigree/pipe/mistakes.hpp"
#include "filigree/pipe/weights.hpp"

namespace filigree {

namespace detail {

/// The lazy product A * V.
template <class A, class V>
class Product {
 public:
  using Left = std::remove_cvref_t<A>;
  using Right = std::remove_cvref_t<V>;
  using Scalar = typename Left::Scalar;
  using Engine = typename Left::ProductEngine;
  static_assert(StoredReal<typename Right::Scalar, Scalar>,
                "filigree: A * V: A and V must have the same scalar; cast one with .cast<>()");

  Product(Operand<A> a, Operand<V> v) : a_(std::forward<Operand<A>>(a)), v_(std::forward<Operand<V>>(v)) {
    check_values();
  }

  /// Checks the current shapes of the operands. Throws an Error if they do not fit.
  void check() const {
    a_.check();
    check_values();
  }
  [[nodiscard]] Index rows() const { return a_.rows(); }
  [[nodiscard]] Index cols() const { return v_.cols(); }
  [[nodiscard]] const Left& weights() const { return a_; }
  [[nodiscard]] const Right& values() const { return v_; }
  static constexpr const char* name() { return "A * V"; }

  [[nodiscard]] bool reads(const AddressRange& target) const {
    if constexpr (StoredValues<Right>)
      return a_.reads(target);
    else
      return a_.reads(target) || reads_memory(v_, target);
  }

  void evaluate_to(const Target<Scalar>& to) const {
    const Session session(a_.execution());
    a_.for_each_output(session,
                       {.to = to, .first = a_.first_row(), .v = bind_values<Engine, Scalar>(v_, rows(), session)});
  }

 private:
  void check_values() const {
    require(v_.rows() == a_.cols(), "A * V: V.rows() = ", v_.rows(), " must equal A.cols() = ", a_.cols());
    constexpr Index max_cols = Index{1} << 40;
    require(v_.cols() <= max_cols, "A * V: V.cols() must be at most 2^40, got ", v_.cols());
  }

  Operand<A> a_;
  Operand<V> v_;
};

template <class V>
concept ValuesExpression = DenseExpression<V> || StoredValues<std::remove_cvref_t<V>>;

}  // namespace detail

/// Multiplies weights by values. Absent entries do not contribute.
///
/// The result is a lazy Eigen expression that supports =, += and -=.
/// Formula    Σ A(i, c) · V.row(c)
/// Shapes     A: n x m, V: m x dv, of the scalar of A or of half or bfloat16; result: n x dv
/// Cost       n*k*dv for k entries per row, plus the cost of A
/// Edge case  a row without entries gives a row of +0, even if V contains NaN or Inf
/// Aliasing   safe: `K = A * K` takes a temporary
/// Throws     Error if V.rows() != A.cols(); the shapes are checked now and again on evaluation
template <detail::WeightsExpression A, detail::ValuesExpression V>
auto operator*(A&& a, V&& v) {
  static_assert(!std::remove_cvref_t<A>::is_column, "filigree: A * V: A is a column vector");
  return LazyDense<detail::Product<A, V>>(detail::Product<A, V>(std::forward<A>(a), std::forward<V>(v)));
}

}  // namespace filigree
