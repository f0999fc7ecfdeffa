// SPDX-License-Identifier: MIT
#pragma once

#include <cstddef>
#include <cstdint>

#include "filigree/core/requirements.hpp"

// Types that every level of the kernels shares. Nothing here depends on the instruction set.

namespace filigree::kernel {

using Index = std::ptrdiff_t;
using Column = std::int32_t;  // 31 bits of keys: 2^31 keys of one float each would be 8 GiB

/// What the registers of an instruction set hold: bytes of a vector, vectors of a panel of keys, queries of a group.
struct LevelSizes {
  int vector_bytes, vectors, queries;
};
inline constexpr LevelSizes baseline_sizes{16, 2, 4}, avx2_sizes{32, 2, 6}, avx512_sizes{64, 4, 6};

/// The candidates of a block of rows: a list of values with ascending columns for each.
template <class Scalar>
struct Candidates {
  Scalar* values;   // [rows][stride]
  Column* columns;  // [rows][stride]
  Index stride;     // room per row, one panel more than the lists may hold
  Column* count;    // [rows]
  Scalar* bound;    // [rows] only what exceeds it, or NaN, is a candidate; null for lists that are final

  /// The candidates from a row on.
  [[nodiscard]] Candidates from(Index row) const {
    return {values + row * stride, columns + row * stride, stride, count + row,
            bound != nullptr ? bound + row : nullptr};
  }
};

template <class Scalar>
struct LogSumExp {
  Scalar maximum, sum;  // sum of exp(value - maximum)
};

/// Softmax times V of some rows over some keys: sum of exp(score - maximum), and that times the rows of V.
template <class Scalar>
struct SoftmaxState {
  Scalar* out;  // [rows][stride]
  Index stride;
  Scalar* maximum;  // [rows] the largest score
  Scalar* sum;      // [rows][lanes] one sum for each lane

  /// The rows from one on.
  [[nodiscard]] SoftmaxState from(Index row, Index lanes) const {
    return {out + row * stride, stride, maximum + row, sum + row * lanes};
  }
};

/// Rows that stand `stride` apart.
template <class Scalar>
struct StridedRows {
  Scalar* data;
  Index stride;
};

/// StridedGroups of rows, `stride` apart; the rows of one stand side by side, and their features `step` apart.
template <class Scalar>
struct StridedGroups {
  const Scalar* data;
  Index stride, step;
};

/// ColumnVec [begin, end) of a tile.
struct Segment {
  Index begin, end;
};

struct CompressOrder {
  unsigned char eight[256][8];  // the set bits of the index, ascending
  unsigned char pairs[16][8];   // the same for lanes of two words
};

constexpr CompressOrder make_compress_order() {
  CompressOrder t{};
  for (unsigned mask = 0; mask < 256; ++mask) {
    int count = 0;
    for (unsigned bit = 0; bit < 8; ++bit)
      if ((mask >> bit & 1U) != 0) t.eight[mask][count++] = static_cast<unsigned char>(bit);
  }
  for (unsigned mask = 0; mask < 16; ++mask)
    for (int i = 0; i < 4; ++i) {
      t.pairs[mask][2 * i] = static_cast<unsigned char>(2 * t.eight[mask][i]);
      t.pairs[mask][2 * i + 1] = static_cast<unsigned char>(2 * t.eight[mask][i] + 1);
    }
  return t;
}

inline constexpr CompressOrder compress_order = make_compress_order();

}  // namespace filigree::kernel
