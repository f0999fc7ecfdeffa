// SPDX-License-Identifier: MIT
#pragma once

#include <algorithm>
#include <cstddef>
#include <span>
#include <utility>

#include "filigree/attention/sampled_measure.hpp"
#include "filigree/core/list.hpp"
#include "filigree/engine/panels.hpp"
#include "filigree/pipe/stage.hpp"
#include "filigree/pipe/workspace.hpp"

// Buckets of tokens, and whom a token meets by them.

namespace filigree::detail {

/// Tokens in the order of their buckets, round after round, cut into chunks. A chunk of queries meets the chunk of keys
/// of the same number and the one before it, in one circle of all rounds.
class HashedTokens {
 public:
  /// `buckets` of them, which stand as n x rounds.
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
  /// How many a round has. Chunk c of round h has number h chunks() + c.
  [[nodiscard]] Index chunks() const { return (n() + chunk_ - 1) / chunk_; }
  /// The tokens of chunk g, ascending.
  [[nodiscard]] std::span<const Column> queries(Index g) const { return chunk_in(queries_, g); }
  [[nodiscard]] std::span<const Column> keys(Index g) const { return chunk_in(keys_, g); }
  /// The number of the chunk before; its own, if there is no other.
  [[nodiscard]] Index before(Index g) const { return g > 0 ? g - 1 : rounds() * chunks() - 1; }

  /// How often query i meets key c in a round.
  [[nodiscard]] Index times(Index i, Index c, Index round) const {
    const Index g = chunk_of_query_(i, round), b = before(g);
    return (chunk_of_key_(c, round) == g ? 1 : 0) + (b != g && chunk_of_key_(c, b / chunks()) == b ? 1 : 0);
  }
  /// Whether it does in a round before that one.
  [[nodiscard]] bool met_before(Index i, Index c, Index round) const {
    while (round-- > 0)
      if (times(i, c, round) > 0) return true;
    return false;
  }
  /// How often it does in all; 0 for what is no query or no key.
  [[nodiscard]] Index count(Index i, Index c) const {
    Index count = 0;
    if (i < 0 || i >= n() || c < 0 || c >= n()) return count;
    for (Index h = 0; h < rounds() && !leaves_out(i, c); ++h) count += times(i, c, h);
    return count;
  }
  /// Calls f(keys) for each list of keys that query i meets.
  template <class F>
  void for_each_list(Index i, F&& f) const {
    for (Index h = 0; h < rounds(); ++h) {
      const Index g = chunk_of_query_(i, h);
      f(keys(g));
      if (before(g) != g) f(keys(before(g)));
    }
  }

  /// From now on query i leaves out key i where it meets another key of which sees(i, c) is true.
  template <class Sees>
  void leave_out_self(const Session& session, Sees&& sees) {
    leaves_out_self_.assign(n(), char(0));
    constexpr Index batch = 256;
    session.run((n() + batch - 1) / batch, [&](Index task, Index) {
      for (Index i = task * batch; i < (std::min)((task + 1) * batch, n()); ++i) {
        bool others = false;
        for_each_list(i, [&](std::span<const Column> keys) {
          others = others || std::any_of(keys.begin(), keys.end(), [&](Column c) { return c != i && sees(i, c); });
        });
        leaves_out_self_[static_cast<std::size_t>(i)] = others ? 1 : 0;
      }
    });
  }
  /// Whether some query may leave out a key that it meets.
  [[nodiscard]] bool leaves_out_some() const { return !leaves_out_self_.empty(); }
  [[nodiscard]] bool leaves_out(Index i, Index c) const {
    return i == c && leaves_out_some() && leaves_out_self_[i] != 0;
  }

 private:
  [[nodiscard]] std::span<const Column> chunk_in(const List<Column>& order, Index g) const {
    const Index begin = g % chunks() * chunk_, end = (std::min)(begin + chunk_, n());
    return {order.begin() + g / chunks() * n() + begin, static_cast<std::size_t>(end - begin)};
  }

  /// Tokens of each round by bucket and then by number, those of a chunk by number alone.
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
  List<char> leaves_out_self_;                 // [n], or nothing
};

/// What queries and keys, that stand in an order of their own, meet in one round.
struct MetInRound {
  using Category = Pattern;
  const HashedTokens* tokens;
  Index round;
  std::span<const Column> queries, keys;
  bool repeats;  // keys that were met before count again

  bool keeps(Index p, Index j) const {
    const Index i = queries[static_cast<std::size_t>(p)], c = keys[static_cast<std::size_t>(j)];
    return !tokens->leaves_out(i, c) && (repeats || !tokens->met_before(i, c, round));
  }
  void contains(Index, Index, const Grid& grid, Ranges& out) const {
    if (!tokens->leaves_out_some() && (repeats || round == 0)) out.add(grid.key_at, grid.key_end());
  }
};

/// Random rotations, by which tokens are hashed.
template <class Rotations>
struct Hashing {
  Index rounds, buckets;
  Rotations rotations;  // d x (rounds buckets / 2)

  /// n x rounds: argmax over [x R, -x R]; the lowest among equals.
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
    session.run((n + batch - 1) / batch, [&](Index task, Index worker) {
      const Index first = task * batch, count = (std::min)(batch, n - first);
      Rows x = Rows::Zero(batch, d);
      for (Index i = 0; i < count; ++i) copy_row(first + i, x.data() + i * d);
      WorkerScratch& scratch = session.scratch(worker);
      S* packed = scratch.queries.get<S>(batch * d);
      S* products = scratch.tile.get<S>(batch * stride);
      for (Index g = 0; g < groups && d > 0; ++g)
        kernels.pack_group(x.data() + g * kernels.height * d, d, d, packed + g * kernels.height * d);
      for (Index p = 0; p < panels.panels(); ++p)
        kernels.score_panel(packed, groups, d > 0 ? panels.panel(p) : panels.data, d, S(1), products + p * panels.width,
                            stride);
      for (Index i = 0; i < count; ++i)
        for (Index h = 0; h < rounds; ++h)
          result(first + i, h) = largest(Eigen::Map<const Eigen::ArrayX<S>>(products + i * stride + h * half, half));
    });
    return result;
  }

 private:
  /// The first place of the largest number of [x, -x]; of some number where there is NaN.
  template <class X>
  static Index largest(const X& x) {
    const auto most = x.maxCoeff(), least = x.minCoeff();
    const bool negative = -least > most;
    const auto* found = std::find(x.data(), x.data() + x.size(), negative ? least : most);
    return found == x.data() + x.size() ? 0 : found - x.data() + (negative ? x.size() : 0);
  }
};

}  // namespace filigree::detail
