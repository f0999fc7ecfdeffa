// SPDX-License-Identifier: MIT
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <span>

#include "filigree/core/requirements.hpp"

namespace filigree::detail {

using CrcTables = std::array<std::array<std::uint32_t, 256>, 8>;

/// Computes the tables of crc32. Entry [k][b] is the remainder of byte b followed by k zero bytes.
///
/// This runs at run time: a constexpr table would add a tenth of a second to the compile time of every program.
inline CrcTables make_crc_tables() {
  CrcTables tables{};
  for (std::uint32_t b = 0; b < 256; ++b) {
    std::uint32_t remainder = b;
    for (int bit = 0; bit < 8; ++bit) remainder = (remainder >> 1) ^ (remainder & 1 ? 0xEDB88320U : 0);
    tables[0][b] = remainder;
  }
  for (std::size_t k = 1; k < 8; ++k)
    for (std::size_t b = 0; b < 256; ++b) tables[k][b] = (tables[k - 1][b] >> 8) ^ tables[0][tables[k - 1][b] & 0xFF];
  return tables;
}

/// Computes the CRC-32 checksum of zip and PNG. `previous` is the checksum of the preceding bytes.
///
/// Cost       8 bytes per step, since steps of one byte would each wait for the preceding one
inline std::uint32_t crc32(std::span<const std::byte> bytes, std::uint32_t previous = 0) {
  static const CrcTables crc_tables = make_crc_tables();
  std::uint32_t remainder = ~previous;
  while (bytes.size() >= 8) {
    std::uint64_t word;
    std::memcpy(&word, bytes.data(), sizeof word);
    word ^= remainder;
    remainder = 0;
    for (std::size_t k = 0; k < 8; ++k) remainder ^= crc_tables[7 - k][word >> (8 * k) & 0xFF];
    bytes = bytes.subspan(8);
  }
  for (const std::byte b : bytes)
    remainder = (remainder >> 8) ^ crc_tables[0][(remainder ^ static_cast<std::uint32_t>(b)) & 0xFF];
  return ~remainder;
}

}  // namespace filigree::detail
