// SPDX-License-Identifier: MIT
#pragma once

#include <algorithm>
#include <cstring>
#include <filigree/filigree.hpp>
#include <functional>
#include <vector>

#include "data.hpp"

namespace bench {

/// Selectors on a dense matrix, and a copy of the same matrix as a lower bound.
class DenseCase {
 public:
  enum class Kind { copy, threshold, top_k };

  DenseCase(Kind kind, Index n, Index m, Index k = 0) : kind_(kind), k_(k), x_(normal(n, m, 3)), y_(n, m) {}

  void run() {
    switch (kind_) {
      case Kind::copy: std::memcpy(y_.data(), x_.data(), sizeof(float) * static_cast<std::size_t>(x_.size())); break;
      case Kind::threshold: y_ = (x_ | fg::threshold(0.5)).with(workspace_); break;
      case Kind::top_k: y_ = (x_ | fg::top_k(k_)).with(workspace_); break;
    }
    keep(y_.data());
  }

  bool is_right() {
    run();
    std::vector<float> row;
    for (Index i = 0; i < x_.rows(); ++i) {
      float bound = kind_ == Kind::copy ? -infinity : 0.5F;
      Index ties = 0;  // number of entries equal to the bound that are kept
      if (kind_ == Kind::top_k) {
        row.assign(x_.row(i).begin(), x_.row(i).end());
        std::sort(row.begin(), row.end(), std::greater<>());
        bound = row[static_cast<std::size_t>(k_ - 1)];
        ties = k_ - (std::find(row.begin(), row.end(), bound) - row.begin());
      }
      for (Index j = 0; j < x_.cols(); ++j) {
        const bool is_kept = x_(i, j) > bound || (x_(i, j) == bound && ties-- > 0);
        if (y_(i, j) != (is_kept ? x_(i, j) : 0.0F)) return false;
      }
    }
    return true;
  }

  /// Returns the bytes read and written.
  [[nodiscard]] double bytes() const { return 2.0 * sizeof(float) * static_cast<double>(x_.size()); }

 private:
  static constexpr float infinity = std::numeric_limits<float>::infinity();

  Kind kind_;
  Index k_;
  Matrix x_, y_;
  fg::Workspace workspace_;
};

}  // namespace bench
