// SPDX-License-Identifier: MIT
#pragma once

#include <algorithm>
#include <cstddef>
#include <span>
#include <utility>

#include "filigree/attention/sampled_measure.hpp"
#include "filigree/core/integers.hpp"
#include "filigree/core/list.hpp"
#include "filigree/engine/panels.hpp"
#include "filigree/engine/queries.hpp"
#include "filigree/run/workspace.hpp"
#include "filigree/stage/stage.hpp"

// Buckets of hashed tokens, and the keys that each query attends to because of them.

namespace filigree::detail {

/// Tokens sorted by bucket in each round and split into chunks. A chunk of queries matches the chunk of keys with the
/// same number and the preceding chunk of keys. The chunks of all rounds form a ring.
class HashedTokens {
 public:
  /// Sorts the tokens. `queries` and `keys` hold bucket indices below `buckets`, n x rounds.
  HashedTokens(Index buckets, Index chunk, IndexMatrix queries, IndexMatrix keys)
      : query_buckets(std::move(queries)),
        key_buckets(std::move(keys)),
        chunk_(std::clamp<Index>(chunk, 1, std::max<Index>(n(), 1))) {
    sort(query_buckets, buckets, queries_, chunk_of_query_);
    sort(key_buckets, buckets, keys_, chunk_of_key_);
  }

  IndexMatrix query_buckets, key_buckets;

  [[nodiscard]] Index n() const { return query_buckets.rows(); }
  [[nodiscard]] Index rounds() const { return query_buckets.cols(); }
  [[nodiscard]] Index chunk() const { return chunk_; }
  /// Returns the number of chunks per round. Chunk c of round h has number h * chunks() + c.
  [[nodiscard]] Index chunks() const { return ceil_div(n(), chunk_); }
  /// Returns the tokens of chunk g in ascending order.
  [[nodiscard]] std::span<const Column> queries(Index g) const { return chunk_in(queries_, g); }
  [[nodiscard]] std::span<const Column> keys(Index g) const { return chunk_in(keys_, g); }
  /// Returns the number of the preceding chunk in the ring. It is g if there is only one chunk.
  [[nodiscard]] Index before(Index g) const { return g > 0 ? g - 1 : rounds() * chunks() - 1; }

  /// Returns the number of times (0 to 2) that query i matches key c in a round.
  [[nodiscard]] Index match_count(Index i, Index c, Index round) const {
    const Index g = chunk_of_query_(i, round), b = before(g);
    return (chunk_of_key_(c, round) == g ? 1 : 0) + (b != g && chunk_of_key_(c, b / chunks()) == b ? 1 : 0);
  }
  /// Returns true if query i matches key c in an earlier round.
  [[nodiscard]] bool matched_before(Index i, Index c, Index round) const {
    while (round-- > 0)
      if (match_count(i, c, round) > 0) return true;
    return false;
  }
  /// Returns the number of times that query i matches key c in all rounds. It is 0 if i or c is out of bounds.
  [[nodiscard]] Index count(Index i, Index c) const {
    Index count = 0;
    if (i < 0 || i >= n() || c < 0 || c >= n()) return count;
    for (Index h = 0; h < rounds() && !excludes(i, c); ++h) count += match_count(i, c, h);
    return count;
  }
  /// Calls f(keys) for each chunk of keys that query i matches.
  template <class F>
  void for_each_list(Index i, F&& f) const {
    for (Index h = 0; h < rounds(); ++h) {
      const Index g = chunk_of_query_(i, h);
      f(keys(g));
      if (before(g) != g) f(keys(before(g)));
    }
  }

  /// Excludes key i for each query i that matches another key c with is_visible(i, c).
  template <class IsVisible>
  void exclude_self(const Session& session, IsVisible&& is_visible) {
    excludes_self_.assign(n(), char(0));
    constexpr Index batch = 256;
    session.run(ceil_div(n(), batch), [&](Index task, Index) {
      for (Index i = task * batch; i < (std::min)((task + 1) * batch, n()); ++i) {
        bool others = false;
        for_each_list(i, [&](std::span<const Column> keys) {
          others =
              others || std::any_of(keys.begin(), keys.end(), [&](Column c) { return c != i && is_visible(i, c); });
        });
        excludes_self_[static_cast<std::size_t>(i)] = others ? 1 : 0;
      }
    });
  }
  /// Returns true if a query may exclude a key that it matches.
  [[nodiscard]] bool may_exclude() const { return !excludes_self_.empty(); }
  /// Returns true if query i excludes key c.
  [[nodiscard]] bool excludes(Index i, Index c) const { return i == c && may_exclude() && excludes_self_[i] != 0; }

 private:
  [[nodiscard]] std::span<const Column> chunk_in(const List<Column>& order, Index g) const {
    const Index begin = g % chunks() * chunk_, end = (std::min)(begin + chunk_, n());
    return {order.begin() + g / chunks() * n() + begin, static_cast<std::size_t>(end - begin)};
  }

  /// Sorts the tokens of each round by bucket and then by index, splits them into chunks and sorts each chunk by index.
  void sort(const IndexMatrix& bucket, Index buckets, List<Column>& order, IndexMatrix& chunk_of) const {
    order.resize(rounds() * n());
    chunk_of.resize(n(), rounds());
    List<Index> next(buckets + 1);
    for (Index h = 0; h < rounds(); ++h) {
      Column* const round = order.data() + h * n();
      std::fill(next.begin(), next.end(), Index(0));
      for (Index i = 0; i < n(); ++i) ++next[bucket(i, h) + 1];
      for (Index b = 1; b < next.size(); ++b) next[b] += next[b - 1];
      for (Index i = 0; i < n(); ++i) {
        const Index at = next[bucket(i, h)]++;
        round[at] = static_cast<Column>(i);
        chunk_of(i, h) = h * chunks() + at / chunk_;
      }
      for (Index begin = 0; begin < n(); begin += chunk_)
        std::sort(round + begin, round + (std::min)(begin + chunk_, n()));
    }
  }

  Index chunk_;
  List<Column> queries_, keys_;                // [rounds][n]
  IndexMatrix chunk_of_query_, chunk_of_key_;  // n x rounds
  List<char> excludes_self_;                   // [n], or empty
};

/// A pattern over reordered queries and keys: keeps the pairs that match in one round.
struct RoundPattern {
  using Category = Pattern;
  const HashedTokens* tokens;
  Index round;
  std::span<const Column> queries, keys;
  bool repeats;  // true if keys that matched in an earlier round are kept again

  bool keeps(Index p, Index j) const {
    const Index i = queries[static_cast<std::size_t>(p)], c = keys[static_cast<std::size_t>(j)];
    return !tokens->excludes(i, c) && (repeats || !tokens->matched_before(i, c, round));
  }
  void contains(Index, Index, const Grid& grid, Ranges& out) const {
    if (!tokens->may_exclude() && (repeats || round == 0)) out.add(grid.key_at, grid.key_end());
  }
};

/// A hash of tokens by random rotations.
template <class Rotations>
struct Hashing {
  Index rounds, buckets;
  Rotations rotations;  // d x (rounds buckets / 2)

  /// Returns the buckets, n x rounds: argmax over [x R, -x R]. Ties go to the lowest index.
  template <Real S, class CopyRow>
  IndexMatrix hash(Index n, const Session& session, CopyRow&& copy_row) const {
    using Rows = Eigen::Matrix<S, Eigen::Dynamic, Eigen::Dynamic, Eigen::RowMajor>;
    const auto& kernels = kernel::kernels<S>();
    const Rows rows = rotations.transpose().template cast<S>();
    Buffer memory;
    const PackedPanels<S> panels = pack_panels<S>(reader_of(rows), memory, session);
    const Index d = rows.cols(), half = buckets / 2, stride = panels.panels() * panels.width;
    constexpr Index groups = 8;
    const Index batch = groups * kernels.height;
    IndexMatrix result(n, rounds);
    session.run(ceil_div(n, batch), [&](Index task, Index worker) {
      const Index first = task * batch, count = (std::min)(batch, n - first);
      WorkerScratch& scratch = session.scratch(worker);
      ScratchFrame frame(scratch);
      S* packed = frame.take<S>(batch * d);
      S* products = frame.take<S>(batch * stride);
      pack_groups(count, d, packed, scratch, [&](Index i, S* to) { copy_row(first + i, to); });
      for (Index p = 0; p < panels.panels(); ++p)
        kernels.score_panel(packed, ceil_div(count, kernels.height), panels.panel(p), d, S(1),
                            products + p * panels.width, stride);
      for (Index i = 0; i < count; ++i)
        for (Index h = 0; h < rounds; ++h)
          result(first + i, h) = argmax(Eigen::Map<const Eigen::ArrayX<S>>(products + i * stride + h * half, half));
    });
    return result;
  }

 private:
  /// Returns the first index of the largest element of [x, -x]. With NaN, returns some valid index.
  template <class X>
  static Index argmax(const X& x) {
    const auto max = x.maxCoeff(), min = x.minCoeff();
    const bool negative = -min > max;
    const auto* found = std::find(x.data(), x.data() + x.size(), negative ? min : max);
    return found == x.data() + x.size() ? 0 : found - x.data() + (negative ? x.size() : 0);
  }
};

}  // namespace filigree::detail
