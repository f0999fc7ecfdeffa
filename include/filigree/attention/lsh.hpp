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
#include "filigree/pattern/patterns_of.hpp"
#include "filigree/run/routed.hpp"

namespace filigree {

/// A score map that adds log c to the score of a key that matches a query c times, so that softmax counts it c times.
class HashedCounts {
 public:
  using Category = ScoreMap;

  explicit HashedCounts(std::shared_ptr<const detail::HashedTokens> tokens) : tokens_(std::move(tokens)) {}

  template <Real S>
  S map(S score, Index p, Index j, const Grid& grid) const {
    const Index count = tokens_->count(grid.row(p), grid.column(j));
    return count > 1 ? score + static_cast<S>(std::log(static_cast<double>(count))) : score;
  }
  static constexpr bool derivative_is_one = true;
  template <Real S>
  S derivative(S, S) const {
    return 1;
  }

 private:
  std::shared_ptr<const detail::HashedTokens> tokens_;
};

/// The selection made by lsh: a pattern that keeps the matching keys of each query, for scores of the same shape.
class HashedKeys {
 public:
  using Category = Pattern;
  using CountRepeats = HashedCounts;
  static constexpr bool keeps_is_expensive = true, ranges_are_exact = true;

  explicit HashedKeys(std::shared_ptr<const detail::HashedTokens> tokens) : tokens_(std::move(tokens)) {}

  /// Returns the bucket of each query, n x rounds.
  [[nodiscard]] const IndexMatrix& query_buckets() const { return tokens_->query_buckets; }
  /// Returns the bucket of each key, m x rounds.
  [[nodiscard]] const IndexMatrix& key_buckets() const { return tokens_->key_buckets; }
  /// Returns the number of times that query i matches key c.
  [[nodiscard]] Index count(Index i, Index c) const { return tokens_->count(i, c); }

  bool keeps(Index p, Index j, const Grid& grid) const { return tokens_->count(grid.row(p), grid.column(j)) > 0; }
  void covers(Index p0, Index p1, const Grid& grid, Ranges& out) const {
    const Index mark = out.size();
    for (Index i = std::max<Index>(grid.row(p0), 0); i < (std::min)(grid.row(p1), grid.n); ++i)
      tokens_->for_each_list(i, [&](std::span<const Column> keys) {
        for (const Column c : keys)
          if (!tokens_->excludes(i, c)) out.add(grid.key_at + c, grid.key_at + c + 1);
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

  // The pattern consists of dense parts. In each round, a part is a chunk of queries and its two chunks of keys.
  [[nodiscard]] Index rounds() const { return tokens_->rounds(); }
  [[nodiscard]] Index parts() const { return tokens_->chunks(); }
  [[nodiscard]] Index part_size() const { return 3 * tokens_->chunk(); }
  /// Returns the queries among rows [first, last) and the keys of a part, stored in `memory` of size part_size(). With
  /// `repeats`, a key of both chunks is listed twice.
  detail::Order part(Index round, Index number, Index first, Index last, bool repeats, Column* memory) const {
    const Index g = round * tokens_->chunks() + number, b = tokens_->before(g);
    const auto queries = tokens_->queries(g), keys = tokens_->keys(g);
    const auto in_range = [&](Column i) { return i >= first && i < last; };
    Column* end = std::copy_if(queries.begin(), queries.end(), memory, in_range);
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
  /// Returns the pattern of one round over the queries and keys of a part.
  [[nodiscard]] detail::RoundPattern round_pattern(Index round, std::span<const Column> queries,
                                                   std::span<const Column> keys, bool repeats) const {
    return {tokens_.get(), round, queries, keys, repeats};
  }

 private:
  std::shared_ptr<const detail::HashedTokens> tokens_;
};

/// The router of lsh.
template <bool counts = true, bool one_list = false>
struct Lsh {
  using Category = Router;
  using Rotations = detail::Dependent<Eigen::MatrixXd, std::bool_constant<counts>>;
  Index rounds, buckets, chunk;
  std::uint64_t seed;
  std::shared_ptr<const Rotations> rotations = nullptr;

  /// Returns a router that counts a key once, even if it matches several times.
  [[nodiscard]] Lsh<false, one_list> distinct() const { return {rounds, buckets, chunk, seed, rotations}; }
  /// Returns a router for shared queries and keys: keys are the normalized queries (pass keys of unit norm to
  /// scores(Q, K)). The buckets of the queries are used for both. A token attends to itself only if the preceding
  /// patterns allow no other matching key.
  [[nodiscard]] Lsh<counts, true> shared() const { return {rounds, buckets, chunk, seed, rotations}; }

  template <class Source, class Before>
  auto bind(const Source& source, const detail::Session& session, const Before& before) const {
    const Grid& grid = source.grid;
    const detail::Hashing<Rotations> hashing{rounds, buckets, rotations != nullptr ? *rotations : drawn(source.d())};
    detail::require(hashing.rotations.rows() == source.d(), "lsh(rounds, buckets, chunk, rotations): rotations has ",
                    hashing.rotations.rows(), " rows and must have d = ", source.d());
    using S = typename Source::Scalar;
    IndexMatrix queries = hashing.template hash<S>(grid.n, session, [&](Index i, S* x) { source.queries.copy(i, x); });
    IndexMatrix keys =
        one_list ? queries : hashing.template hash<S>(grid.m, session, [&](Index j, S* x) { source.keys.copy(j, x); });
    const auto tokens = std::make_shared<detail::HashedTokens>(buckets, chunk, std::move(queries), std::move(keys));
    if constexpr (one_list)
      tokens->exclude_self(session, [&, patterns = detail::patterns_of(before)](Index i, Index c) {
        return detail::keeps(patterns, grid.query_at + i, grid.key_at + c, grid);
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
  constexpr Index max_columns = Index{1} << 31;  // columns of the rotations
  require(rounds <= max_columns / (buckets / 2),
          "lsh(rounds, buckets, chunk, ...): rounds * buckets / 2 must be at most 2^31, got ", rounds, " * ", buckets,
          " / 2");
  require(chunk >= 1, "lsh(rounds, buckets, chunk, ...): chunk must be at least 1, got ", chunk);
}
}  // namespace detail

/// Keeps keys with hashes similar to the hash of the query, by locality-sensitive hashing (Reformer).
///
/// Each round hashes every token to a bucket, sorts the tokens by bucket (stable) and splits them into chunks. A chunk
/// of queries attends to the same chunk of keys and to the preceding one. The chunks of all rounds form one ring: the
/// first chunk of a round follows the last chunk of the previous round, and the first chunk of all follows the last of
/// all. One softmax covers all rounds. A key that matches c times counts c times, or once with `.distinct()`.
/// `.shared()` is the mode for shared queries and keys.
///
/// Formula    bucket of x = argmax over [x R, −x R]
/// Cost       rounds n d buckets / 2 for hashing, 2 rounds chunk keys for each query; memory O(rounds n) and a copy of
///            the output
/// Edge case  the last chunk of a round may be shorter; NaN hashes to an arbitrary bucket
/// Throws     Error if rounds < 1, buckets is odd or < 2, rounds buckets / 2 > 2^31, or chunk < 1;
///            at evaluation, if the numbers of queries and keys differ
/// Reference  Kitaev et al., arXiv:2001.04451, section 2
inline Lsh<> lsh(Index rounds, Index buckets, Index chunk, std::uint64_t seed) {
  detail::check_lsh(rounds, buckets, chunk);
  return {.rounds = rounds, .buckets = buckets, .chunk = chunk, .seed = seed};
}

/// Hashes with given rotations. The matrices R of all rounds are side by side.
///
/// Shapes     rotations: d x (rounds buckets / 2)
/// Throws     Error if the number of columns is wrong; at evaluation, if the number of rows is wrong
template <DenseExpression Rotations>
  requires(std::floating_point<typename Rotations::Scalar>)
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
