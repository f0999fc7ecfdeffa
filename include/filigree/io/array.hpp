// SPDX-License-Identifier: MIT
#pragma once

#include <algorithm>
#include <string>
#include <vector>

#include "filigree/core/check.hpp"
#include "filigree/core/concepts.hpp"
#include "filigree/io/bytes.hpp"
#include "filigree/io/convert.hpp"
#include "filigree/io/cursor.hpp"
#include "filigree/io/type.hpp"

namespace filigree {

namespace detail {

/// A shape as Python writes it: (), (3,), (2, 3).
inline std::string shape_text(const std::vector<Index>& shape) {
  std::string text = "(";
  for (std::size_t i = 0; i < shape.size(); ++i) text += (i > 0 ? ", " : "") + std::to_string(shape[i]);
  return text + (shape.size() == 1 ? ",)" : ")");
}

/// The number of bytes of an array; false where a size is negative or the number does not fit an Index.
inline bool bytes_of(Type type, const std::vector<Index>& shape, Index& bytes) {
  bytes = static_cast<Index>(bytes_each(type));
  return std::all_of(shape.begin(), shape.end(), [&](Index n) { return n >= 0 && multiplied(bytes, n, bytes); });
}

template <class M>
concept PlainDense = DenseExpression<M> && std::same_as<M, typename M::PlainObject>;

}  // namespace detail

/// Numbers of one type in a box of any number of dimensions, the last of which runs fastest (C order), as the files of
/// io/ hold them. Copies share the bytes, which may lie in a mapped file.
struct NdArray {
  Type type = Type::float32;
  std::vector<Index> shape = {0};
  Bytes bytes = {};
  std::string name = "array";  // what messages call it; readers put the file and the entry here

  /// Returns the number of numbers.
  [[nodiscard]] Index size() const { return static_cast<Index>(bytes.size() / bytes_each(type)); }

  /// Returns the array as an Eigen matrix or vector of any scalar and storage order. No dimension is a 1 x 1 matrix,
  /// one is a column, or a row where M is a row vector.
  ///
  /// Floating point is rounded to the nearest number of the target (or its infinity), integers become floating point,
  /// truth values 0 and 1.
  /// Throws     Error that names the array if it has more than two dimensions or a shape that M cannot have, if
  ///            fractions would become integers, or an integer does not fit
  template <detail::PlainDense M>
  [[nodiscard]] M as() const {
    using S = typename M::Scalar;
    static_assert(detail::Storable<S>, "array.as<M>(): M has a scalar that no file holds");
    const auto [rows, cols] = sides<M>();
    M result;
    result.resize(rows, cols);
    if (result.size() == 0) return result;  // a file may say 2^62 rows of none
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
        detail::fail(name, ": ", name_of(type), " does not become ", name_of(detail::type_of<S>()),
                     ": take a floating-point matrix");
      }
    });
    return result;
  }

  /// Returns the array as a matrix in place, without a copy; it must outlive the result.
  ///
  /// Throws     Error that names the array if its type is not that of M, its shape does not fit, or its bytes are not
  ///            aligned
  template <detail::PlainDense M>
  [[nodiscard]] Eigen::Map<const M> map() const& {
    using S = typename M::Scalar;
    static_assert(M::IsRowMajor || M::IsVectorAtCompileTime,
                  "array.map<M>(): arrays lie in rows, so M must be RowMajor");
    static_assert(detail::Storable<S>, "array.map<M>(): M has a scalar that no file holds");
    const auto [rows, cols] = sides<M>();
    detail::require(type == detail::type_of<S>(), name, ": must be ", name_of(detail::type_of<S>()),
                    " to be mapped as such, is ", name_of(type));
    const bool aligned = std::bit_cast<std::uintptr_t>(bytes.data()) % alignof(S) == 0;
    detail::require(aligned, name, ": its bytes must be aligned to ", alignof(S), " to be mapped: take as<M>()");
    return {reinterpret_cast<const S*>(bytes.data()), rows, cols};
  }
  template <detail::PlainDense M>
  void map() && = delete;

  /// Returns the same numbers with another shape of the same size.
  ///
  /// Throws     Error if their number is another one
  [[nodiscard]] NdArray reshaped(std::vector<Index> other) const {
    check();
    Index needed = 0;
    const bool fits = detail::bytes_of(type, other, needed) && static_cast<std::size_t>(needed) == bytes.size();
    detail::require(fits, name, ": has shape ", detail::shape_text(shape), " and cannot be ",
                    detail::shape_text(other));
    return {.type = type, .shape = std::move(other), .bytes = bytes, .name = name};
  }

  /// Throws     Error unless shape and bytes agree
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

  /// Rows and columns of the array as an M.
  template <class M>
  [[nodiscard]] Sides sides() const {
    check();
    detail::require(shape.size() <= 2, name, ": must have at most 2 dimensions to become a matrix, has shape ",
                    detail::shape_text(shape), ": reshaped(shape) gives it others");
    constexpr bool row = M::RowsAtCompileTime == 1;
    const Index first = shape.empty() ? 1 : shape[0];
    const Sides sides = shape.size() == 2 ? Sides{first, shape[1]} : row ? Sides{1, first} : Sides{first, 1};

    constexpr Index free = Eigen::Dynamic;
    constexpr Index fixed_rows = M::RowsAtCompileTime, fixed_cols = M::ColsAtCompileTime;
    constexpr Index most_rows = M::MaxRowsAtCompileTime, most_cols = M::MaxColsAtCompileTime;
    const bool fits =
        (fixed_rows == free || sides.rows == fixed_rows) && (most_rows == free || sides.rows <= most_rows) &&
        (fixed_cols == free || sides.cols == fixed_cols) && (most_cols == free || sides.cols <= most_cols);
    const auto text = [](Index fixed, const char* any) {
      return fixed == free ? std::string(any) : std::to_string(fixed);
    };
    detail::require(fits, name, ": must be ", text(fixed_rows, "n"), " x ", text(fixed_cols, "m"), ", has shape ",
                    detail::shape_text(shape));
    return sides;
  }
};

/// Returns a dense Eigen expression as an array of a type: a compile-time vector of one dimension, anything else of
/// two.
///
/// Throws     Error if fractions would become integers, or an integer does not fit
template <DenseExpression E>
NdArray array_of(const E& expression, Type type) {
  using S = typename E::Scalar;
  static_assert(detail::Storable<S>, "array_of(x): no file holds numbers of the scalar of x");
  const auto& values = expression.eval();
  const Index rows = values.rows(), cols = values.cols();
  NdArray array{.type = type, .shape = {rows, cols}};
  if constexpr (E::IsVectorAtCompileTime) array.shape = {rows * cols};
  const std::size_t size = static_cast<std::size_t>(rows) * static_cast<std::size_t>(cols) * bytes_each(type);
  array.bytes = Bytes::filled(size, [&](std::span<std::byte> to) {
    detail::with_type(type, [&](auto stored) {
      using To = typename decltype(stored)::type;
      if constexpr (detail::Convertible<S, To>) {
        std::byte* place = to.data();
        for (Index i = 0; i < rows; ++i)
          for (Index j = 0; j < cols; ++j, place += sizeof(To)) {
            To number;
            detail::require(detail::convert(S(values(i, j)), number), "array_of(x, type): x(", i, ", ", j,
                            ") must fit ", name_of(type), ", got ", detail::shown(S(values(i, j))));
            std::memcpy(place, &number, sizeof number);
          }
      } else {
        detail::fail("array_of(x, type): ", name_of(detail::type_of<S>()), " does not become ", name_of(type));
      }
    });
  });
  return array;
}

/// Returns a dense Eigen expression as an array of the type of its scalar.
template <DenseExpression E>
NdArray array_of(const E& expression) {
  return array_of(expression, detail::type_of<typename E::Scalar>());
}

}  // namespace filigree
