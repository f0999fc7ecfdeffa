// SPDX-License-Identifier: MIT
#pragma once

#include <algorithm>
#include <bit>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "filigree/core/check.hpp"
#include "filigree/core/concepts.hpp"
#include "filigree/io/bytes.hpp"
#include "filigree/io/convert.hpp"
#include "filigree/io/cursor.hpp"
#include "filigree/io/type.hpp"

namespace filigree {

namespace detail {

/// Formats a shape as Python does: (), (3,), (2, 3).
inline std::string shape_text(const std::vector<Index>& shape) {
  std::string text = "(";
  for (std::size_t i = 0; i < shape.size(); ++i) text += (i > 0 ? ", " : "") + std::to_string(shape[i]);
  return text + (shape.size() == 1 ? ",)" : ")");
}

/// Computes the number of bytes of an array. Returns false if a size is negative or the result exceeds an Index.
inline bool bytes_of(Type type, const std::vector<Index>& shape, Index& bytes) {
  bytes = static_cast<Index>(bytes_each(type));
  return std::all_of(shape.begin(), shape.end(), [&](Index n) { return n >= 0 && checked_multiply(bytes, n, bytes); });
}

template <class M>
concept PlainDense = DenseExpression<M> && std::same_as<M, typename M::PlainObject>;

}  // namespace detail

/// An array of numbers of one type, with any number of dimensions, in C order (the last dimension varies fastest). It
/// is the data type of all array files. Copies share the bytes, which may be part of a mapped file.
struct NdArray {
  Type type = Type::float32;
  std::vector<Index> shape = {0};
  Bytes bytes = {};
  std::string name = "array";  // the name in error messages; readers set it to the file and the entry

  /// Returns the number of elements.
  [[nodiscard]] Index size() const { return static_cast<Index>(bytes.size() / bytes_each(type)); }

  /// Returns the array as an Eigen matrix or vector of any scalar type and storage order. An array without dimensions
  /// becomes a 1 x 1 matrix. An array of one dimension becomes a column, or a row if M is a row vector.
  ///
  /// Floating-point numbers are rounded to the nearest number of the target, or overflow to infinity. Integers convert
  /// to floating point, and bools to 0 and 1.
  ///
  /// Throws     Error that names the array if it has more than two dimensions, if M cannot have its shape, if
  ///            floating-point numbers would convert to integers, or if an integer is out of range
  template <detail::PlainDense M>
  [[nodiscard]] M as() const {
    using S = typename M::Scalar;
    static_assert(detail::Storable<S>, "array.as<M>(): the scalar type of M is not supported");
    const auto [rows, cols] = sides<M>();
    M result;
    result.resize(rows, cols);
    if (result.size() == 0) return result;  // the file may have 2^62 rows of no columns
    detail::with_type(type, [&, height = rows, width = cols](auto stored) {
      using From = typename decltype(stored)::type;
      if constexpr (detail::Convertible<From, S>) {
        const std::byte* from = bytes.data();
        for (Index i = 0; i < height; ++i)
          for (Index j = 0; j < width; ++j, from += sizeof(From))
            if (!detail::convert(detail::load<From>(from), result(i, j)))
              detail::fail(name, ": the number at (", i, ", ", j, ") must fit ", name_of(detail::type_of<S>()),
                           ", got ", detail::shown(detail::load<From>(from)));
      } else {
        detail::fail(name, ": ", name_of(type), " does not convert to ", name_of(detail::type_of<S>()),
                     ": use a floating-point matrix");
      }
    });
    return result;
  }

  /// Returns the array as a map of its bytes, without a copy. The array must outlive the result.
  ///
  /// Throws     Error that names the array if its type is not the scalar type of M, if M cannot have its shape, or if
  ///            its bytes are not aligned
  template <detail::PlainDense M>
  [[nodiscard]] Eigen::Map<const M> map() const& {
    using S = typename M::Scalar;
    static_assert(M::IsRowMajor || M::IsVectorAtCompileTime,
                  "array.map<M>(): arrays are stored by rows, so M must be RowMajor");
    static_assert(detail::Storable<S>, "array.map<M>(): the scalar type of M is not supported");
    const auto [rows, cols] = sides<M>();
    detail::require(type == detail::type_of<S>(), name, ": must be ", name_of(detail::type_of<S>()),
                    " to be mapped, is ", name_of(type));
    const bool aligned = std::bit_cast<std::uintptr_t>(bytes.data()) % alignof(S) == 0;
    detail::require(aligned, name, ": its bytes must be aligned to ", alignof(S), " to be mapped: use as<M>()");
    return {reinterpret_cast<const S*>(bytes.data()), rows, cols};
  }
  template <detail::PlainDense M>
  void map() && = delete;

  /// Returns the same numbers with another shape.
  ///
  /// Throws     Error if the shapes differ in their number of elements
  [[nodiscard]] NdArray reshaped(std::vector<Index> other) const {
    check();
    Index needed = 0;
    const bool fits = detail::bytes_of(type, other, needed) && static_cast<std::size_t>(needed) == bytes.size();
    detail::require(fits, name, ": has shape ", detail::shape_text(shape), " and cannot be reshaped to ",
                    detail::shape_text(other));
    return {.type = type, .shape = std::move(other), .bytes = bytes, .name = name};
  }

  /// Checks that the number of bytes matches type and shape.
  ///
  /// Throws     Error if it does not
  void check() const {
    Index needed = 0;
    detail::require(detail::bytes_of(type, shape, needed), name, ": has an impossible shape, ",
                    detail::shape_text(shape));
    detail::require(static_cast<std::size_t>(needed) == bytes.size(), name, ": ", name_of(type), " of shape ",
                    detail::shape_text(shape), " needs ", needed, " bytes, has ", bytes.size());
  }

 private:
  struct Sides {
    Index rows, cols;
  };

  /// Returns the numbers of rows and columns of the array as an M.
  template <class M>
  [[nodiscard]] Sides sides() const {
    check();
    detail::require(shape.size() <= 2, name, ": must have at most 2 dimensions to become a matrix, has shape ",
                    detail::shape_text(shape), ": use reshaped(shape)");
    constexpr bool row = M::RowsAtCompileTime == 1;
    const Index first = shape.empty() ? 1 : shape[0];
    const Sides sides = shape.size() == 2 ? Sides{first, shape[1]} : row ? Sides{1, first} : Sides{first, 1};

    constexpr Index dynamic = Eigen::Dynamic;
    constexpr Index fixed_rows = M::RowsAtCompileTime, fixed_cols = M::ColsAtCompileTime;
    constexpr Index max_rows = M::MaxRowsAtCompileTime, max_cols = M::MaxColsAtCompileTime;
    const bool fits =
        (fixed_rows == dynamic || sides.rows == fixed_rows) && (max_rows == dynamic || sides.rows <= max_rows) &&
        (fixed_cols == dynamic || sides.cols == fixed_cols) && (max_cols == dynamic || sides.cols <= max_cols);
    const auto text = [](Index fixed, const char* any) {
      return fixed == dynamic ? std::string(any) : std::to_string(fixed);
    };
    detail::require(fits, name, ": must be ", text(fixed_rows, "n"), " x ", text(fixed_cols, "m"), ", has shape ",
                    detail::shape_text(shape));
    return sides;
  }
};

/// Returns a dense Eigen expression as an array of the given type. Compile-time vectors have one dimension, other
/// expressions two.
///
/// Throws     Error if floating-point numbers would convert to integers, or if an integer is out of range
template <DenseExpression E>
NdArray array_of(const E& expression, Type type) {
  using S = typename E::Scalar;
  static_assert(detail::Storable<S>, "array_of(x): the scalar type of x is not supported");
  const auto& values = expression.eval();
  const Index rows = values.rows(), cols = values.cols();
  NdArray array{.type = type, .shape = {rows, cols}};
  if constexpr (E::IsVectorAtCompileTime) array.shape = {rows * cols};
  const std::size_t size = static_cast<std::size_t>(rows) * static_cast<std::size_t>(cols) * bytes_each(type);
  array.bytes = Bytes::filled(size, [&](std::span<std::byte> to) {
    detail::with_type(type, [&](auto stored) {
      using To = typename decltype(stored)::type;
      if constexpr (detail::Convertible<S, To>) {
        std::byte* next = to.data();
        for (Index i = 0; i < rows; ++i)
          for (Index j = 0; j < cols; ++j, next += sizeof(To)) {
            To number;
            detail::require(detail::convert(S(values(i, j)), number), "array_of(x, type): x(", i, ", ", j,
                            ") must fit ", name_of(type), ", got ", detail::shown(S(values(i, j))));
            std::memcpy(next, &number, sizeof number);
          }
      } else {
        detail::fail("array_of(x, type): ", name_of(detail::type_of<S>()), " does not convert to ", name_of(type));
      }
    });
  });
  return array;
}

/// Returns a dense Eigen expression as an array of its own scalar type.
template <DenseExpression E>
NdArray array_of(const E& expression) {
  return array_of(expression, detail::type_of<typename E::Scalar>());
}

}  // namespace filigree
