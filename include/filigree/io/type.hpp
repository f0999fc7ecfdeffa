// SPDX-License-Identifier: MIT
#pragma once

#include <Eigen/Core>
#include <array>
#include <concepts>
#include <cstddef>
#include <cstdint>
#include <string_view>
#include <type_traits>

#include "filigree/core/requirements.hpp"

namespace filigree {

/// The type of the numbers of an array. float16 is IEEE binary16 (Eigen::half); bfloat16 is the upper half of a
/// float32.
enum class Type : unsigned char {
  boolean,
  int8,
  int16,
  int32,
  int64,
  uint8,
  uint16,
  uint32,
  uint64,
  float16,
  bfloat16,
  float32,
  float64
};

namespace detail {

/// Calls f(std::type_identity<T>()), where T is the C++ type of the numbers.
template <class F>
decltype(auto) with_type(Type type, F&& f) {
  switch (type) {
    case Type::boolean: return f(std::type_identity<bool>());
    case Type::int8: return f(std::type_identity<std::int8_t>());
    case Type::int16: return f(std::type_identity<std::int16_t>());
    case Type::int32: return f(std::type_identity<std::int32_t>());
    case Type::int64: return f(std::type_identity<std::int64_t>());
    case Type::uint8: return f(std::type_identity<std::uint8_t>());
    case Type::uint16: return f(std::type_identity<std::uint16_t>());
    case Type::uint32: return f(std::type_identity<std::uint32_t>());
    case Type::uint64: return f(std::type_identity<std::uint64_t>());
    case Type::float16: return f(std::type_identity<Eigen::half>());
    case Type::bfloat16: return f(std::type_identity<Eigen::bfloat16>());
    case Type::float32: return f(std::type_identity<float>());
    case Type::float64: break;
  }
  return f(std::type_identity<double>());
}

template <class T>
concept Floating = std::same_as<T, float> || std::same_as<T, double> || std::same_as<T, Eigen::half> ||
    std::same_as<T, Eigen::bfloat16>;

template <class T>
concept Integer = std::integral<T> && sizeof(T) <= 8;

/// A scalar type that arrays support. An integer type such as long is stored as the type of the same size.
template <class T>
concept Storable = Floating<T> || Integer<T>;

/// Returns the Type of a scalar type.
template <Storable T>
constexpr Type type_of() {
  if (std::same_as<T, bool>) return Type::boolean;
  if (std::same_as<T, Eigen::half>) return Type::float16;
  if (std::same_as<T, Eigen::bfloat16>) return Type::bfloat16;
  if (std::same_as<T, float>) return Type::float32;
  if (std::same_as<T, double>) return Type::float64;
  constexpr Type signed_types[] = {Type::int8, Type::int16, Type::int32, Type::int64};
  constexpr Type unsigned_types[] = {Type::uint8, Type::uint16, Type::uint32, Type::uint64};
  constexpr int i = sizeof(T) == 1 ? 0 : sizeof(T) == 2 ? 1 : sizeof(T) == 4 ? 2 : 3;
  return std::is_signed_v<T> ? signed_types[i] : unsigned_types[i];
}

}  // namespace detail

/// Returns NumPy's name for a type: "bool", "uint8", "float32".
constexpr std::string_view name_of(Type type) {
  constexpr std::array<std::string_view, 13> names = {"bool",     "int8",    "int16",  "int32",  "int64",
                                                      "uint8",    "uint16",  "uint32", "uint64", "float16",
                                                      "bfloat16", "float32", "float64"};
  return names[static_cast<std::size_t>(type)];
}

/// Returns the number of bytes of one number.
constexpr std::size_t bytes_each(Type type) {
  constexpr std::array<std::size_t, 13> sizes = {1, 1, 2, 4, 8, 1, 2, 4, 8, 2, 2, 4, 8};
  return sizes[static_cast<std::size_t>(type)];
}

}  // namespace filigree
