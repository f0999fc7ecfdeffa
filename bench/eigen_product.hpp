// SPDX-License-Identifier: MIT
#pragma once

#include <Eigen/Core>
#include <algorithm>
#include <chrono>
#include <cstddef>
#include <string>
#include <vector>

#include "data.hpp"

namespace bench {

/// Q K^T by Eigen's own product. Tiles are written to one reused buffer, with the fastest of four tile shapes.
class EigenScoreProduct {
 public:
  struct Shape {
    Index rows, cols;
  };

  EigenScoreProduct(const Matrix& q, const Matrix& k) : q_(q), k_(k) {
    using Clock = std::chrono::steady_clock;
    Clock::duration best = Clock::duration::max();
    for (const Shape shape : {Shape{64, 64}, {128, 256}, {256, 512}, {512, 1024}}) {
      buffer_.resize(std::max(buffer_.size(), static_cast<std::size_t>(shape.rows * shape.cols)));
      for (int i = 0; i < 3; ++i) {
        const auto start = Clock::now();
        run(shape, [](const auto& tile, Index, Index) { keep(tile.data()); });
        if (const auto took = Clock::now() - start; took < best) {
          best = took;
          shape_ = shape;
        }
      }
    }
  }

  [[nodiscard]] std::string label() const {
    return std::to_string(shape_.rows) + "x" + std::to_string(shape_.cols) + " tiles";
  }

  [[nodiscard]] double flop() const {
    return 2.0 * static_cast<double>(q_.rows()) * static_cast<double>(k_.rows()) * static_cast<double>(q_.cols());
  }

  void run() {
    run(shape_, [](const auto& tile, Index, Index) { keep(tile.data()); });
  }

  /// Returns true if the scores of every 67th query are right.
  [[nodiscard]] bool is_right() {
    bool good = true;
    run(shape_, [&](const auto& tile, Index i, Index j) {
      for (Index r = (67 - i % 67) % 67; r < tile.rows(); r += 67)
        for (Index c = 0; c < tile.cols(); ++c) {
          const Eigen::RowVectorXd terms =
              q_.row(i + r).template cast<double>().cwiseProduct(k_.row(j + c).template cast<double>());
          good = good && is_dot_product(tile(r, c), terms.sum(), terms.cwiseAbs().sum(), q_.cols());
        }
    });
    return good;
  }

 private:
  template <class Visit>
  void run(Shape shape, Visit&& visit) {
    for (Index i = 0; i < q_.rows(); i += shape.rows)
      for (Index j = 0; j < k_.rows(); j += shape.cols) {
        const Index rows = std::min(shape.rows, q_.rows() - i), cols = std::min(shape.cols, k_.rows() - j);
        Eigen::Map<Matrix> tile(buffer_.data(), rows, cols);
        tile.noalias() = q_.middleRows(i, rows) * k_.middleRows(j, cols).transpose();
        visit(tile, i, j);
      }
  }

  const Matrix& q_;
  const Matrix& k_;
  std::vector<float> buffer_;
  Shape shape_{};
};

}  // namespace bench
