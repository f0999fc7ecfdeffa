// SPDX-License-Identifier: MIT
#pragma once

#include <cstddef>
#include <cstdint>
#include <type_traits>

#include "filigree/core/requirements.hpp"

// Types that the kernels of all instruction sets share. Nothing in this file depends on the instruction set.

namespace filigree::kernel {

using Index = std::ptrdiff_t;
using Column = std::int32_t;  // 2^31 keys of one float each would need 8 GiB

/// The signed integer of the size of a scalar.
template <class Scalar>
using BitsOf = std::conditional_t<sizeof(Scalar) == 4, std::int32_t, std::int64_t>;

/// The largest m for which the kernel prunes n:m.
inline constexpr Index max_pruned_group = 64;

/// The number of columns of a matrix that bound_columns reads together: four cache lines of each row.
template <class Scalar>
inline constexpr Index strip = 256 / sizeof(Scalar);

/// The largest number of values whose positions in descending order positions_of() finds.
inline constexpr Index max_sorted = 256;

/// The tile sizes of an instruction set: bytes per vector, vectors per panel of keys, queries per group.
struct LevelSizes {
  int vector_bytes, vectors, queries;
};

/// A number stored in 16 bits: IEEE binary16, or bfloat16, which is the upper half of a float.
struct Half {
  std::uint16_t bits;
};
struct Bfloat {
  std::uint16_t bits;
};

/// How numbers are stored: as the scalar of the computation, or in 16 bits. A form of 8 bits would be one more value
/// here, with the scales of its numbers in StoredNumbers.
enum class Storage : unsigned char { scalar, half, bfloat16 };

template <class Scalar>
struct StoredKernels;

/// Numbers that are stored in 16 bits, if the storage is not `scalar`, and the kernels that read them. So only programs
/// that store numbers in 16 bits compile these kernels.
template <class Scalar>
struct StoredNumbers {
  const std::uint16_t* data = nullptr;
  Storage storage = Storage::scalar;
  const StoredKernels<Scalar>* kernels = nullptr;

  explicit operator bool() const { return storage != Storage::scalar; }
  /// Returns the numbers from number i on.
  [[nodiscard]] StoredNumbers from(Index i) const { return {data + i, storage, kernels}; }
};

/// The candidates of a block of rows: for each row, a list of values with ascending columns.
template <class Scalar>
struct Candidates {
  Scalar* values;   // [rows][stride]
  Column* columns;  // [rows][stride]
  Index stride;     // capacity per row: one panel more than the maximal length of a list
  Column* count;    // [rows]
  Scalar* bound;    // [rows] only values above the bound, or NaN, are candidates; null for final lists

  /// Returns the candidates of the rows from `row` on.
  [[nodiscard]] Candidates from(Index row) const {
    return {values + row * stride, columns + row * stride, stride, count + row,
            bound != nullptr ? bound + row : nullptr};
  }
};

/// The largest number of values in a row of list_top_k().
inline constexpr int max_short_row = 256;

/// A division of values by two bounds: the values strictly between them, and how many others there are.
template <class Scalar>
struct Division {
  Scalar lo, hi;
  Scalar* values;  // [capacity + one vector] the first values between the bounds
  Index capacity;
  Index between = 0;                             // may exceed the capacity
  Index above_hi = 0, from_hi = 0, from_lo = 0;  // values > hi, >= hi, >= lo; NaN ranks highest
  Index present = 0;                             // values above -inf
};

/// The k-th largest of some values, and whether the next one may be equal to it.
template <class Scalar>
struct OrderStatistic {
  Scalar value;
  bool may_repeat;
};

/// The maximum and the scaled sum from which a logsumexp is computed.
template <class Scalar>
struct LogSumExp {
  Scalar maximum, sum;  // sum of exp(value - maximum)
};

/// Softmax times V of rows over a subset of the keys: the sums of w and of w V, with w = exp(score - maximum).
template <class Scalar>
struct SoftmaxState {
  Scalar* out;  // [rows][stride]
  Index stride;
  Scalar* maximum;  // [rows] the largest score
  Scalar* sum;      // [rows][lanes] one sum per lane

  /// Returns the state of the rows from `row` on.
  [[nodiscard]] SoftmaxState from(Index row, Index lanes) const {
    return {out + row * stride, stride, maximum + row, sum + row * lanes};
  }
};

/// What the backward pass of softmax needs of each row: a weight is exp(score - maximum) * inverse, and `mean` is the
/// sum of weights times their gradients.
template <class Scalar>
struct SoftmaxRows {
  const Scalar *maximum, *inverse, *mean;

  /// Returns the same for the rows from `row` on.
  [[nodiscard]] SoftmaxRows from(Index row) const { return {maximum + row, inverse + row, mean + row}; }
};

/// Rows whose starts are `stride` numbers apart.
template <class Scalar>
struct StridedRows {
  Scalar* data;
  Index stride;
};

/// Groups of rows, `stride` numbers apart. Within a group, the rows are contiguous and the features `step` apart.
template <class Scalar>
struct StridedGroups {
  const Scalar* data;
  Index stride, step;
};

/// The random numbers of a row: random_bits(seed, position of the row, position of the column), compared with a limit.
struct RandomRow {
  std::uint64_t seed;
  std::uint64_t counter;  // the position of the row, with its sign bit flipped
  std::uint64_t first;    // the position of column 0
  std::uint32_t high;     // the upper half of the positions of all columns
  std::uint64_t limit;    // columns whose bits are at least this are kept
};

/// Bounds on a number of a list whose sum with all larger ones reaches a target.
template <class Scalar>
struct SumBounds {
  Scalar low, high;  // low < number <= high
  Scalar above;      // the sum of the numbers above `high`
};

/// The columns [begin, end) of a tile.
struct Segment {
  Index begin, end;
};

/// Softmax times V of at most one query per lane. Query i attends to the keys [begin[i], end[i]), all of which are in
/// [first, last) and in one chunk of keys.
template <class Scalar>
struct NarrowAttention {
  StridedRows<const Scalar> q, k, v;
  Index count, d, dv;         // dv is a multiple of lanes
  Scalar scale, sink;         // of the scores; of softmax
  const Column *begin, *end;  // [lanes] begin >= end if there are no keys
  Column first, last;
  Scalar* memory;           // of size(d, last - first, lanes) numbers
  StridedRows<Scalar> out;  // [count][dv]
  Scalar *maximum, *sum;    // [lanes] see LogSumExp
  Scalar* lane_sums;        // null, or [lanes][lanes]: then the result is a SoftmaxState whose `sum` this is

  /// Returns the size of the memory for a number of keys.
  static Index size(Index d, Index keys, Index lanes) { return (d + keys) * lanes; }
};

/// The sums of x[i] y[i] and of x[i] x[i].
struct ProductSums {
  double products, squares;
};

/// The numbers of a step of sgd.
template <class Scalar>
struct SgdStep {
  Scalar size, momentum;
  bool nesterov;
};

/// The numbers of a step of adam.
template <class Scalar>
struct AdamStep {
  Scalar size, beta1, beta2, rest1, rest2;  // rest: 1 - beta, rounded once
  Scalar root, epsilon;                     // the square root of a moment is divided by `root`
  Scalar shrink;                            // factor of the values before the step
};

/// For each mask, the order in which a permutation moves the selected lanes to the front.
struct CompressOrder {
  unsigned char eight[256][8];  // positions of the set bits of the index, ascending
  unsigned char pairs[16][8];   // the same for lanes of two 32-bit words
  unsigned char quads[16][16];  // the same for lanes of four bytes
};

constexpr CompressOrder make_compress_order() {
  CompressOrder t{};
  for (unsigned mask = 0; mask < 256; ++mask) {
    int count = 0;
    for (unsigned bit = 0; bit < 8; ++bit)
      if ((mask >> bit & 1U) != 0) t.eight[mask][count++] = static_cast<unsigned char>(bit);
  }
  for (unsigned mask = 0; mask < 16; ++mask) {
    for (int i = 0; i < 8; ++i) t.pairs[mask][i] = static_cast<unsigned char>(2 * t.eight[mask][i / 2] + i % 2);
    for (int i = 0; i < 16; ++i) t.quads[mask][i] = static_cast<unsigned char>(4 * t.eight[mask][i / 4] + i % 4);
  }
  return t;
}

inline constexpr CompressOrder compress_order = make_compress_order();

}  // namespace filigree::kernel
