// SPDX-License-Identifier: MIT
#pragma once

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <filigree/core/thread_pool.hpp>
#include <filigree/filigree.hpp>
#include <map>
#include <utility>
#include <vector>

#include "data.hpp"
#include "top_k_attention.hpp"

namespace bench {

/// Reads 1 GiB, more than any cache, in order: a lower bound for reading data from memory once.
class MemoryRead {
 public:
  void run() {
    sum_ = 0;
    constexpr std::size_t ahead = 128;  // the fastest distance
    for (std::size_t i = 0; i < memory_.size(); i += 8) {
      __builtin_prefetch(&memory_[(std::min)(i + ahead, memory_.size() - 1)]);
      for (std::size_t j = i; j < i + 8; ++j) sum_ += memory_[j];
    }
    keep(&sum_);
  }
  bool is_right() {
    run();
    return sum_ == memory_.size();
  }
  [[nodiscard]] double bytes() const { return static_cast<double>(memory_.size() * sizeof(std::uint64_t)); }

 private:
  std::vector<std::uint64_t> memory_ = std::vector<std::uint64_t>(std::size_t{1} << 27U, 1);
  std::uint64_t sum_ = 0;
};

/// The rows of K or V, for 8 heads of 128 columns, from row `first` on: at most 4096 rows.
inline Matrix cached_rows(Index m, Index first, bool values) {
  return normal((std::min)(Index{4096}, m - first), 8 * 128, 2 * static_cast<std::uint64_t>(first) + (values ? 1 : 0));
}
/// Returns a cache of m rows. Cases with the same m share it.
template <class T>
const fg::KeyValueCache<T>& shared_cache(Index m) {
  static std::map<Index, fg::KeyValueCache<T>> caches;
  const auto found = caches.find(m);
  if (found != caches.end()) return found->second;
  auto cache = fg::key_value_cache<T>(8, 128, 128, {.capacity = m});
  for (Index first = 0; first < m; first += 4096)
    cache.append(cached_rows(m, first, false), cached_rows(m, first, true));
  return caches.emplace(m, std::move(cache)).first->second;
}

/// What a decoding step attends to: the first keys and those of a window, or all if the window is 0, and of them the k
/// largest scores, or all if k is 0.
struct DecodeKeys {
  Index first = 0, window = 0, k = 0;
};

/// A decoding step: the last n positions of 32 query heads attend to a cache of 8 key heads.
template <class T, class Head>
class DecodeHeads {
 public:
  DecodeHeads(Index m, Index n, const Head& head, const DecodeKeys& keys, Index threads = 1)
      : cache_(shared_cache<T>(m)),
        head_(head),
        keys_(keys),
        q_(normal(n, 32 * 128, 7)),
        out_(n, 32 * 128),
        pool_(threads) {}

  void run() {
    out_ = fg::multi_head(fg::heads{32}, q_, cache_, head_).on(pool_).with(workspace_);
    keep(out_.data());
  }
  bool is_right() {
    run();
    return is_right(0) && is_right(31);
  }
  /// Returns the bytes of K and V that the queries need.
  [[nodiscard]] double bytes() const {
    const Index m = cache_.rows(), keys = keys_.window > 0 ? keys_.first + keys_.window : m;
    const Index rows = keys_.k > 0 ? 8 * keys + 32 * keys_.k : 2 * 8 * keys;
    return static_cast<double>(rows * 128) * sizeof(T);
  }

 private:
  /// Compares the last query of a head with double precision.
  [[nodiscard]] bool is_right(Index head) const {
    const Index m = cache_.rows(), j = head / 4;
    const Eigen::RowVectorXd q =
        q_.bottomRows(1).middleCols(128 * head, 128).template cast<double>() / std::sqrt(128.0);
    const auto stored = [&](Index first, bool values) {
      return cached_rows(m, first, values).middleCols(128 * j, 128).template cast<T>().template cast<double>().eval();
    };
    Eigen::VectorXd scores(m);
    for (Index first = 0; first < m; first += 4096) {
      const Eigen::MatrixXd k = stored(first, false);
      scores.segment(first, k.rows()) = k * q.transpose();
    }
    std::vector<Index> kept;
    for (Index c = 0; c < m; ++c)
      if (keys_.window == 0 || c < keys_.first || c >= m - keys_.window) kept.push_back(c);
    const auto larger = [&](Index a, Index b) { return scores[a] > scores[b]; };
    if (keys_.k > 0) {
      std::nth_element(kept.begin(), kept.begin() + keys_.k, kept.end(), larger);
      kept.resize(static_cast<std::size_t>(keys_.k));
    }
    Eigen::VectorXd weights = Eigen::VectorXd::Zero(m);
    for (const Index c : kept) weights[c] = std::exp(scores[c]);
    weights /= weights.sum();
    Eigen::RowVectorXd expected = Eigen::RowVectorXd::Zero(128);
    for (Index first = 0; first < m; first += 4096) {
      const Eigen::MatrixXd v = stored(first, true);
      expected += weights.segment(first, v.rows()).transpose() * v;
    }
    const auto got = out_.bottomRows(1).middleCols(128 * head, 128).template cast<double>();
    return ((got - expected).array().abs() <= 1e-5).all();
  }

  const fg::KeyValueCache<T>& cache_;
  Head head_;
  DecodeKeys keys_;
  Matrix q_, out_;
  fg::thread_pool pool_;
  fg::Workspace workspace_;
};

/// One query of streaming(first, window) against all keys of a key-value cache, as in text generation. Each run uses
/// another window and another key-value cache, so that keys and values are read from memory.
class Decode {
 public:
  Decode(const Problem& p, Index first, Index window)
      : first_(first), window_(window), q_(p.q.row(0)), caches_(32, Cache{p.k, p.v}), out_(1, p.v.cols()) {}

  void run() {
    const Cache& cache = caches_[next_ % caches_.size()];
    const Index windows = cache.k.rows() / window_ - 1;
    position_ = cache.k.rows() - 1 - static_cast<Index>(next_ / caches_.size()) % windows * window_;
    ++next_;
    const auto a = fg::scores(q_, cache.k, {.query_at = position_}) | fg::streaming(first_, window_) | fg::softmax();
    static_assert(fg::is_fused<decltype(a)>);
    out_ = a.with(workspace_) * cache.v;
    keep(out_.data());
  }

  bool is_right() {
    run();
    const Cache& cache = caches_[0];
    const double scale = 1 / std::sqrt(static_cast<double>(q_.cols()));
    double total = 0;
    Eigen::RowVectorXd sum = Eigen::RowVectorXd::Zero(out_.cols());
    for (Index j = 0; j <= position_; ++j) {
      if (j >= first_ && j <= position_ - window_) continue;
      const double w = std::exp(scale * q_.cast<double>().dot(cache.k.row(j).cast<double>()));
      total += w;
      sum += w * cache.v.row(j).cast<double>();
    }
    return ((out_.cast<double>() - sum / total).array().abs() <= 1e-5).all();
  }

  /// Returns the bytes of K and V of the keys that the query attends to.
  [[nodiscard]] double bytes() const {
    return static_cast<double>((first_ + window_) * (q_.cols() + out_.cols())) * sizeof(float);
  }

 private:
  struct Cache {
    Matrix k, v;
  };

  Index first_, window_, position_ = 0;
  Eigen::RowVectorXf q_;
  std::vector<Cache> caches_;
  std::size_t next_ = 0;
  Matrix out_;
  fg::Workspace workspace_;
};

}  // namespace bench
