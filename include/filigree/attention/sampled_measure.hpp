// SPDX-License-Identifier: MIT
#pragma once

#include <algorithm>
#include <bit>
#include <concepts>
#include <cstdint>
#include <limits>
#include <memory>

#include "filigree/core/generator.hpp"
#include "filigree/core/list.hpp"
#include "filigree/run/workspace.hpp"

namespace filigree {

/// A row-major matrix of indices.
using IndexMatrix = Eigen::Matrix<Index, Eigen::Dynamic, Eigen::Dynamic, Eigen::RowMajor>;

namespace detail {

/// The sampled keys of each query: drawn with replacement, or given as a matrix.
struct KeySample {
  Index size;
  std::uint64_t seed;
  std::shared_ptr<const IndexMatrix> given;

  template <std::integral To>
  void row(Index i, const Grid& grid, To* to) const {
    if (given != nullptr) {
      for (Index s = 0; s < size; ++s) to[s] = static_cast<To>((*given)(i, s));
      return;
    }
    Generator generator(seed, static_cast<std::uint64_t>(grid.query_at + i));
    for (Index s = 0; s < size; ++s) to[s] = static_cast<To>(generator.below(grid.m));
  }
};

/// Returns <a, b>, accumulated in 16 partial sums.
template <Real S>
S partial_dot(const S* a, const S* b, Index d) {
  using Lanes = Eigen::Array<S, 16, 1>;
  Lanes sums = Lanes::Zero();
  Index f = 0;
  for (; f + 16 <= d; f += 16) sums += Eigen::Map<const Lanes>(a + f) * Eigen::Map<const Lanes>(b + f);
  S sum = sums.sum();
  for (; f < d; ++f) sum += a[f] * b[f];
  return sum;
}

/// Computes out[i] = max over the sample of <q_i, k> - (sum over the sample, in double) / m, for rows i in
/// [first, last). It is 0 if the sample is empty.
///
/// Sampled keys are at random positions, so each dot product would wait for memory. To avoid this, the pairs are sorted
/// by chunks of keys, and each chunk stays in the L2 cache for all queries. The chunks determine the order of the sums,
/// so their size must not depend on the machine.
template <class Source>
void measure_rows(const Source& source, const KeySample& sample, Index first, Index last, double* out,
                  WorkerScratch& scratch) {
  using S = typename Source::Scalar;
  struct Pair {
    Column key, row;
  };
  const Grid& grid = source.grid;
  const Index rows = last - first, d = source.d(), u = sample.size;
  std::fill(out + first, out + last, 0.0);
  if (u == 0 || rows == 0) return;
  // A power of two, so that chunk_of() is a shift: a division for each pair would take a fifth of the time.
  const Index max_chunk = std::max<Index>(1024 * 1024 / (static_cast<Index>(sizeof(S)) * std::max<Index>(d, 1)), 64);
  const int shift = static_cast<int>(std::bit_width(static_cast<std::uint64_t>(max_chunk))) - 1;
  const Index chunk = Index(1) << shift, chunks = (grid.m + chunk - 1) >> shift;
  const auto chunk_of = [shift](Column key) { return Index{key} >> shift; };

  ScratchFrame frame(scratch);
  Column* sampled = frame.take<Column>(rows * u);
  List<Index> start(chunks + 1);  // the pairs of chunk t begin at start[t]
  S* queries = frame.take<S>(rows * d);
  for (Index r = 0; r < rows; ++r) {
    Column* row = sampled + r * u;
    sample.row(first + r, grid, row);
    for (Index s = 0; s < u; ++s) ++start[chunk_of(row[s]) + 1];
    source.queries.copy(first + r, queries + r * d);
  }
  for (Index t = 1; t < start.size(); ++t) start[t] += start[t - 1];
  List<Index> next(start);
  Pair* pairs = frame.take<Pair>(rows * u);
  for (Index r = 0; r < rows; ++r)
    for (Index s = 0; s < u; ++s) {
      const Column key = sampled[r * u + s];
      pairs[next[chunk_of(key)]++] = {key, static_cast<Column>(r)};
    }

  S* max_dot = frame.take<S>(rows);
  std::fill_n(max_dot, rows, -std::numeric_limits<S>::infinity());
  const kernel::StridedRows<const S> in_place = source.keys.in_place();
  S* copies = in_place.data == nullptr ? frame.take<S>(chunk * d) : nullptr;
  for (Index t = 0; t < chunks; ++t) {
    const Index begin = start[t], end = start[t + 1];
    const S* keys = in_place.data;
    Index stride = in_place.stride;
    if (copies != nullptr) {
      const Index from = t * chunk, to = (std::min)(from + chunk, grid.m);
      for (Index j = from; j < to; ++j) source.keys.copy(j, copies + (j - from) * d);
      keys = copies - from * d;
      stride = d;
    }
    constexpr Index distance = 24, line = static_cast<Index>(Buffer::alignment / sizeof(S));
    for (Index e = begin; e < end; ++e) {
      if (e + distance < end) {
        const S* key = keys + pairs[e + distance].key * stride;
        for (Index f = 0; f < d; f += line) __builtin_prefetch(key + f);
      }
      const Index r = pairs[e].row;
      const S dot = partial_dot(queries + r * d, keys + pairs[e].key * stride, d);
      max_dot[r] = dot > max_dot[r] ? dot : max_dot[r];
      out[first + r] += static_cast<double>(dot);  // propagates NaN
    }
  }
  for (Index r = 0; r < rows; ++r)
    out[first + r] = static_cast<double>(max_dot[r]) - out[first + r] / static_cast<double>(grid.m);
}

}  // namespace detail
}  // namespace filigree
