// SPDX-License-Identifier: MIT
// Gradients of attention.

#include <filigree/filigree.hpp>
#include <optional>

#include "attention.hpp"
#include "table.hpp"

namespace bench {
namespace {

constexpr Index n = 2048, d = 64;

/// The operands, and the gradients of softmax attention by the formulas.
struct Expected {
  Expected() {
    const Problem& p = attention_problem(n, n, d);
    d_out = normal(n, d, 21);
    Matrix w = (p.q * p.k.transpose() / 8.0F).array().exp();
    w.array().colwise() /= w.rowwise().sum().eval().array();
    Matrix ds = d_out * p.v.transpose();
    ds.array().colwise() -= (ds.array() * w.array()).rowwise().sum().eval();
    ds.array() *= w.array() / 8.0F;
    q = ds * p.k;
    k = ds.transpose() * p.q;
    v = w.transpose() * d_out;
  }
  template <class G>
  [[nodiscard]] bool is(const G& g) const {
    return g.q.isApprox(q, 1e-4F) && g.k.isApprox(k, 1e-4F) && g.v.isApprox(v, 1e-4F);
  }
  Matrix d_out, q, k, v;
};

}  // namespace

void add_gradient_words(WordTable& table) {
  const auto problem = []() -> const Problem& { return attention_problem(n, n, d); };
  static const auto expected = []() -> const Expected& {
    static const Expected formulas;
    return formulas;
  };
  static fg::Workspace workspace;
  const auto product = [=] {
    return (fg::scores(problem().q, problem().k) | fg::softmax()).with(workspace) * problem().v;
  };
  static std::optional<decltype(fg::gradients(product(), expected().d_out))> result;
  static std::optional<decltype(fg::forward(product()))> saved;
  const auto is_right = [] { return expected().is(*result); };
  table.at_most("gradients(product, d_out)", "n = m = 2048", "A * V, n = m = 2048", {5, 4},
                calls([=] { result = fg::gradients(product(), expected().d_out), keep(result->q.data()); }, is_right));
  table.at_most("forward(product)", "n = m = 2048", "A * V, n = m = 2048", {1.1, 1.02},
                calls([=] { saved = fg::forward(product()), keep(saved->out.data()); },
                      [=] { return saved->out == Matrix(product()); }));
  table.at_most("backward(saved, d_out)", "n = m = 2048", "A * V, n = m = 2048", {4, 3},
                calls(
                    [=] {
                      if (!saved) saved = fg::forward(product());
                      result = fg::backward(*saved, expected().d_out), keep(result->q.data());
                    },
                    is_right));

  // The gradient by the weights of a selection, which has its pairs.
  const auto top = [=] { return fg::scores(problem().q, problem().k) | fg::top_k(32) | fg::softmax(); };
  static Eigen::SparseMatrix<float, Eigen::RowMajor> d_weights;
  static std::optional<decltype(fg::gradients(top(), d_weights))> by_weights;
  table.at_most("gradients(A, d_weights)", "top_k(32), n = m = 2048", "top_k(32) into a sparse matrix", {3, 2},
                calls(
                    [=] {
                      if (d_weights.size() == 0) {
                        d_weights = top();
                        for (Index e = 0; e < d_weights.nonZeros(); ++e)
                          d_weights.valuePtr()[e] = static_cast<float>(e % 7 - 3);
                      }
                      by_weights = fg::gradients(top().with(workspace), d_weights), keep(by_weights->q.data());
                    },
                    [=] {
                      Matrix w = top(), ds = d_weights;
                      ds.array().colwise() -= (ds.array() * w.array()).rowwise().sum().eval();
                      ds.array() *= w.array() / 8.0F;
                      return by_weights->q.isApprox(ds * problem().k, 1e-4F) &&
                             by_weights->k.isApprox(ds.transpose() * problem().q, 1e-4F);
                    }));
}

}  // namespace bench
