// SPDX-License-Identifier: MIT
#pragma once

#include <algorithm>
#include <cmath>
#include <filigree/filigree.hpp>
#include <utility>
#include <vector>

#include "data.hpp"
#include "top_k_attention.hpp"

namespace bench {

/// (scores(Q, K) | pattern | softmax()) * V. Its work is 4 d operations for each pair that the pattern keeps.
template <fg::PatternStage Pattern>
class PatternAttention {
 public:
  PatternAttention(const Problem& p, Pattern pattern)
      : p_(p), pattern_(std::move(pattern)), out_(p.q.rows(), p.v.cols()) {
    const fg::Grid grid = this->grid();
    for (Index i = 0; i < grid.n; ++i) pairs_ += static_cast<double>(kept(i).size());
  }

  void run() {
    const auto a = fg::scores(p_.q, p_.k) | pattern_ | fg::softmax();
    static_assert(fg::is_fused<decltype(a)>);
    out_ = a.with(workspace_) * p_.v;
    keep(out_.data());
  }

  /// Returns true if about 60 rows agree with double precision.
  bool is_right() {
    run();
    const double scale = 1 / std::sqrt(static_cast<double>(p_.q.cols()));
    for (Index i = 0; i < p_.q.rows(); i += std::max<Index>(p_.q.rows() / 60, 1)) {
      const auto columns = kept(i);
      Eigen::VectorXd s(static_cast<Index>(columns.size()));
      for (Index e = 0; e < s.size(); ++e)
        s[e] = scale * p_.q.row(i).template cast<double>().dot(
                           p_.k.row(columns[static_cast<std::size_t>(e)]).template cast<double>());
      const Eigen::VectorXd w = (s.array() - s.maxCoeff()).exp();
      Eigen::RowVectorXd sum = Eigen::RowVectorXd::Zero(p_.v.cols()), size = sum;
      for (Index e = 0; e < s.size(); ++e) {
        const Eigen::RowVectorXd v = p_.v.row(columns[static_cast<std::size_t>(e)]).template cast<double>();
        sum += w[e] * v;
        size += w[e] * v.cwiseAbs();
      }
      const Eigen::RowVectorXd error = out_.row(i).template cast<double>() - sum / w.sum();
      if (!(error.cwiseAbs().array() <= 1e-5 * size.array() / w.sum()).all()) return false;
    }
    return true;
  }

  [[nodiscard]] double flop() const { return 2 * pairs_ * static_cast<double>(p_.q.cols() + p_.v.cols()); }

 private:
  [[nodiscard]] fg::Grid grid() const {
    return {.n = p_.q.rows(), .m = p_.k.rows(), .query_at = p_.k.rows() - p_.q.rows(), .key_at = 0};
  }
  [[nodiscard]] std::vector<Index> kept(Index i) const {
    fg::Ranges ranges;
    fg::detail::kept_ranges(pattern_, grid().query_at + i, grid(), ranges);
    std::vector<Index> columns;
    for (const fg::Range& range : ranges)
      for (Index j = range.begin; j < range.end; ++j) columns.push_back(j);
    return columns;
  }

  const Problem& p_;
  Pattern pattern_;
  Matrix out_;
  fg::Workspace workspace_;
  double pairs_ = 0;
};

}  // namespace bench
