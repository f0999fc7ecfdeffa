// SPDX-License-Identifier: MIT
#pragma once

#include <Eigen/Core>
#include <Eigen/SparseCore>
#include <algorithm>
#include <type_traits>
#include <utility>

#include "filigree/core/address_range.hpp"
#include "filigree/core/buffer.hpp"
#include "filigree/core/check.hpp"
#include "filigree/core/concepts.hpp"

// The only header that uses Eigen::internal. It makes lazy matrices assignable to dense and sparse Eigen objects, and
// it provides readers for all dense Eigen expressions.

namespace filigree {

namespace detail {

enum class Assign { set, add, subtract };

/// The destination of a lazy matrix: memory of the right shape that overlaps none of its operands.
template <Real S>
struct Target {
  S* data;
  Index rows, cols, row_stride, col_stride;
  Assign op;

  void store(Index i, Index j, S value) const {
    S& to = data[i * row_stride + j * col_stride];
    if (op == Assign::set)
      to = value;
    else if (op == Assign::add)
      to += value;
    else
      to -= value;
  }
  void store_row(Index i, const S* values) const {
    if (op == Assign::set && col_stride == 1)
      std::copy_n(values, cols, data + i * row_stride);
    else
      for (Index j = 0; j < cols; ++j) store(i, j, values[j]);
  }
};

struct LazyShape {};       // the evaluator shape of LazyMatrix
struct LazyAssignment {};  // the assignment kind of LazyMatrix

/// Returns the address range of an expression with direct access.
template <class Xpr>
AddressRange memory(const Xpr& x) {
  if (x.size() == 0) return {};
  const auto* low = x.data();
  const auto* high = low;
  for (const Index offset : {(x.rows() - 1) * x.rowStride(), (x.cols() - 1) * x.colStride()})
    (offset < 0 ? low : high) += offset;
  return AddressRange::of(low, high + 1);
}

/// Returns true if evaluating the expression may read the target memory. Expressions without direct access are assumed
/// to read it.
template <class Xpr>
bool reads_memory(const Xpr& x, const AddressRange& target) {
  if constexpr (DirectAccess<Xpr>) {
    return memory(x).overlaps(target);
  } else {
    return true;
  }
}

/// Copies `count` numbers with strides `from_step` and `to_step`, converted to T, which represents them exactly.
template <class S, class T>
void copy_numbers(const S* from, Index from_step, Index count, T* to, Index to_step) {
  if constexpr (std::is_same_v<T, S>)
    if (from_step == 1 && to_step == 1) {
      std::copy_n(from, count, to);
      return;
    }
  for (Index j = 0; j < count; ++j) {
    if constexpr (std::is_same_v<T, S>)
      to[j * to_step] = from[j * from_step];
    else
      to[j * to_step] = static_cast<T>(static_cast<float>(from[j * from_step]));
  }
}

/// A reader of a matrix in memory. All expressions with direct access share this type, so code that uses it is compiled
/// once.
template <class S>
class MemoryReader {
 public:
  using Scalar = S;
  static constexpr bool direct = true;

  MemoryReader(const S* data, Index rows, Index cols, Index row_stride, Index col_stride)
      : data_(data), rows_(rows), cols_(cols), row_stride_(row_stride), col_stride_(col_stride) {}

  [[nodiscard]] Index rows() const { return rows_; }
  [[nodiscard]] Index cols() const { return cols_; }
  /// True if the values of a row are contiguous in memory.
  [[nodiscard]] bool contiguous_rows() const { return col_stride_ == 1 || cols_ <= 1; }
  [[nodiscard]] const S* data() const { return data_; }
  [[nodiscard]] Index row_stride() const { return row_stride_; }
  [[nodiscard]] Index col_stride() const { return col_stride_; }

  S operator()(Index i, Index j) const { return data_[i * row_stride_ + j * col_stride_]; }

  /// Copies row i to to[0], to[step], ..., converted to T, which represents the values exactly.
  template <class T>
  void copy_row(Index i, T* to, Index step = 1) const {
    copy_numbers(data_ + i * row_stride_, col_stride_, cols_, to, step);
  }

 private:
  const S* data_;
  Index rows_, cols_, row_stride_, col_stride_;
};

/// A reader of the coefficients of any other dense expression; nested products are evaluated once. If is_column, a
/// column vector is read as one row.
template <class Xpr, bool is_column>
class CoefficientReader {
 public:
  using Scalar = typename Xpr::Scalar;
  static constexpr bool direct = false;

  explicit CoefficientReader(const Xpr& x)
      : rows_(is_column ? x.cols() : x.rows()), cols_(is_column ? x.rows() : x.cols()), coefficients_(x.derived()) {}

  [[nodiscard]] Index rows() const { return rows_; }
  [[nodiscard]] Index cols() const { return cols_; }
  [[nodiscard]] bool contiguous_rows() const { return false; }

  Scalar operator()(Index i, Index j) const {
    if constexpr (is_column)
      return coefficients_.coeff(j, i);
    else
      return coefficients_.coeff(i, j);
  }

  template <class T>
  void copy_row(Index i, T* to, Index step = 1) const {
    for (Index j = 0; j < cols_; ++j) {
      const Scalar number = (*this)(i, j);
      copy_numbers(&number, 1, 1, to + j * step, 1);
    }
  }

 private:
  Index rows_, cols_;
  Eigen::internal::evaluator<std::remove_cvref_t<decltype(std::declval<const Xpr&>().derived())>> coefficients_;
};

/// The reader type of an expression. If one_row, a vector is read as one row, even if it is a column.
template <class Xpr, bool one_row = false>
using Reader = std::conditional_t<DirectAccess<Xpr>, MemoryReader<typename Xpr::Scalar>,
                                  CoefficientReader<Xpr, one_row && Xpr::ColsAtCompileTime == 1>>;

/// Returns the reader of an expression.
template <bool one_row = false, class Xpr>
Reader<Xpr, one_row> reader_of(const Xpr& x) {
  if constexpr (!Reader<Xpr, one_row>::direct)
    return Reader<Xpr, one_row>(x);
  else if constexpr (one_row && Xpr::ColsAtCompileTime == 1)
    return {x.data(), x.cols(), x.rows(), x.colStride(), x.rowStride()};
  else
    return {x.data(), x.rows(), x.cols(), x.rowStride(), x.colStride()};
}

}  // namespace detail

/// The base class of a lazy matrix that can be assigned to dense and sparse matrices, but cannot be part of an Eigen
/// expression.
///
/// The derived class Impl has rows(), cols(), check(), evaluate_to(Target), reads(target), to_sparse<Sparse>() and a
/// static name(). The base is DenseBase because Eigen resizes the target of an EigenBase before it can be checked
/// whether an operand shares the memory of the target.
template <class Impl_, Real S>
class LazyMatrix : public Eigen::DenseBase<LazyMatrix<Impl_, S>> {
 public:
  using Impl = Impl_;
  using Scalar = S;
  const Impl& impl() const { return static_cast<const Impl&>(*this); }
  Index rows() const { return impl().rows(); }
  Index cols() const { return impl().cols(); }
};

/// A lazy matrix that can be part of an Eigen expression, which evaluates it into a temporary.
///
/// Impl has Scalar, rows(), cols(), check(), evaluate_to(Target), reads(target) and a static name(). check() throws an
/// Error if the operands do not match; evaluations call it before they write anything.
template <class Impl_>
class LazyDense : public Eigen::MatrixBase<LazyDense<Impl_>> {
 public:
  using Impl = Impl_;
  using Base = Eigen::MatrixBase<LazyDense>;
  EIGEN_DENSE_PUBLIC_INTERFACE(LazyDense)

  explicit LazyDense(Impl impl) : impl_(std::move(impl)) {}
  const Impl& impl() const { return impl_; }
  Index rows() const { return impl_.rows(); }
  Index cols() const { return impl_.cols(); }

  /// Returns the same matrix, computed on the executor, which must outlive it.
  template <class E>
    requires requires(const Impl& impl, E& executor) { impl.on(executor); }
  auto on(E& executor) const { return LazyDense(impl_.on(executor)); }
  /// Returns the same matrix, computed in the memory of the workspace, which must outlive it.
  template <class W>
    requires requires(const Impl& impl, W& workspace) { impl.with(workspace); }
  auto with(W& workspace) const { return LazyDense(impl_.with(workspace)); }

 private:
  Impl impl_;
};

}  // namespace filigree

namespace Eigen::internal {

template <class Impl, class S>
struct traits<filigree::LazyMatrix<Impl, S>> : traits<Matrix<S, Dynamic, Dynamic, RowMajor>> {
  enum { Flags = 0 };
};
template <class Impl>
struct traits<filigree::LazyDense<Impl>> : traits<Matrix<typename Impl::Scalar, Dynamic, Dynamic, RowMajor>> {
  using Plain = Matrix<typename Impl::Scalar, Dynamic, Dynamic, RowMajor>;
  enum { Flags = (int(traits<Plain>::Flags) | EvalBeforeNestingBit) & ~(LvalueBit | DirectAccessBit | NestByRefBit) };
};

template <class Impl, class S>
struct evaluator_traits<filigree::LazyMatrix<Impl, S>> {
  using Kind = IndexBased;
  using Shape = filigree::detail::LazyShape;
};
template <class DstShape>
struct AssignmentKind<DstShape, filigree::detail::LazyShape> {
  using Kind = filigree::detail::LazyAssignment;
};

/// Eigen reads these constants when it checks an assignment. The evaluator itself cannot be constructed, since a
/// LazyMatrix cannot be part of an expression.
template <class Impl, class S>
struct evaluator<filigree::LazyMatrix<Impl, S>> {
  enum { CoeffReadCost = HugeCost, Flags = 0, Alignment = 0 };
  template <bool never = false>
  explicit evaluator(const filigree::LazyMatrix<Impl, S>&) {
    static_assert(never, "filigree: A is a lazy matrix without coefficients: assign it to a matrix first");
  }
};

/// The temporary that holds the value of a LazyDense in a larger expression. As a base class, it is constructed before
/// the evaluator that reads it.
template <class Impl>
struct filigree_value {
  using Plain = typename filigree::LazyDense<Impl>::PlainObject;
  explicit filigree_value(const Impl& impl) : result(checked(impl).rows(), impl.cols()) {
    impl.evaluate_to({result.data(), result.rows(), result.cols(), result.cols(), 1, filigree::detail::Assign::set});
  }
  Plain result;

 private:
  static const Impl& checked(const Impl& impl) {
    impl.check();
    return impl;
  }
};
template <class Impl>
struct evaluator<filigree::LazyDense<Impl>> : private filigree_value<Impl>,
                                              evaluator<typename filigree::LazyDense<Impl>::PlainObject> {
  using XprType = filigree::LazyDense<Impl>;
  explicit evaluator(const XprType& x)
      : filigree_value<Impl>(x.impl()), evaluator<typename XprType::PlainObject>(this->result) {}
};

template <class Func>
inline constexpr auto filigree_assign = filigree::detail::Assign::set;
template <class A, class B>
inline constexpr auto filigree_assign<add_assign_op<A, B>> = filigree::detail::Assign::add;
template <class A, class B>
inline constexpr auto filigree_assign<sub_assign_op<A, B>> = filigree::detail::Assign::subtract;
template <class A, class B>
inline constexpr auto filigree_assign<mul_assign_op<A, B>> = nullptr;
template <class A, class B>
inline constexpr auto filigree_assign<div_assign_op<A, B>> = nullptr;

/// The implementation of `to = lazy`, `+=` and `-=`: checks the shape and evaluates, into a temporary if an operand
/// shares the memory of the target.
template <class To, class From, class Func>
struct filigree_assignment {
  using S = typename From::Scalar;
  using Impl = typename From::Impl;
  static constexpr auto op = filigree_assign<Func>;
  static_assert(!std::is_null_pointer_v<std::remove_const_t<decltype(op)>>,
                "filigree: a lazy matrix can be assigned only by =, += and -=");
  static constexpr bool plain = std::is_base_of_v<PlainObjectBase<To>, To>;
  static constexpr bool sparse = std::is_base_of_v<SparseMatrixBase<To>, To>;
  static_assert(std::is_same_v<typename To::Scalar, S>,
                "filigree: the target must have the scalar of the expression; cast the operands with .cast<>()");

  static void run(To& to, const From& from, const Func&) {
    if constexpr (sparse) {
      To result = from.impl().template to_sparse<To>();  // a direct assignment could fail halfway
      to.swap(result);
    } else
      run_dense(to, from.impl());
  }

 private:
  static constexpr bool vector = bool(To::IsVectorAtCompileTime);

  // A vector can be assigned a row or a column, as in Eigen.
  static bool same_shape(const To& to, Eigen::Index rows, Eigen::Index cols) {
    return (to.rows() == rows && to.cols() == cols) || (vector && (rows == 1 || cols == 1) && to.size() == rows * cols);
  }

  // True if a target of fixed or bounded size can hold the shape. Eigen may already have set the size unchecked.
  static bool fits([[maybe_unused]] Eigen::Index rows, [[maybe_unused]] Eigen::Index cols) {
    if constexpr (plain) {
      const auto holds = [](int fixed, int max_size, Eigen::Index size) {
        return (fixed == Dynamic || fixed == size) && (max_size == Dynamic || size <= max_size);
      };
      if constexpr (vector)
        return (rows == 1 || cols == 1) && holds(To::SizeAtCompileTime, To::MaxSizeAtCompileTime, rows * cols);
      else
        return holds(To::RowsAtCompileTime, To::MaxRowsAtCompileTime, rows) &&
               holds(To::ColsAtCompileTime, To::MaxColsAtCompileTime, cols);
    } else {
      return true;
    }
  }

  static void resize(To& to, Eigen::Index rows, Eigen::Index cols) {
    if constexpr (plain) {
      if (same_shape(to, rows, cols)) return;
      if constexpr (vector)
        to.resize(rows * cols);
      else
        to.resize(rows, cols);
    }
  }

  static void run_dense(To& to, const Impl& from) {
    from.check();
    const Eigen::Index rows = from.rows(), cols = from.cols();
    constexpr bool resizes = plain && op == filigree::detail::Assign::set;
    filigree::detail::require((resizes || same_shape(to, rows, cols)) && fits(rows, cols), Impl::name(),
                              ": the target must be ", rows, "x", cols, ", is ", to.rows(), "x", to.cols());
    if constexpr (bool(To::Flags & DirectAccessBit)) {
      const filigree::AddressRange target = filigree::detail::memory(to);
      if (target.empty() || !from.reads(target)) {
        resize(to, rows, cols);
        const Eigen::Index step = vector ? to.innerStride() : 0;
        from.evaluate_to({to.data(), rows, cols, vector ? step : to.rowStride(), vector ? step : to.colStride(), op});
        return;
      }
    }
    filigree::detail::Buffer memory;
    S* result = memory.get<S>(filigree::detail::size_product(rows, cols));
    from.evaluate_to({result, rows, cols, cols, 1, filigree::detail::Assign::set});
    resize(to, rows, cols);
    evaluator<To> coeffs(to);
    Func assign;
    for (Eigen::Index i = 0; i < rows; ++i)
      for (Eigen::Index j = 0; j < cols; ++j)
        if constexpr (vector)
          assign.assignCoeff(To::RowsAtCompileTime == 1 ? coeffs.coeffRef(0, i + j) : coeffs.coeffRef(i + j, 0),
                             result[i * cols + j]);
        else
          assign.assignCoeff(coeffs.coeffRef(i, j), result[i * cols + j]);
  }
};

template <class To, class From, class Func>
struct Assignment<To, From, Func, filigree::detail::LazyAssignment, void> : filigree_assignment<To, From, Func> {};
template <class To, class Impl, class Func>
struct Assignment<To, filigree::LazyDense<Impl>, Func, Dense2Dense, void>
    : filigree_assignment<To, filigree::LazyDense<Impl>, Func> {};

}  // namespace Eigen::internal

namespace filigree::detail {

/// Assigns `to = lazy` without Eigen's own resizing, which checks the size of the target only by an assertion.
template <class To, class From>
void assign(To& to, const From& lazy) {
  Eigen::internal::call_assignment(to, lazy);
}

}  // namespace filigree::detail
