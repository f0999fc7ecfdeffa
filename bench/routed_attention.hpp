// SPDX-License-Identifier: MIT
#pragma once

#include <algorithm>
#include <cmath>
#include <filigree/filigree.hpp>
#include <type_traits>
#include <utility>

#include "data.hpp"
#include "top_k_attention.hpp"

namespace bench {

/// (scores(Q, K) | head) * V, where the head has a router. The time includes routing.
template <class Head>
class RoutedAttention {
 public:
  RoutedAttention(const Problem& p, Head head) : p_(p), head_(std::move(head)), out_(p.q.rows(), p.v.cols()) {}

  void run() {
    const auto a = fg::scores(p_.q, p_.k) | head_;
    static_assert(fg::is_fused<decltype(a)>);
    out_ = a.with(workspace_) * p_.v;
    keep(out_.data());
  }

  /// Returns true if about 60 rows agree with double precision for the keys that route() returns.
  bool is_right() {
    run();
    const auto chosen = fg::route(fg::scores(p_.q, p_.k) | head_);
    constexpr bool causal = std::is_same_v<std::tuple_element_t<0, decltype(head_.stages)>, fg::Causal>;
    const double scale = 1 / std::sqrt(static_cast<double>(p_.q.cols()));
    const fg::Grid grid{.n = p_.q.rows(), .m = p_.k.rows(), .query_at = p_.k.rows() - p_.q.rows(), .key_at = 0};
    for (Index i = 0; i < grid.n; i += std::max<Index>(grid.n / 60, 1)) {
      Eigen::VectorXd s = scale * (p_.k.template cast<double>() * p_.q.row(i).template cast<double>().transpose());
      const Index p = grid.query_at + i;
      for (Index j = 0; j < grid.m; ++j) {
        if constexpr (requires { chosen.is_lazy(i); }) {
          if (chosen.is_lazy(i)) s[j] = 0;
        } else if constexpr (requires { chosen.stages; }) {  // keys may count several times
          s[j] += std::log(static_cast<double>(std::get<0>(chosen.stages).count(i, j)));
        } else {
          if (!chosen.keeps(p, j, grid)) s[j] = -INFINITY;
        }
        if (causal && j > p) s[j] = -INFINITY;
      }
      const Eigen::VectorXd w = (s.array() - s.maxCoeff()).exp();
      const Eigen::MatrixXd v = p_.v.template cast<double>();
      const Eigen::RowVectorXd error = out_.row(i).template cast<double>() - w.transpose() * v / w.sum();
      const Eigen::RowVectorXd size = w.transpose() * v.cwiseAbs() / w.sum();
      if (!(error.cwiseAbs().array() <= 1e-5 * size.array()).all()) return false;
    }
    return true;
  }

 private:
  const Problem& p_;
  Head head_;
  Matrix out_;
  fg::Workspace workspace_;
};

}  // namespace bench
