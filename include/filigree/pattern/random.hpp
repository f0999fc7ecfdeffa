// SPDX-License-Identifier: MIT
#pragma once

#include <algorithm>
#include <concepts>
#include <cstdint>
#include <type_traits>
#include <utility>
#include <vector>

#include "filigree/core/check.hpp"
#include "filigree/core/generator.hpp"
#include "filigree/pattern/algebra.hpp"
#include "filigree/pattern/keep.hpp"

namespace filigree {

namespace detail {

/// Adds exactly the keys that a pattern keeps for one query.
template <PatternStage P>
void kept_ranges(const P& pattern, Index p, const Grid& grid, Ranges& out) {
  Ranges all;
  contains(pattern, p, p + 1, grid, all);
  const Index mark = out.size();
  covers(pattern, p, p + 1, grid, out);
  const Index end = out.size();
  for (Index i = mark; i < end; ++i) {
    const Range maybe = out.begin()[i];
    Index j = maybe.begin;
    const auto evaluate_until = [&](Index last) {
      for (; j < last; ++j)
        if (keeps(pattern, p, j, grid)) out.add(j, j + 1);
    };
    for (const Range& sure : all.overlapping(maybe.begin, maybe.end)) {
      evaluate_until(sure.begin);
      out.add((std::max)(j, sure.begin), (std::min)(sure.end, maybe.end));
      j = (std::max)(j, sure.end);
    }
    evaluate_until(maybe.end);
  }
  out.drop(mark, end);
  out.normalize(mark, grid);
}

}  // namespace detail

/// A pattern: random keys of each query, drawn from the keys that `excluded` does not keep.
template <PatternStage Excluded = detail::KeepNone>
struct Random {
  using Category = Pattern;
  static constexpr bool keeps_is_expensive = true, ranges_are_exact = true;
  Index r;
  std::uint64_t seed;
  Excluded excluded = {};

  bool keeps(Index p, Index j, const Grid& grid) const {
    Ranges kept;
    covers(p, p + 1, grid, kept);
    return !kept.overlapping(j, j + 1).empty();
  }
  void covers(Index p0, Index p1, const Grid& grid, Ranges& out) const {
    const Index mark = out.size();
    for (Index p = p0; p < p1; ++p) draw(p, grid, out);
    out.normalize(mark, grid);
  }
  void contains(Index p0, Index p1, const Grid& grid, Ranges& out) const {
    if (p1 - p0 == 1) covers(p0, p1, grid, out);
  }
  bool is_scattered(const Grid& grid) const { return r <= grid.m / 4; }
  void check(const Grid& grid) const { detail::check(excluded, grid); }
  bool reads(const AddressRange& target) const { return detail::reads(excluded, target); }

  /// Returns a pattern that draws only from the keys that P does not keep.
  template <PatternStage P>
  [[nodiscard]] Random<std::remove_cvref_t<P>> excluding(P&& pattern) const {
    static_assert(std::is_same_v<Excluded, detail::KeepNone>,
                  "filigree: random(r, seed).excluding(P): excludes one pattern; combine several with ||");
    return {.r = r, .seed = seed, .excluded = std::forward<P>(pattern)};
  }

 private:
  /// Adds the keys drawn for one query. The population is the list of keys that are not excluded, in ascending order.
  void draw(Index p, const Grid& grid, Ranges& out) const {
    Ranges allowed;
    detail::kept_ranges(excluded, p, grid, allowed);
    allowed.complement(0, grid);
    Index population = 0;
    for (const Range& range : allowed) population += range.end - range.begin;
    std::vector<Index> drawn(static_cast<std::size_t>((std::min)(r, population)));
    Generator(seed, static_cast<std::uint64_t>(p)).sample_without_replacement(population, drawn);
    Index before = 0;
    auto next = drawn.begin();
    for (const Range& range : allowed) {
      for (; next != drawn.end() && *next - before < range.end - range.begin; ++next)
        out.add(range.begin + (*next - before), range.begin + (*next - before) + 1);
      before += range.end - range.begin;
    }
  }
};

/// A pattern: given key indices for each query.
struct RandomIndices {
  using Category = Pattern;
  static constexpr bool ranges_are_exact = true;
  Eigen::Matrix<Index, Eigen::Dynamic, Eigen::Dynamic, Eigen::RowMajor> indices;

  bool keeps(Index p, Index j, const Grid& grid) const {
    const Index i = grid.row(p);
    if (i < 0 || i >= indices.rows()) return false;
    const Index* const drawn = indices.data() + i * indices.cols();
    return std::find(drawn, drawn + indices.cols(), grid.column(j)) != drawn + indices.cols();
  }
  void covers(Index p0, Index p1, const Grid& grid, Ranges& out) const {
    const Index first = std::max<Index>(grid.row(p0), 0), last = (std::min)(grid.row(p1), indices.rows());
    for (Index i = first; i < last; ++i)
      for (Index e = 0; e < indices.cols(); ++e)
        if (indices(i, e) >= 0) out.add(grid.key_at + indices(i, e), grid.key_at + indices(i, e) + 1);
  }
  void contains(Index p0, Index p1, const Grid& grid, Ranges& out) const {
    if (p1 - p0 == 1) covers(p0, p1, grid, out);
  }
  bool is_scattered(const Grid& grid) const { return indices.cols() <= grid.m / 4; }
  void check(const Grid& grid) const {
    detail::require(indices.rows() == grid.n, "random(indices): indices has ", indices.rows(),
                    " rows and must have one for each query (inside blocks(b, P): each block of queries), ", grid.n);
    const Index largest = indices.size() > 0 ? indices.maxCoeff() : -1;
    detail::require(largest < grid.m, "random(indices): an index must be below ", grid.m, ", the number of keys, got ",
                    largest);
  }
};

/// Keeps r random keys for each query, drawn without replacement, or all keys if there are fewer.
///
/// The draw depends only on the seed, the position of the query and the number of keys. It is the same on every
/// platform. `.excluding(P)` draws from the keys that P does not keep. Inside blocks(b, P), it draws blocks.
/// Cost       O(r log r) for each query, plus the cost of the excluded pattern
/// Throws     Error if r is negative
/// Reference  Zaheer et al., arXiv:2007.14062, section 2
inline Random<> random(Index r, std::uint64_t seed) {
  detail::require(r >= 0, "random(r, seed): r must be at least 0, got ", r);
  return {.r = r, .seed = seed};
}

/// Keeps given keys: row i contains the key indices that query i attends to. -1 means no key.
///
/// Shapes     indices: n x r integers
/// Throws     Error if an index is below -1; at evaluation, if indices.rows() != n or an index is >= m
template <DenseExpression Indices>
  requires(std::integral<typename Indices::Scalar>)
RandomIndices random(const Indices& indices) {
  RandomIndices result{.indices = indices.template cast<Index>()};
  const Index least = result.indices.size() > 0 ? result.indices.minCoeff() : 0;
  detail::require(least >= -1, "random(indices): an index must be at least -1, got ", least);
  return result;
}

}  // namespace filigree
