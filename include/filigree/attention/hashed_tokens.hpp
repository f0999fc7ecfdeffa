// SPDX-License-Identifier: MIT
#pragma once

#include <algorithm>
#include <cstddef>
#include <span>
#include <utility>
#include <vector>

#include "filigree/attention/sampled_measure.hpp"
#include "filigree/pipe/workspace.hpp"

// Buckets of tokens, and whom a token meets by them.

namespace filigree::detail {

/// The keys that each query meets, ascending, and how often.
struct MetKeys {
  std::vector<Index> start{0};  // [n + 1]
  std::vector<Column> columns, times;
  IndexMatrix query_buckets, key_buckets;

  [[nodiscard]] Index n() const { return static_cast<Index>(start.size()) - 1; }
  [[nodiscard]] std::span<const Column> columns_of(Index i) const {
    const auto row = static_cast<std::size_t>(i);
    return std::span(columns).subspan(static_cast<std::size_t>(start[row]),
                                      static_cast<std::size_t>(start[row + 1] - start[row]));
  }
  [[nodiscard]] Index count(Index i, Index c) const {
    const auto row = columns_of(i);
    const auto at = std::lower_bound(row.begin(), row.end(), static_cast<Column>(c));
    if (at == row.end() || *at != c) return 0;
    return times[static_cast<std::size_t>(start[static_cast<std::size_t>(i)] + (at - row.begin()))];
  }
};

struct Hashing {
  Index rounds, buckets, chunk;
  Eigen::MatrixXd rotations;  // d x (rounds buckets / 2)

  /// n x rounds: argmax over [x R, -x R]; the lowest among equals.
  template <Real S, class CopyRow>
  IndexMatrix hash(Index n, const Session& session, CopyRow&& copy_row) const {
    using Rows = Eigen::Matrix<S, Eigen::Dynamic, Eigen::Dynamic, Eigen::RowMajor>;
    constexpr Index batch = 64;  // fixed, so that bits do not depend on threads
    const Rows turned = rotations.template cast<S>();
    const Index half = buckets / 2;
    IndexMatrix result(n, rounds);
    session.run((n + batch - 1) / batch, [&](Index task, Index) {
      const Index first = task * batch, count = (std::min)(batch, n - first);
      Rows x(count, turned.rows()), products(count, turned.cols());
      for (Index i = 0; i < count; ++i) copy_row(first + i, x.data() + i * x.cols());
      products.noalias() = x * turned;
      for (Index i = 0; i < count; ++i)
        for (Index h = 0; h < rounds; ++h) {
          Index best = 0;
          S top = products(i, h * half);
          for (Index b = 1; b < buckets; ++b) {
            const S value = b < half ? products(i, h * half + b) : -products(i, h * half + b - half);
            if (value > top) {
              top = value;
              best = b;
            }
          }
          result(first + i, h) = best;
        }
    });
    return result;
  }

  /// Whom every query meets. `amend(i, columns, times)` may change the list of a query.
  template <class Amend>
  void meet(MetKeys& met, const Session& session, Amend&& amend) const {
    const Index n = met.query_buckets.rows(), chunks = (n + chunk - 1) / chunk;
    const std::vector<Column> queries = sorted(met.query_buckets);
    std::vector<Column> keys = sorted(met.key_buckets);
    const auto chunk_of_keys = [&](Index g) {  // number g of the list of all rounds
      const Index begin = g / chunks * n + g % chunks * chunk, end = (std::min)(begin + chunk, (g / chunks + 1) * n);
      return std::span(keys).subspan(static_cast<std::size_t>(begin), static_cast<std::size_t>(end - begin));
    };
    for (Index g = 0; g < rounds * chunks; ++g) std::sort(chunk_of_keys(g).begin(), chunk_of_keys(g).end());
    std::vector<Column> place(queries.size());  // of query i in round h: at h * n + i
    for (Index h = 0; h < rounds; ++h)
      for (Index at = 0; at < n; ++at)
        place[static_cast<std::size_t>(h * n + queries[static_cast<std::size_t>(h * n + at)])] =
            static_cast<Column>(at);

    struct Lists {
      std::vector<Column> columns, times;
      std::vector<Index> sizes;
    };
    constexpr Index batch = 256;
    std::vector<Lists> parts(static_cast<std::size_t>((n + batch - 1) / batch));
    session.run(static_cast<Index>(parts.size()), [&](Index task, Index) {
      Lists& part = parts[static_cast<std::size_t>(task)];
      std::vector<Column> all, merged, columns, times;
      for (Index i = task * batch; i < (std::min)((task + 1) * batch, n); ++i) {
        all.clear();
        const auto add = [&](std::span<const Column> list) {
          merged.resize(all.size() + list.size());
          std::merge(all.begin(), all.end(), list.begin(), list.end(), merged.begin());
          std::swap(all, merged);
        };
        for (Index h = 0; h < rounds; ++h) {
          const Index g = h * chunks + place[static_cast<std::size_t>(h * n + i)] / chunk;
          const Index before = g > 0 ? g - 1 : rounds * chunks - 1;
          add(chunk_of_keys(g));
          if (before != g) add(chunk_of_keys(before));
        }
        columns.clear();
        times.clear();
        for (const Column c : all) {
          if (!columns.empty() && columns.back() == c) {
            ++times.back();
          } else {
            columns.push_back(c);
            times.push_back(1);
          }
        }
        amend(i, columns, times);
        part.columns.insert(part.columns.end(), columns.begin(), columns.end());
        part.times.insert(part.times.end(), times.begin(), times.end());
        part.sizes.push_back(static_cast<Index>(columns.size()));
      }
    });
    for (Lists& part : parts) {
      for (const Index size : part.sizes) met.start.push_back(met.start.back() + size);
      met.columns.insert(met.columns.end(), part.columns.begin(), part.columns.end());
      met.times.insert(met.times.end(), part.times.begin(), part.times.end());
      part = {};
    }
  }

 private:
  /// Tokens of each round, by bucket and then by number.
  [[nodiscard]] std::vector<Column> sorted(const IndexMatrix& bucket) const {
    const Index n = bucket.rows();
    std::vector<Column> order(static_cast<std::size_t>(rounds * n));
    std::vector<Index> next(static_cast<std::size_t>(buckets) + 1);
    for (Index h = 0; h < rounds; ++h) {
      std::fill(next.begin(), next.end(), Index(0));
      for (Index i = 0; i < n; ++i) ++next[static_cast<std::size_t>(bucket(i, h)) + 1];
      for (std::size_t b = 1; b < next.size(); ++b) next[b] += next[b - 1];
      for (Index i = 0; i < n; ++i)
        order[static_cast<std::size_t>(h * n + next[static_cast<std::size_t>(bucket(i, h))]++)] =
            static_cast<Column>(i);
    }
    return order;
  }
};

}  // namespace filigree::detail
