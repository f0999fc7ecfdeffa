// SPDX-License-Identifier: MIT
#pragma once

#include <algorithm>
#include <cmath>
#include <filigree/filigree.hpp>
#include <type_traits>

#include "data.hpp"

namespace bench {

/// The bare score product, a lower bound for top-k attention. Q and K are packed, and every score is computed by the
/// library's kernel, in the blocks and the order of the selection engine. The next tile overwrites the scores.
class ScoreProduct {
 public:
  ScoreProduct(const Matrix& q, const Matrix& k) : q_(q), k_(k) {}

  [[nodiscard]] double flop() const {
    return 2.0 * static_cast<double>(q_.rows()) * static_cast<double>(k_.rows()) * static_cast<double>(q_.cols());
  }

  void run() {
    run([](const float* tile, auto...) { keep(tile); });
  }

  /// Returns true if the scores of every 67th query are right.
  [[nodiscard]] bool is_right() {
    const double scale = 1 / std::sqrt(static_cast<double>(q_.cols()));
    Index checked = 0;
    bool good = true;
    run([&](const float* tile, Index first, Index rows, Index key, Index keys) {
      for (Index r = 0; r < rows; ++r) {
        if ((first + r) % 67 != 0) continue;
        const Eigen::RowVectorXd query = q_.row(first + r).cast<double>() * scale;
        for (Index c = 0; c < keys; ++c, ++checked) {
          const Eigen::RowVectorXd terms = query.cwiseProduct(k_.row(key + c).cast<double>());
          const float got = tile[r * fg::kernel::kernels<float>().width + c];
          good = good && is_dot_product(got, terms.sum(), terms.cwiseAbs().sum(), q_.cols());
        }
      }
    });
    return good && checked == (q_.rows() + 66) / 67 * k_.rows();
  }

 private:
  /// Calls visit(tile, first query, number of queries, first key, number of keys) for each tile. The rows of the tile
  /// are one panel width apart.
  template <class Visit>
  void run(Visit&& visit) {
    const auto attention = (fg::scores(q_, k_) | fg::top_k(32)).with(workspace_);
    using Attention = std::remove_const_t<decltype(attention)>;
    const fg::detail::Session session(attention.execution());
    typename Attention::Bound bound = attention.source().bind();
    const typename Attention::Engine engine(bound, attention.stages(), session, q_.rows());

    const auto& kernels = fg::kernel::kernels<float>();
    const Index n = q_.rows(), m = k_.rows(), d = q_.cols(), block = engine.block(), width = kernels.width,
                panels = (m + width - 1) / width;
    fg::detail::WorkerScratch& scratch = session.scratch(0);
    bound.keys.reserve(scratch);
    fg::detail::ScratchFrame frame(scratch);
    float* queries = frame.take<float>(block * d);
    float* tile = frame.take<float>(block * width);
    for (Index first = 0; first < n; first += block) {
      const Index rows = std::min(block, n - first), groups = (rows + kernels.height - 1) / kernels.height;
      bound.queries.pack(first, rows, queries, scratch);
      for (Index panel = 0; panel < panels; ++panel) {
        kernels.score_panel(queries, groups, bound.keys.panel(panel, scratch), d, bound.scale, tile, width);
        visit(tile, first, rows, panel * width, std::min(width, m - panel * width));
      }
    }
  }

  const Matrix& q_;
  const Matrix& k_;
  fg::Workspace workspace_;
};

}  // namespace bench
