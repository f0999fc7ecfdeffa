// SPDX-License-Identifier: MIT
#pragma once

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <filigree/filigree.hpp>
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
