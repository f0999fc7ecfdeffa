// SPDX-License-Identifier: MIT
// What the fuzz targets have in common.
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <span>

#include "filigree/core/check.hpp"
#include "filigree/io/array.hpp"

namespace fuzz {

/// Calls read(bytes); an Error is a fine answer to any input, everything else ends the program.
template <class Read>
int run(const std::uint8_t* data, std::size_t size, Read&& read) {
  try {
    read(filigree::Bytes(std::as_bytes(std::span(data, size))));
  } catch (const filigree::Error&) {
  }
  return 0;
}

inline void expect(bool holds) {
  if (!holds) std::abort();
}

/// Looks at every byte of an array, and at its numbers as a matrix if it may be one.
inline void use(const filigree::NdArray& array) {
  array.check();
  unsigned sum = 0;
  for (const std::byte b : array.bytes.span()) sum += static_cast<unsigned>(b);
  const volatile unsigned kept = sum;
  (void)kept;
  if (array.shape.size() <= 2) (void)array.as<Eigen::MatrixXd>();
}

}  // namespace fuzz
