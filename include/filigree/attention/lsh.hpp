// SPDX-License-Identifier: MIT
#pragma once

#include <algorithm>
#include <cmath>
#include <concepts>
#include <cstdint>
#include <memory>
#include <span>
#include <tuple>
#include <type_traits>
#include <utility>

#include "filigree/attention/hashed_tokens.hpp"
#include "filigree/core/check.hpp"
#include "filigree/core/generator.hpp"
#include "filigree/engine/reordered.hpp"
#include "filigree/pattern/all_of.hpp"
#include "filigree/pipe/routed.hpp"

namespace filigree {

/// What rounds of hashing add up to: a key that a query meets c times counts c times, + log c.
class HashedCounts {
 public:
  using Category = ScoreMap;

  explicit HashedCounts(std::shared_ptr<const detail::HashedTokens> tokens) : tokens_(std::move(tokens)) {}

  template <Real S>
  S map(S score, Index p, Index j, const Grid& grid) const {
    const Index count = tokens_->count(grid.row(p), grid.column(j));
    return count > 1 ? score + static_cast<S>(std::log(static_cast<double>(count))) : score;
  }

 private:
  std::shared_ptr<const detail::HashedTokens> tokens_;
};

/// What lsh chose: a pattern that keeps the keys that a query meets, for scores of the same shape.
class HashedKeys {
 public:
  using Category = Pattern;
  using Repeated = HashedCounts;
  static constexpr bool keeps_is_expensive = true, ranges_are_exact = true;

  explicit HashedKeys(std::shared_ptr<const detail::HashedTokens> tokens) : tokens_(std::move(tokens)) {}

  /// Returns the bucket of each query, n x rounds.
  [[nodiscard]] const IndexMatrix& query_buckets() const { return tokens_->query_buckets; }
  /// Returns the bucket of each key, m x rounds.
  [[nodiscard]] const IndexMatrix& key_buckets() const { return tokens_->key_buckets; }
  /// Returns how often row i finds column c; 0: never.
  [[nodiscard]] Index count(Index i, Index c) const { return tokens_->count(i, c); }

  bool keeps(Index p, Index j, const Grid& grid) const { return tokens_->count(grid.row(p), grid.column(j)) > 0; }
  void covers(Index p0, Index p1, const Grid& grid, Ranges& out) const {
    const Index mark = out.size();
    for (Index i = std::max<Index>(grid.row(p0), 0); i < (std::min)(grid.row(p1), grid.n); ++i)
      tokens_->for_each_list(i, [&](std::span<const Column> keys) {
        for (const Column c : keys)
          if (!tokens_->leaves_out(i, c)) out.add(grid.key_at + c, grid.key_at + c + 1);
      });
    out.normalize(mark, grid);
  }
  void contains(Index p0, Index p1, const Grid& grid, Ranges& out) const {
    if (p1 - p0 == 1) covers(p0, p1, grid, out);
  }
  bool is_scattered(const Grid& grid) const { return tokens_->rounds() * tokens_->chunk() * 8 < grid.m; }
  void check(const Grid& grid) const {
    detail::require(grid.n == tokens_->n() && grid.m == tokens_->n(), "route(A): its keys were chosen for ",
                    tokens_->n(), "x", tokens_->n(), " scores, these are ", grid.n, "x", grid.m);
  }

  // The dense parts that the pattern is made of: in each round, chunks of queries against two chunks of keys.
  [[nodiscard]] Index rounds() const { return tokens_->rounds(); }
  [[nodiscard]] Index parts() const { return tokens_->chunks(); }
  [[nodiscard]] Index part_size() const { return 3 * tokens_->chunk(); }
  /// The queries among rows [first, last) and the keys of a part, in memory for part_size(). A key that stands in both
  /// chunks stands twice where it counts twice.
  detail::Order part(Index round, Index number, Index first, Index last, bool repeats, Column* memory) const {
    const Index g = round * tokens_->chunks() + number, b = tokens_->before(g);
    const auto own = tokens_->queries(g), keys = tokens_->keys(g);
    Column* end = std::copy_if(own.begin(), own.end(), memory, [&](Column i) { return i >= first && i < last; });
    Column* begin = std::exchange(memory, end);
    if (b == g) {
      end = std::copy(keys.begin(), keys.end(), end);
    } else {
      const auto more = tokens_->keys(b);
      end = std::merge(keys.begin(), keys.end(), more.begin(), more.end(), end);
      if (!repeats) end = std::unique(memory, end);
    }
    return {{begin, memory}, {memory, end}};
  }
  [[nodiscard]] detail::MetInRound met(Index round, std::span<const Column> queries, std::span<const Column> keys,
                                       bool repeats) const {
    return {tokens_.get(), round, queries, keys, repeats};
  }

 private:
  std::shared_ptr<const detail::HashedTokens> tokens_;
};

/// What lsh(rounds, buckets, chunk, seed) returns.
template <bool counts = true, bool one_list = false>
struct Lsh {
  using Category = Router;
  using Rotations = detail::Later<Eigen::MatrixXd, std::bool_constant<counts>>;
  Index rounds, buckets, chunk;
  std::uint64_t seed;
  std::shared_ptr<const Rotations> rotations = nullptr;

  /// Counts a key that is found in several rounds once.
  [[nodiscard]] Lsh<false, one_list> distinct() const { return {rounds, buckets, chunk, seed, rotations}; }
  /// Takes queries and keys for the same tokens, up to the length of keys (give scores(Q, K) keys of unit norm). The
  /// buckets of the queries serve both, and a token attends to itself only if the patterns before this stage leave it
  /// nothing else.
  [[nodiscard]] Lsh<counts, true> shared() const { return {rounds, buckets, chunk, seed, rotations}; }

  template <class Source, class Before>
  auto bind(const Source& source, const detail::Session& session, const Before& before) const {
    const Grid& grid = source.grid();
    const detail::Hashing<Rotations> hashing{rounds, buckets, rotations != nullptr ? *rotations : drawn(source.d())};
    detail::require(hashing.rotations.rows() == source.d(), "lsh(rounds, buckets, chunk, rotations): rotations has ",
                    hashing.rotations.rows(), " rows and must have d = ", source.d());
    using S = typename Source::Scalar;
    IndexMatrix queries = hashing.template hash<S>(grid.n, session, [&](Index i, S* x) { source.copy_query(i, x); });
    IndexMatrix keys =
        one_list ? queries : hashing.template hash<S>(grid.m, session, [&](Index j, S* x) { source.copy_key(j, x); });
    const auto tokens = std::make_shared<detail::HashedTokens>(buckets, chunk, std::move(queries), std::move(keys));
    if constexpr (one_list)
      tokens->leave_out_self(session, [&, seen = detail::patterns_of(before)](Index i, Index c) {
        return seen.keeps(grid.query_at + i, grid.key_at + c, grid);
      });
    if constexpr (counts)
      return std::tuple(HashedKeys(tokens), HashedCounts(tokens));
    else
      return HashedKeys(tokens);
  }
  void check(const Grid& grid) const {
    detail::require(grid.n == grid.m, "lsh(rounds, buckets, chunk, ...): there must be as many queries as keys, got ",
                    grid.n, " and ", grid.m);
  }

 private:
  [[nodiscard]] Rotations drawn(Index d) const {
    Rotations result(d, rounds * (buckets / 2));
    for (Index h = 0; h < rounds; ++h) {
      Generator generator(seed, static_cast<std::uint64_t>(h));
      fill_normal(result.middleCols(h * (buckets / 2), buckets / 2), generator);
    }
    return result;
  }
};

namespace detail {
inline void check_lsh(Index rounds, Index buckets, Index chunk) {
  require(rounds >= 1, "lsh(rounds, buckets, chunk, ...): rounds must be at least 1, got ", rounds);
  require(buckets >= 2 && buckets % 2 == 0, "lsh(rounds, buckets, chunk, ...): buckets must be even and positive, got ",
          buckets);
  constexpr Index most = Index{1} << 31;  // numbers that a token is multiplied with
  require(rounds <= most / (buckets / 2),
          "lsh(rounds, buckets, chunk, ...): rounds * buckets / 2 must be at most 2^31, got ", rounds, " * ", buckets,
          " / 2");
  require(chunk >= 1, "lsh(rounds, buckets, chunk, ...): chunk must be at least 1, got ", chunk);
}
}  // namespace detail

/// Keeps the keys that hash like the query, by locality-sensitive hashing: Reformer.
///
/// In each round a token's bucket is argmax over [x R, -x R]; tokens sorted by bucket (stable) are cut into chunks. A
/// chunk of queries sees the keys of the same chunk and of the one before it, in one list of all rounds: the first
/// chunk of a round sees the last one of the round before, the very first one the very last. Rounds merge as one
/// softmax in which a key that is met c times counts c times; `.distinct()` counts it once, `.shared()` is the mode of
/// shared queries and keys.
///
/// Formula    bucket of x = argmax over [x R, −x R]
/// Cost       rounds n d buckets / 2 for hashing, 2 rounds chunk keys for each query; O(rounds n) memory, and that of
///            the output once more
/// Edge case  the last chunk of a round may be short; NaN hashes to some bucket
/// Throws     Error if rounds < 1, buckets is odd or < 2, rounds buckets / 2 > 2^31, or chunk < 1;
///            later, if there are not as many queries as keys
/// Reference  Kitaev et al., arXiv:2001.04451, section 2
inline Lsh<> lsh(Index rounds, Index buckets, Index chunk, std::uint64_t seed) {
  detail::check_lsh(rounds, buckets, chunk);
  return {.rounds = rounds, .buckets = buckets, .chunk = chunk, .seed = seed};
}

/// Hashes by given rotations, R of one round next to that of the other.
///
/// Shapes     rotations: d x (rounds buckets / 2)
/// Throws     Error for another number of columns; later, of rows
template <class Rotations>
  requires(std::derived_from<std::remove_cvref_t<Rotations>, Eigen::DenseBase<std::remove_cvref_t<Rotations>>>&&
               std::floating_point<typename std::remove_cvref_t<Rotations>::Scalar>)
Lsh<> lsh(Index rounds, Index buckets, Index chunk, const Rotations& rotations) {
  detail::check_lsh(rounds, buckets, chunk);
  detail::require(rotations.cols() == rounds * (buckets / 2), "lsh(rounds, buckets, chunk, rotations): rotations has ",
                  rotations.cols(), " columns and must have rounds * buckets / 2 = ", rounds * (buckets / 2));
  return {.rounds = rounds,
          .buckets = buckets,
          .chunk = chunk,
          .seed = 0,
          .rotations = std::make_shared<const Eigen::MatrixXd>(rotations.template cast<double>())};
}

}  // namespace filigree
