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

/// Entry [k][b]: what byte b becomes after k more bytes of 0. They are made at run time: as a constant they would take
/// every program that includes this a tenth of a second to compile.
inline CrcTables make_crc_tables() {
  CrcTables tables{};
  for (std::uint32_t b = 0; b < 256; ++b) {
    std::uint32_t rest = b;
    for (int bit = 0; bit < 8; ++bit) rest = (rest >> 1) ^ (rest & 1 ? 0xEDB88320U : 0);
    tables[0][b] = rest;
  }
  for (std::size_t k = 1; k < 8; ++k)
    for (std::size_t b = 0; b < 256; ++b) tables[k][b] = (tables[k - 1][b] >> 8) ^ tables[0][tables[k - 1][b] & 0xFF];
  return tables;
}

/// The checksum of zip and PNG of some bytes that follow others whose checksum is `before`.
///
/// Cost       8 bytes at a time: a byte by itself waits for the one before it
inline std::uint32_t crc32(std::span<const std::byte> bytes, std::uint32_t before = 0) {
  static const CrcTables crc_tables = make_crc_tables();
  std::uint32_t rest = ~before;
  while (bytes.size() >= 8) {
    std::uint64_t word;
    std::memcpy(&word, bytes.data(), sizeof word);
    word ^= rest;
    rest = 0;
    for (std::size_t k = 0; k < 8; ++k) rest ^= crc_tables[7 - k][word >> (8 * k) & 0xFF];
    bytes = bytes.subspan(8);
  }
  for (const std::byte b : bytes) rest = (rest >> 8) ^ crc_tables[0][(rest ^ static_cast<std::uint32_t>(b)) & 0xFF];
  return ~rest;
}

}  // namespace filigree::detail
