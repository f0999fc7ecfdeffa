// SPDX-License-Identifier: MIT
#pragma once

#include <bit>
#include <cstddef>
#include <cstdint>
#include <cstring>

#include "filigree/io/type.hpp"

namespace filigree::detail {

/// Reads a number at an address of any alignment. A bool is true if its byte is not 0.
template <Storable T>
T load(const std::byte* from) {
  if constexpr (std::same_as<T, bool>) {
    return *from != std::byte{0};
  } else {
    T value;
    std::memcpy(&value, from, sizeof value);
    return value;
  }
}

/// Returns true if the value is negative.
template <class T>
constexpr bool is_negative(T value) {
  if constexpr (std::is_signed_v<T>)
    return value < 0;
  else
    return false;
}

/// Rounds a double to float such that rounding the float to 16 bits gives the same result as rounding the double.
///
/// An inexact result has 1 as its last bit (round to odd). It is therefore no half or bfloat16 number, and not in the
/// middle between two of them.
inline float round_to_odd(double x) {
  const auto nearest = static_cast<float>(x);
  if (static_cast<double>(nearest) == x || x != x) return nearest;
  auto bits = std::bit_cast<std::uint32_t>(nearest);
  const bool rounded_away = x < 0 ? static_cast<double>(nearest) < x : static_cast<double>(nearest) > x;
  return std::bit_cast<float>((rounded_away ? bits - 1 : bits) | 1U);
}

/// Returns a number in a type that error messages accept.
template <Storable T>
auto shown(T value) {
  if constexpr (Floating<T>)
    return static_cast<double>(value);
  else
    return value;
}

/// True unless the conversion is from floating point to an integer.
template <class From, class To>
concept Convertible = !Floating<From> || Floating<To>;

/// Converts a number to another scalar type; floating-point numbers are rounded to nearest. Returns false if an integer
/// is out of range.
template <Storable From, Storable To>
  requires Convertible<From, To>
bool convert(From from, To& to) {
  if constexpr (std::same_as<From, To>) {
    to = from;
  } else if constexpr (std::same_as<To, float> || std::same_as<To, double>) {
    to = static_cast<To>(from);
  } else if constexpr (Floating<To> && (std::same_as<From, double> || !Floating<From>)) {
    to = static_cast<To>(round_to_odd(static_cast<double>(from)));
  } else if constexpr (Floating<To>) {
    to = static_cast<To>(static_cast<float>(from));
  } else {
    to = static_cast<To>(from);
    return static_cast<From>(to) == from && is_negative(to) == is_negative(from);
  }
  return true;
}

}  // namespace filigree::detail
