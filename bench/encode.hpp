// SPDX-License-Identifier: MIT
#pragma once

#include <Eigen/Core>
#include <algorithm>
#include <filigree/filigree.hpp>
#include <tuple>

#include "data.hpp"

namespace bench {

inline double encode_flop(const Matrix& x, const Matrix& w) {
  return 2.0 * static_cast<double>(x.rows()) * static_cast<double>(w.size());
}

/// x W for every 67th sample in double precision, with the sums of the absolute values of the terms.
class ExactProduct {
 public:
  static constexpr Index step = 67;

  ExactProduct(const Matrix& x, const Matrix& w) : depth_(w.rows()) {
    const Eigen::MatrixXd samples = x(Eigen::seq(0, x.rows() - 1, step), Eigen::indexing::all).cast<double>();
    const Eigen::MatrixXd weights = w.cast<double>();
    product_ = samples * weights;
    size_ = samples.cwiseAbs() * weights.cwiseAbs();
  }

  [[nodiscard]] Index rows() const { return product_.rows(); }
  [[nodiscard]] double value(Index r, Index j) const { return product_(r, j); }
  [[nodiscard]] bool is(float got, Index r, Index j) const {
    return is_dot_product(got, product_(r, j), size_(r, j), depth_);
  }

 private:
  Index depth_;
  Eigen::MatrixXd product_, size_;
};

/// The bare product of samples and an encoder's weights, a lower bound for encoding.
class EncodeProduct {
 public:
  EncodeProduct(const Matrix& x, const Matrix& w) : x_(x), w_(w), z_(x.rows(), w.cols()) {}

  [[nodiscard]] double flop() const { return encode_flop(x_, w_); }

  void run() {
    const fg::detail::Session session({{}, &workspace_});
    fg::detail::multiply<float>(fg::detail::view(x_), fg::detail::view(w_), {.data = z_.data(), .stride = z_.cols()},
                                session);
    keep(z_.data());
  }

  [[nodiscard]] bool is_right() {
    run();
    const ExactProduct exact(x_, w_);
    bool good = true;
    for (Index r = 0; r < exact.rows(); ++r)
      for (Index j = 0; j < z_.cols(); ++j) good = good && exact.is(z_(r * ExactProduct::step, j), r, j);
    return good;
  }

 private:
  const Matrix &x_, &w_;
  Matrix z_;
  fg::Workspace workspace_;
};

/// The forward pass of linear(d, m) | top_k(k) in a network. The n x m activations are never materialized.
class EncodeTopK {
 public:
  EncodeTopK(const Matrix& x, const Matrix& w, Index k)
      : x_(x), w_(w), net_(fg::network(fg::linear(w.rows(), w.cols()) | fg::top_k(k))) {
    net_.weights<0>() = w;
  }

  [[nodiscard]] double flop() const { return encode_flop(x_, w_); }

  void run() {
    const fg::detail::Session session({{}, &workspace_});
    pass_.infer(net_, net_.stages(), 0, x_, session);
    keep(codes().values);
  }

  [[nodiscard]] bool is_right() {
    run();
    const ExactProduct exact(x_, w_);
    bool good = true;
    for (Index r = 0; r < exact.rows(); ++r) good = good && is_right(exact, r);
    return good;
  }

 private:
  using Net = fg::Network<float, fg::Linear<float>, fg::TopK>;

  [[nodiscard]] const fg::Lists<float>& codes() { return pass_.output().lists; }

  /// Returns true if k numbers are kept, their values are right, and no larger number is dropped.
  [[nodiscard]] bool is_right(const ExactProduct& exact, Index r) {
    const fg::Lists<float>& lists = codes();
    const Index i = r * ExactProduct::step;
    const float* values = lists.values + i * lists.stride;
    const auto* columns = lists.columns + i * lists.stride;
    const auto* end = columns + lists.counts[i];
    if (lists.counts[i] != net_.stage<1>().k) return false;
    const float least = *std::min_element(values, values + lists.counts[i]);
    for (Index j = 0; j < w_.cols(); ++j) {
      const auto* at = std::lower_bound(columns, end, j);
      const bool kept = at != end && *at == j;
      const bool good =
          kept ? exact.is(values[at - columns], r, j) : exact.value(r, j) < least || exact.is(least, r, j);
      if (!good) return false;
    }
    return true;
  }

  const Matrix &x_, &w_;
  Net net_;
  fg::Workspace workspace_;
  fg::detail::NetworkPass<float, fg::detail::no_boundary, fg::Linear<float>, fg::TopK> pass_;
};

}  // namespace bench
