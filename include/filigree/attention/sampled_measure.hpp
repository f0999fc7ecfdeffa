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
#include "filigree/pipe/workspace.hpp"

namespace filigree {

/// Rows and columns, row by row.
using IndexMatrix = Eigen::Matrix<Index, Eigen::Dynamic, Eigen::Dynamic, Eigen::RowMajor>;

namespace detail {

/// Some keys for each query: a draw with replacement, or a matrix that was given.
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

/// <a, b> in 16 partial sums.
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

/// out[i] = max over the sample of <q_i, k> - (sum over the sample, in double) / m, for rows first <= i < last; 0
/// without a sample.
///
/// A sampled key comes from anywhere. So pairs are sorted by stretches of keys that stay in the second-level cache
/// while all queries meet them: else each would wait for memory. Stretches define the order of the sums, so their size
/// is a constant.
template <class Source>
void measure_rows(const Source& source, const KeySample& sample, Index first, Index last, double* out,
                  WorkerScratch& scratch) {
  using S = typename Source::Scalar;
  struct Pair {
    Column key, row;
  };
  const Grid& grid = source.grid();
  const Index rows = last - first, d = source.d(), u = sample.size;
  std::fill(out + first, out + last, 0.0);
  if (u == 0 || rows == 0) return;
  // A power of two: a division for each pair would take a fifth of the time.
  const Index most = std::max<Index>(1024 * 1024 / (static_cast<Index>(sizeof(S)) * std::max<Index>(d, 1)), 64);
  const int shift = static_cast<int>(std::bit_width(static_cast<std::uint64_t>(most))) - 1;
  const Index stretch = Index(1) << shift, stretches = (grid.m + stretch - 1) >> shift;
  const auto stretch_of = [shift](Column key) { return Index{key} >> shift; };

  Column* drawn = scratch.columns.get<Column>(rows * u);
  List<Index> at(stretches + 1);
  S* queries = scratch.queries.get<S>(rows * d);
  for (Index r = 0; r < rows; ++r) {
    Column* own = drawn + r * u;
    sample.row(first + r, grid, own);
    for (Index s = 0; s < u; ++s) ++at[stretch_of(own[s]) + 1];
    source.copy_query(first + r, queries + r * d);
  }
  for (Index t = 1; t < at.size(); ++t) at[t] += at[t - 1];
  List<Index> next(at);
  Pair* pairs = scratch.gathered_columns.get<Pair>(rows * u);
  for (Index r = 0; r < rows; ++r)
    for (Index s = 0; s < u; ++s) {
      const Column key = drawn[r * u + s];
      pairs[next[stretch_of(key)]++] = {key, static_cast<Column>(r)};
    }

  S* top = scratch.bounds.get<S>(rows);
  std::fill_n(top, rows, -std::numeric_limits<S>::infinity());
  S* copies = source.key_rows() == nullptr ? scratch.gathered.get<S>(stretch * d) : nullptr;
  for (Index t = 0; t < stretches; ++t) {
    const Index begin = at[t], end = at[t + 1];
    const S* keys = source.key_rows();
    Index stride = source.key_stride();
    if (copies != nullptr) {
      const Index from = t * stretch, to = (std::min)(from + stretch, grid.m);
      for (Index j = from; j < to; ++j) source.copy_key(j, copies + (j - from) * d);
      keys = copies - from * d;
      stride = d;
    }
    constexpr Index ahead = 24, line = static_cast<Index>(Buffer::alignment / sizeof(S));
    for (Index e = begin; e < end; ++e) {
      if (e + ahead < end) {
        const S* later = keys + pairs[e + ahead].key * stride;
        for (Index f = 0; f < d; f += line) __builtin_prefetch(later + f);
      }
      const Index r = pairs[e].row;
      const S dot = partial_dot(queries + r * d, keys + pairs[e].key * stride, d);
      top[r] = dot > top[r] ? dot : top[r];
      out[first + r] += static_cast<double>(dot);  // NaN stays in it
    }
  }
  for (Index r = 0; r < rows; ++r)
    out[first + r] = static_cast<double>(top[r]) - out[first + r] / static_cast<double>(grid.m);
}

}  // namespace detail
}  // namespace filigree
