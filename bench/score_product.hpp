// SPDX-License-Identifier: MIT
#pragma once

#include <filigree/filigree.hpp>

#include <algorithm>
#include <cmath>
#include <vector>

namespace bench {

namespace fg = filigree;
using fg::Index;
using Matrix = Eigen::Matrix<float, Eigen::Dynamic, Eigen::Dynamic, Eigen::RowMajor>;

inline Matrix normal(Index rows, Index cols, std::uint64_t stream) {
  fg::Generator generator(20261, stream);
  Matrix result(rows, cols);
  fg::fill_normal(result, generator);
  return result;
}

/// The bare score product, the floor of top-k attention: Q and K are packed and every score is computed by the kernel of
/// the library, in the blocks and in the order of its selection engine, and then overwritten by the next tile.
class ScoreProduct {
 public:
  ScoreProduct(const Matrix& q, const Matrix& k) : q_(q), k_(k) {}

  [[nodiscard]] double flop() const { return 2.0 * double(q_.rows()) * double(k_.rows()) * double(q_.cols()); }

  /// visit(tile, first query, queries, first key, keys); the tile is row-major, kernel width apart.
  template <class Visit>
  void run(Visit&& visit) {
    const auto attention = (fg::scores(q_, k_) | fg::top_k(32)).with(workspace_);
    using Attention = std::remove_const_t<decltype(attention)>;
    const fg::detail::Session session(attention.execution());
    const typename Attention::Bound bound(attention.source(), session);
    const typename Attention::Engine engine(bound, attention.stages(), session, q_.rows());

    const auto& kernels = fg::kernel::kernels<float>();
    const Index n = q_.rows(), m = k_.rows(), d = q_.cols(), block = engine.height(), width = kernels.width;
    fg::detail::WorkerScratch& scratch = session.scratch(0);
    float* queries = scratch.queries.get<float>(block * d);
    float* tile = scratch.tile.get<float>(block * width);
    for (Index first = 0; first < n; first += block) {
      const Index rows = std::min(block, n - first);
      bound.pack_queries(first, rows, queries);
      const Index groups = (rows + kernels.height - 1) / kernels.height;
      for (Index panel = 0; panel < bound.keys().panels(); ++panel) {
        kernels.score_panel(queries, groups, bound.keys().panel(panel), d, bound.scale(), tile, width);
        visit(tile, first, rows, panel * width, std::min(width, m - panel * width));
      }
    }
  }

  void run() {
    run([](const float* tile, auto...) { asm volatile("" : : "r"(tile) : "memory"); });
  }

  /// Whether the scores of every 67th query are those that double precision finds, within the bound of a chain of d
  /// rounded multiply-adds.
  [[nodiscard]] bool correct() {
    const auto d = static_cast<double>(q_.cols());
    const double scale = 1 / std::sqrt(d), eps = std::numeric_limits<float>::epsilon();
    Index seen = 0;
    bool good = true;
    run([&](const float* tile, Index first, Index rows, Index key, Index keys) {
      for (Index r = 0; r < rows; ++r) {
        if ((first + r) % 67 != 0) continue;
        for (Index c = 0; c < keys; ++c, ++seen) {
          double sum = 0, size = 0;
          for (Index f = 0; f < q_.cols(); ++f) {
            const double term = double(q_(first + r, f)) * double(k_(key + c, f)) * scale;
            sum += term;
            size += std::abs(term);
          }
          const auto got = double(tile[r * fg::kernel::kernels<float>().width + c]);
          good &= std::abs(got - sum) <= (d + 2) * eps * size;
        }
      }
    });
    return good && seen == (q_.rows() + 66) / 67 * k_.rows();
  }

 private:
  const Matrix& q_;
  const Matrix& k_;
  fg::Workspace workspace_;
};

}  // namespace bench
