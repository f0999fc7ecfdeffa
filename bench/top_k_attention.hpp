// SPDX-License-Identifier: MIT
#pragma once

#include <algorithm>
#include <cmath>
#include <filigree/core/thread_pool.hpp>
#include <filigree/filigree.hpp>
#include <numeric>
#include <vector>

#include "data.hpp"

namespace bench {

/// Queries, keys and values of one attention.
struct Problem {
  Matrix q, k, v;
};

/// The order of the keys. All orders except `random` are bad cases for streaming selection.
enum class Order { random, ascending, descending, misleading, equal, constant_rows, near_ties };

inline Problem make_problem(Index n, Index d, Order order) {
  Problem p{normal(n, d, 0), normal(n, d, 1), normal(n, d, 2)};
  const Eigen::RowVectorXf first = p.k.row(0);
  switch (order) {
    case Order::random: break;
    case Order::ascending:  // q > 0 and k_j = (j + 1) / n: each score is a new maximum
      p.q = p.q.cwiseAbs().eval();
      for (Index j = 0; j < n; ++j) p.k.row(j).setConstant(static_cast<float>(j + 1) / static_cast<float>(n));
      break;
    case Order::descending:
      p.q = p.q.cwiseAbs().eval();
      for (Index j = 0; j < n; ++j) p.k.row(j).setConstant(static_cast<float>(n - j) / static_cast<float>(n));
      break;
    case Order::misleading: p.k.topRows(n / 8) *= 2; break;  // a bound guessed from the first keys is too high
    case Order::equal: p.k.setZero(); break;
    case Order::constant_rows: p.k.rowwise() = first; break;
    case Order::near_ties:
      p.k *= 1e-6F;
      p.k.rowwise() += first;
      break;
  }
  return p;
}

/// Returns m keys with n queries. With `own`, the queries are the first n keys, so that each query has a far larger
/// score with itself than with the other keys.
inline Problem make_search(Index n, Index m, Index d, bool own) {
  Problem p{normal(n, d, 0), normal(m, d, 1), normal(m, d, 2)};
  if (own) p.q = p.k.topRows(n);
  return p;
}

/// Returns a score as the library defines it: a chain of multiply-adds over ascending features, times the scale.
inline float defined_score(const float* q, const float* k, Index d) {
  const bool fused = filigree::kernel::kernels<float>().fused();
  float sum = 0;
  for (Index f = 0; f < d; ++f) sum = fused ? std::fma(q[f], k[f], sum) : sum + q[f] * k[f];
  return sum * static_cast<float>(1 / std::sqrt(static_cast<double>(d)));
}

/// Returns true if about 60 rows of `out` are top-k attention. With `exact`, keys are ranked by defined_score(), and
/// ties go to the lowest key. Otherwise, rows whose kept keys may depend on rounding are skipped.
inline bool is_top_k_attention(const Matrix& out, const Problem& p, Index kept, bool causal, bool exact) {
  const Index n = p.q.rows(), m = p.k.rows(), d = p.q.cols();
  const double eps = std::numeric_limits<float>::epsilon();
  std::vector<float> score(static_cast<std::size_t>(m));
  std::vector<std::size_t> order;
  for (Index i = 0; i < n; i += std::max<Index>(n / 60, 1)) {
    const auto keys = static_cast<std::size_t>(causal ? i + m - n + 1 : m);
    const std::size_t k = std::min(static_cast<std::size_t>(kept), keys);
    for (std::size_t j = 0; j < keys; ++j)
      score[j] = defined_score(p.q.row(i).data(), p.k.row(static_cast<Index>(j)).data(), d);
    order.resize(keys);
    std::iota(order.begin(), order.end(), std::size_t{0});
    std::stable_sort(order.begin(), order.end(), [&](std::size_t a, std::size_t b) { return score[a] > score[b]; });
    const double high = score[order[0]];
    if (!exact && k < keys && score[order[k - 1]] - score[order[k]] < 100 * eps * std::abs(high)) continue;

    Eigen::RowVectorXd sum = Eigen::RowVectorXd::Zero(p.v.cols()), size = sum;
    double total = 0;
    for (std::size_t e = 0; e < k; ++e) {
      const double w = std::exp(score[order[e]] - high);
      const Eigen::RowVectorXd row = p.v.row(static_cast<Index>(order[e])).cast<double>();
      total += w;
      sum += w * row;
      size += w * row.cwiseAbs();
    }
    const double bound = (exact ? static_cast<double>(k) + 16 : 200) * eps;
    const Eigen::RowVectorXd error = out.row(i).cast<double>() - sum / total;
    if (!(error.cwiseAbs().array() <= bound * size.array() / total).all()) return false;
  }
  return true;
}

class TopKAttention {
 public:
  struct Options {
    bool causal = false;
    Index threads = 1;
  };

  TopKAttention(const Problem& p, Index k, Options options)
      : p_(p), k_(k), options_(options), out_(p.q.rows(), p.v.cols()), pool_(options.threads) {}

  void run() {
    if (options_.causal)
      assign(fg::scores(p_.q, p_.k) | fg::causal() | fg::top_k(k_) | fg::softmax());
    else
      assign(fg::scores(p_.q, p_.k) | fg::top_k(k_) | fg::softmax());
    keep(out_.data());
  }

  bool is_right() {
    run();
    return is_top_k_attention(out_, p_, k_, options_.causal, true);
  }

  /// Returns the operations of the scores, half of them if causal, and of the weighted sums.
  [[nodiscard]] double flop() const {
    const auto n = static_cast<double>(p_.q.rows()), m = static_cast<double>(p_.k.rows());
    return 2 * n * m * static_cast<double>(p_.q.cols()) * (options_.causal ? 0.5 : 1.0) +
           2 * n * static_cast<double>(k_ * p_.v.cols());
  }

 private:
  template <class A>
  void assign(const A& a) {
    static_assert(fg::is_fused<A>);
    out_ = a.on(pool_).with(workspace_) * p_.v;
  }

  const Problem& p_;
  Index k_;
  Options options_;
  Matrix out_;
  fg::Workspace workspace_;
  fg::thread_pool pool_;
};

/// TopKAttention that owns its problem.
class SearchAttention {
 public:
  SearchAttention(Problem p, Index k) : p_(std::move(p)), attention_(p_, k, {}) {}

  void run() { attention_.run(); }
  bool is_right() { return attention_.is_right(); }
  [[nodiscard]] double flop() const { return attention_.flop(); }

 private:
  Problem p_;
  TopKAttention attention_;
};

/// A plain implementation without the library: all scores by Eigen, nth_element in each row, softmax, sums of rows of
/// V.
class NaiveTopKAttention {
 public:
  NaiveTopKAttention(const Problem& p, Index k)
      : p_(p), k_(k), scores_(p.q.rows(), p.k.rows()), out_(p.q.rows(), p.v.cols()), order_(size(p.k.rows())) {}

  void run() {
    const float scale = 1 / std::sqrt(static_cast<float>(p_.q.cols()));
    scores_.noalias() = p_.q * p_.k.transpose();
    for (Index i = 0; i < scores_.rows(); ++i) {
      const float* s = scores_.row(i).data();
      std::iota(order_.begin(), order_.end(), 0);
      std::nth_element(order_.begin(), order_.begin() + k_ - 1, order_.end(),
                       [s](int a, int b) { return s[a] > s[b]; });
      float high = s[order_[0]], sum = 0;
      for (Index e = 1; e < k_; ++e) high = std::max(high, s[order_[size(e)]]);
      out_.row(i).setZero();
      for (Index e = 0; e < k_; ++e) {
        const int j = order_[size(e)];
        const float w = std::exp(scale * (s[j] - high));
        sum += w;
        out_.row(i) += w * p_.v.row(j);
      }
      out_.row(i) /= sum;
    }
    keep(out_.data());
  }

  bool is_right() {
    run();
    return is_top_k_attention(out_, p_, k_, false, false);
  }

  [[nodiscard]] double flop() const { return TopKAttention(p_, k_, {}).flop(); }

 private:
  static std::size_t size(Index i) { return static_cast<std::size_t>(i); }

  const Problem& p_;
  Index k_;
  Matrix scores_, out_;
  std::vector<int> order_;
};

}  // namespace bench
