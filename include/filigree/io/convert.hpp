// SPDX-License-Identifier: MIT
#pragma once

#include <bit>
#include <cstdint>
#include <cstring>

#include "filigree/io/type.hpp"

namespace filigree::detail {

/// A number as it lies in a file, at any address. A boolean is whatever is not 0.
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

template <class T>
constexpr bool is_negative(T value) {
  if constexpr (std::is_signed_v<T>)
    return value < 0;
  else
    return false;
}

/// A double as a float from which 16 bits are rounded to as they would be from the double itself: where it is not exact
/// its last bit is 1, which no half and no bfloat16 is near to.
inline float rounded_to_odd(double x) {
  const auto nearest = static_cast<float>(x);
  if (static_cast<double>(nearest) == x || x != x) return nearest;
  auto bits = std::bit_cast<std::uint32_t>(nearest);
  const bool beyond = x < 0 ? static_cast<double>(nearest) < x : static_cast<double>(nearest) > x;
  return std::bit_cast<float>((beyond ? bits - 1 : bits) | 1U);
}

/// A number as a message takes it.
template <Storable T>
auto shown(T value) {
  if constexpr (Floating<T>)
    return static_cast<double>(value);
  else
    return value;
}

/// Whether there is a way from one scalar to the other at all: a fraction becomes no integer.
template <class From, class To>
concept Convertible = !Floating<From> || Floating<To>;

/// The same number as another scalar, a floating-point one rounded to nearest; false where an integer does not fit.
template <Storable From, Storable To>
  requires Convertible<From, To>
bool convert(From from, To& to) {
  if constexpr (std::same_as<From, To>) {
    to = from;
  } else if constexpr (std::same_as<To, float> || std::same_as<To, double>) {
    to = static_cast<To>(from);
  } else if constexpr (Floating<To> && (std::same_as<From, double> || !Floating<From>)) {
    to = static_cast<To>(rounded_to_odd(static_cast<double>(from)));
  } else if constexpr (Floating<To>) {
    to = static_cast<To>(static_cast<float>(from));
  } else {
    to = static_cast<To>(from);
    return static_cast<From>(to) == from && is_negative(to) == is_negative(from);
  }
  return true;
}

}  // namespace filigree::detail
