// SPDX-License-Identifier: MIT
// Sources, results other than A * V, and measures.

#include <algorithm>
#include <cmath>
#include <filigree/filigree.hpp>
#include <functional>
#include <map>
#include <memory>
#include <tuple>

#include "../score_product.hpp"
#include "attention.hpp"
#include "table.hpp"

namespace bench {
namespace {

constexpr Index n = 2048, d = 64;
const Problem& problem() { return attention_problem(n, n, d); }

void add_sources(WordTable& table) {
  static Matrix scores(n, n), by_eigen(n, n), packed_out(n, d);
  static fg::Workspace workspace;
  const float scale = 1 / std::sqrt(static_cast<float>(d));
  table.floor("product, 2048 x 2048", [] { return std::make_unique<ScoreProduct>(problem().q, problem().k); });
  const auto is_scores = [=] {
    by_eigen.noalias() = scale * problem().q * problem().k.transpose();
    return scores.isApprox(by_eigen, 1e-5F);
  };
  const auto fill = [](const auto& a) { scores = a.with(workspace), keep(scores.data()); };
  const Problem& p = problem();
  table.at_most("scores(Q, K)", "into a matrix", "product, 2048 x 2048", {2.5, 1.5},
                calls([=, &p] { fill(fg::scores(p.q, p.k) | fg::first(n)); }, is_scores));
  table.at_most("scores(Q, K, scale)", "into a matrix", "product, 2048 x 2048", {2.5, 1.5},
                calls([=, &p] { fill(fg::scores(p.q, p.k, scale) | fg::first(n)); }, is_scores));
  table.at_most(
      "scores(Q, K, {.scale, .query_at, .key_at})", "into a matrix", "product, 2048 x 2048", {2.5, 1.5},
      calls([=, &p] { fill(fg::scores(p.q, p.k, {.query_at = 7, .key_at = 7}) | fg::first(n + 7)); }, is_scores));

  static const Matrix keys = normal(65536, d, 1);
  static Matrix copy(65536, d);
  table.floor("copy of 65536 x 64", calls([] { copy = keys, keep(copy.data()); }, [] { return copy == keys; }));
  static std::unique_ptr<fg::PackedKeys<float>> packed;
  table.at_most("pack(K)", "65536 keys", "copy of 65536 x 64", {6, 3},
                calls([] { packed = std::make_unique<fg::PackedKeys<float>>(fg::pack(keys)), keep(packed.get()); },
                      [] {
                        const Matrix q = normal(3, d, 2);
                        return Matrix(fg::scores(q, *packed) | fg::first(65536)) ==
                               Matrix(fg::scores(q, keys) | fg::first(65536));
                      }));
}

void add_results(WordTable& table) {
  const Problem& p = problem();
  static Matrix out(n, d), other(n, d);
  static fg::Workspace workspace;
  const auto whole = [&p] { out = (fg::scores(p.q, p.k) | fg::softmax()).with(workspace) * p.v, keep(out.data()); };
  const auto is_whole = [&p] {
    const Matrix s = (p.q * p.k.transpose() / 8.0F).array().exp();
    other = s.array().colwise() / s.array().rowwise().sum().eval();
    return out.isApprox(other * p.v, 1e-4F);
  };
  table.floor("A * V, n = m = 2048", calls(whole, is_whole));
  static fg::Attended<float> attended;
  table.at_most("attend(A, V)", "n = m = 2048", "A * V, n = m = 2048", {1.05, 1.02},
                calls(
                    [&p] {
                      attended = fg::attend((fg::scores(p.q, p.k) | fg::softmax()).with(workspace), p.v);
                      keep(attended.out.data());
                    },
                    [=] {
                      whole();
                      return attended.out == out;
                    }));
  static const auto halves = [](Index first) {
    const Problem& q = problem();
    return fg::attend(fg::scores(q.q, q.k.middleRows(first, n / 2)) | fg::softmax(), q.v.middleRows(first, n / 2));
  };
  static Matrix copied(n, d);
  table.floor("copy of 2048 x 64", calls([] { copied = problem().q, keep(copied.data()); }, [] { return true; }));
  table.at_most("merge(first, more...)", "two halves", "copy of 2048 x 64", {12, 6},
                calls(
                    [] {
                      static const auto first = halves(0), second = halves(n / 2);
                      attended = fg::merge(first, second);
                      keep(attended.out.data());
                    },
                    [=] {
                      whole();
                      return attended.out.isApprox(out, 1e-4F);
                    }));

  const auto top = [&p] { return (fg::scores(p.q, p.k) | fg::top_k(32) | fg::softmax()).with(workspace); };
  using Sparse = Eigen::SparseMatrix<float, Eigen::RowMajor>;
  static Sparse weights;
  table.floor("top_k(32) into a sparse matrix",
              calls([=] { weights = top(), keep(weights.valuePtr()); }, [] { return weights.nonZeros() == 32 * n; }));
  static decltype(fg::selected(top())) chosen;
  table.at_most("selected(A)", "top_k(32), n = m = 2048", "top_k(32) into a sparse matrix", {1.1, 1.0},
                calls([=] { chosen = fg::selected(top()), keep(&chosen); },
                      [=] {
                        const Sparse expected = top();
                        for (Index i = 0; i < n; ++i)
                          for (Index r = 0; r < 32; ++r)
                            if (expected.coeff(i, chosen.columns(i, r)) != chosen.weights(i, r)) return false;
                        return true;
                      }));

  static const Matrix q = normal(1024, 512, 11), k = normal(1024, 512, 12), v = normal(1024, 512, 13);
  static Matrix heads(1024, 512), one(1024, 512);
  const auto head = fg::causal() | fg::softmax();
  const auto each = [=] {
    for (Index h = 0; h < 8; ++h)
      one.middleCols(64 * h, 64) =
          (fg::scores(q.middleCols(64 * h, 64), k.middleCols(64 * h, 64)) | head).with(workspace) *
          v.middleCols(64 * h, 64);
    keep(one.data());
  };
  table.floor("8 times A * V", calls(each, [] { return one.allFinite(); }));
  table.at_most("multi_head(count, Q, K, V, head)", "8 heads, n = 1024", "8 times A * V", {1.1, 1.0},
                calls([=] { heads = fg::multi_head(fg::heads{8}, q, k, v, head).with(workspace), keep(heads.data()); },
                      [=] {
                        each();
                        return heads == one;
                      }));
}

void add_measures(WordTable& table) {
  static const Matrix codes = (normal(1024, 4096, 5).array() - 1.0F).max(0.0F), other = normal(1024, 4096, 6);
  static double result = 0;
  table.floor("sum of 1024 x 4096", calls([] { result = static_cast<double>(codes.sum()), keep(&result); },
                                          [] { return std::abs(result / codes.cast<double>().sum() - 1) < 1e-4; }));
  const auto add = [&](const char* word, double must, auto measure, auto expected) {
    table.at_most(word, "1024 x 4096", "sum of 1024 x 4096", {must, must / 2},
                  calls([=] { result = measure(), keep(&result); },
                        [=] { return std::abs(result - expected()) <= 1e-5 * std::abs(expected()); }));
  };
  add(
      "l0(codes)", 15, [] { return fg::l0(codes); },
      [] { return static_cast<double>((codes.array() != 0).count()) / 1024; });
  add(
      "density(codes)", 15, [] { return fg::density(codes).sum(); },
      [] { return static_cast<double>((codes.array() != 0).count()) / 1024; });
  add(
      "dead_latents(codes, threshold = 0)", 15,
      [] { return static_cast<double>(fg::dead_latents(codes, 0.15).size()); },
      [] {
        return static_cast<double>(((codes.array() != 0).colwise().count().cast<double>() / 1024 <= 0.15).count());
      });
  const auto residual = [] { return (other.cast<double>() - codes.cast<double>()).eval(); };
  const auto variance = [](const auto& x) { return (x.rowwise() - x.colwise().mean()).squaredNorm(); };
  add(
      "explained_variance(X, x_hat)", 30, [] { return fg::explained_variance(other, codes); },
      [=] { return 1 - variance(residual()) / variance(Eigen::MatrixXd(other.cast<double>())); });
  add(
      "normalized_mse(X, x_hat)", 30, [] { return fg::normalized_mse(other, codes); },
      [=] { return residual().squaredNorm() / variance(Eigen::MatrixXd(other.cast<double>())); });
  add(
      "psnr(A, B, peak = 1)", 30, [] { return fg::psnr(other, codes, 2); },
      [=] { return 10 * std::log10(4 * static_cast<double>(other.size()) / residual().squaredNorm()); });
  static const Eigen::VectorXf x = other.reshaped();
  add(
      "hoyer(V)", 30, [] { return fg::hoyer(x); },
      [] {
        const Eigen::VectorXd a = x.cast<double>().cwiseAbs();
        const double root = std::sqrt(static_cast<double>(a.size()));
        return (root - a.sum() / a.norm()) / (root - 1);
      });
  add(
      "gini(V)", 600, [] { return fg::gini(x); },
      [] {
        Eigen::VectorXd a = x.cast<double>().cwiseAbs();
        std::sort(a.begin(), a.end());
        const auto size = static_cast<double>(a.size());
        double sum = 0;
        for (Index i = 0; i < a.size(); ++i) sum += a[i] * (size - static_cast<double>(i) - 0.5);
        return 1 - 2 * sum / a.sum() / size;
      });
  add(
      "treves_rolls(V)", 30, [] { return fg::treves_rolls(x); },
      [] {
        const Eigen::ArrayXd a = x.cast<double>().cwiseAbs();
        return a.mean() * a.mean() / a.square().mean();
      });
}

}  // namespace

void add_result_words(WordTable& table) {
  add_sources(table);
  add_results(table);
  add_measures(table);
}

}  // namespace bench
