// SPDX-License-Identifier: MIT
// Functions shared by the fuzz targets.
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <span>

#include "filigree/core/check.hpp"
#include "filigree/io/array.hpp"

namespace fuzz {

/// Calls read(bytes). An Error is a valid result for any input; any other exception terminates the program.
template <class Read>
int run(const std::uint8_t* data, std::size_t size, Read&& read) {
  try {
    read(filigree::Bytes(std::as_bytes(std::span(data, size))));
  } catch (const filigree::Error&) {
  }
  return 0;
}

/// Aborts unless the condition holds.
inline void expect(bool holds) {
  if (!holds) std::abort();
}

/// Reads every byte of an array, and converts it to a matrix if it has at most two dimensions.
inline void use(const filigree::NdArray& array) {
  array.check();
  unsigned sum = 0;
  for (const std::byte b : array.bytes.span()) sum += static_cast<unsigned>(b);
  const volatile unsigned kept = sum;
  (void)kept;
  if (array.shape.size() <= 2) (void)array.as<Eigen::MatrixXd>();
}

}  // namespace fuzz
