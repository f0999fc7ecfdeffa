// SPDX-License-Identifier: MIT
// Patterns and routers: attention with softmax, d = 64, over the peak of multiply-adds, a pass over memory, a gather of
// the same rows, or attention to the pairs that a router chose.

#include <Eigen/SparseCore>
#include <filigree/filigree.hpp>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "../block_attention.hpp"
#include "../planning.hpp"
#include "../routed_attention.hpp"
#include "attention.hpp"
#include "table.hpp"

namespace bench {
namespace {

/// Reads Q, K and V once and writes as many numbers as the output has.
struct Stream {
  explicit Stream(const Problem& problem) : p(problem), out(problem.q.rows(), problem.v.cols()) {}
  void run() {
    out.noalias() = p.q + p.k + p.v;
    keep(out.data());
  }
  bool is_right() {
    run();
    return out.isApprox(p.q + p.k + p.v);
  }
  const Problem& p;
  Matrix out;
};

using SparseMask = Eigen::SparseMatrix<float, Eigen::RowMajor>;

/// 64 keys at random in each of n rows.
const SparseMask& random_keys(Index n) {
  static std::map<Index, SparseMask> masks;
  SparseMask& mask = masks[n];
  if (mask.rows() == n) return mask;
  fg::Generator generator(2026, 9);
  std::vector<Index> drawn(64);
  std::vector<Eigen::Triplet<float>> entries;
  for (Index i = 0; i < n; ++i) {
    generator.sample_without_replacement(n, drawn);
    for (const Index j : drawn) entries.emplace_back(static_cast<int>(i), static_cast<int>(j), 1.0F);
  }
  mask.resize(n, n);
  mask.setFromTriplets(entries.begin(), entries.end());
  return mask;
}

/// Reads the rows of K and V that each row of the mask names.
struct Gather {
  Gather(const Problem& problem, const SparseMask& keys) : p(problem), mask(keys), sum(problem.k.cols()) {}
  void run() {
    sum.setZero();
    for (Index i = 0; i < mask.rows(); ++i)
      for (SparseMask::InnerIterator e(mask, i); e; ++e) sum += p.k.row(e.col()) + p.v.row(e.col());
    keep(sum.data());
  }
  bool is_right() {
    run();
    return sum.allFinite();
  }
  const Problem& p;
  const SparseMask& mask;
  Eigen::RowVectorXf sum;
};

/// (scores(Q, K) | head) * V, whose result is compared with that of another order of evaluation: the weights, then
/// their product with V.
template <class Head>
struct Product {
  Product(const Problem& problem, const Head& h) : p(problem), head(h), out(p.q.rows(), p.v.cols()) {}
  void run() {
    out = (fg::scores(p.q, p.k) | head).with(workspace) * p.v;
    keep(out.data());
  }
  bool is_right() {
    run();
    const Matrix weights = fg::scores(p.q, p.k) | head;
    return out.isApprox(weights * p.v, 1e-4F);
  }
  const Problem& p;
  Head head;
  Matrix out;
  fg::Workspace workspace;
};

/// Attention to the pairs that the router of a head chooses, without the choice.
template <class Head>
struct Routed {
  using Stages = decltype(fg::route(fg::scores(Matrix(), Matrix()) | std::declval<Head>()));
  Routed(const Problem& problem, const Head& head)
      : p(problem), stages(fg::route(fg::scores(p.q, p.k) | head)), out(p.q.rows(), p.v.cols()) {}
  void run() {
    out = (fg::scores(p.q, p.k) | stages | fg::softmax()).with(workspace) * p.v;
    keep(out.data());
  }
  bool is_right() {
    run();
    return out.allFinite();
  }
  const Problem& p;
  Stages stages;
  Matrix out;
  fg::Workspace workspace;
};

/// tile_plan(window(256) || global({0, 1}), n, n), whose kinds of tiles are compared with the pattern at their corners.
struct TilePlanning {
  explicit TilePlanning(Index rows) : n(rows) {}
  void run() {
    plan.emplace(fg::tile_plan(fg::window(256) || fg::global({0, 1}), n, n));
    keep(&plan);
  }
  bool is_right() {
    run();
    const auto is_kept = [](Index p, Index j) { return std::abs(p - j) <= 256 || p < 2 || j < 2; };
    for (Index r = 0; r < plan->rows(); r += 13)
      for (Index c = 0; c < plan->cols(); ++c) {
        const fg::TileKind kind = plan->kind(r, c);
        const bool lower = is_kept(64 * r, 64 * c + 63), upper = is_kept(64 * r + 63, 64 * c);
        if (kind == fg::TileKind::full && !(lower && upper)) return false;
        if (kind == fg::TileKind::empty && (lower || upper)) return false;
      }
    return true;
  }
  Index n;
  std::optional<fg::TilePlan> plan;
};

class PatternWords {
 public:
  explicit PatternWords(WordTable& table) : table_(table) {}

  /// The rate of useful operations over the peak.
  template <class Pattern>
  void add(const char* word, const char* what, Index n, Bounds bounds, const Pattern& pattern) {
    table_.at_least(word, what, "FmaPeak", bounds,
                    [=] { return std::make_unique<PatternAttention<Pattern>>(attention_problem(n, n), pattern); });
  }
  template <class Pattern>
  void add_over(const char* word, const char* what, const char* floor, Index n, Bounds bounds, const Pattern& pattern) {
    table_.at_most(word, what, floor, bounds,
                   [=] { return std::make_unique<PatternAttention<Pattern>>(attention_problem(n, n), pattern); });
  }
  /// Attention with a router, over attention to the pairs that it chose.
  template <class Router>
  void add_router(const char* word, const char* what, Index n, Bounds bounds, const Router& router) {
    const std::string floor = std::string(word) + ", chosen before";
    table_.floor(floor, [=] { return std::make_unique<Routed<Router>>(attention_problem(n, n), router); });
    const auto head = router | fg::softmax();
    table_.at_most(word, what, floor, bounds, [=] {
      return std::make_unique<RoutedAttention<std::remove_const_t<decltype(head)>>>(attention_problem(n, n), head);
    });
  }

 private:
  WordTable& table_;
};

}  // namespace

void add_pattern_words(WordTable& table) {
  using namespace fg;
  constexpr Index n = 4096;
  PatternWords words(table);
  table.floor("FmaPeak", [] { return std::make_unique<PeakCase>(); });
  table.floor("reading Q, K, V, writing O", [] { return std::make_unique<Stream>(attention_problem(16384, 16384)); });
  table.floor("gather of 64 rows",
              [] { return std::make_unique<Gather>(attention_problem(8192, 8192), random_keys(8192)); });

  words.add("causal()", "n = 4096", n, {0.55, 0.75}, causal());
  words.add("window(left, right)", "256 before", n, {0.45, 0.6}, window(256, 0));
  words.add("window(r)", "r = 256", n, {0.5, 0.7}, window(256));
  words.add_over("window(r)", "r = 4, n = 16384", "reading Q, K, V, writing O", 16384, {2.5, 1.5}, window(4));
  words.add_over("window(r)", "r = 16, n = 16384", "reading Q, K, V, writing O", 16384, {2.5, 1.8}, window(16));
  words.add("blocks(b, P)", "b = 64, window(1)", n, {0.5, 0.65}, blocks(64, window(1)));
  words.add("columns(l, c)", "64, 8", n, {0.25, 0.4}, columns(64, 8));
  words.add("dilated_window(r, step)", "64, 4", n, {0.3, 0.5}, dilated_window(64, 4));
  words.add("documents(ids)", "of 512 tokens", n, {0.5, 0.65},
            documents(Eigen::VectorXi::NullaryExpr(n, [](Index i) { return static_cast<int>(i / 512); })));
  words.add("first(c)", "all keys", n, {0.55, 0.75}, first(n));
  words.add("global(ids)", "with window(64)", n, {0.3, 0.5}, window(64) || global({0, 1}));
  words.add("longformer(w, ids)", "256, {0}", n, {0.4, 0.6}, longformer(256, {0}));
  words.add("bigbird(b, r, seed)", "64, 3", 16384, {0.45, 0.6}, bigbird(64, 3, 1));
  words.add("bigbird(b, r, seed)", "16, 3, n = 8192", 8192, {0.33, 0.45}, bigbird(16, 3, 1));
  words.add("sparse_transformer_strided(l)", "l = 64", n, {0.2, 0.35}, sparse_transformer_strided(64));
  words.add("sparse_transformer_fixed(l, c)", "64, 8", n, {0.25, 0.4}, sparse_transformer_fixed(64, 8));
  words.add("streaming(sinks, recent)", "4, 512", n, {0.5, 0.65}, streaming(4, 512));
  words.add("neighborhood(w)", "w = 512", n, {0.5, 0.65}, neighborhood(512));
  words.add("same_block(b)", "b = 256", n, {0.5, 0.65}, same_block(256));
  words.add("strided(l)", "l = 64", n, {0.2, 0.35}, strided(64));
  words.add("where(f)", "f as causal()", n, {0.2, 0.4}, where([](Index p, Index j) { return j <= p; }));
  words.add("A && B", "causal() && window(256)", n, {0.45, 0.6}, causal() && window(256));
  words.add("A || B", "same_block(64) || first(64)", n, {0.4, 0.6}, same_block(64) || first(64));
  words.add("!A", "!causal()", n, {0.5, 0.7}, !causal());
  words.add_over("given(S)", "64 random keys, n = 8192", "gather of 64 rows", 8192, {1 / 0.6, 1 / 0.8},
                 given(random_keys(8192)));
  static const Eigen::Array<bool, Eigen::Dynamic, Eigen::Dynamic, Eigen::RowMajor> mask =
      Eigen::Array<bool, Eigen::Dynamic, Eigen::Dynamic, Eigen::RowMajor>::NullaryExpr(
          n, n, [](Index i, Index j) { return j <= i; });
  words.add("given(M)", "causal mask", n, {0.2, 0.4}, given(mask));
  words.add_over("random(r, seed)", "r = 64, planned, n = 8192", "gather of 64 rows", 8192, {1 / 0.5, 1 / 0.8},
                 plan(random(64, 1), 8192, 8192));
  const auto planned = window(256) || global({0, 1});
  table.floor("window(256) || global, n = 65536", [=] {
    return std::make_unique<PatternAttention<std::remove_const_t<decltype(planned)>>>(attention_problem(65536, 65536),
                                                                                      planned);
  });
  table.at_most("plan(P, n, m)", "window(256) || global({0, 1}), n = 65536", "window(256) || global, n = 65536",
                {0.05, 0.02},
                [=] { return std::make_unique<Planning<std::remove_const_t<decltype(planned)>>>(65536, planned); });
  table.at_most("tile_plan(P, n, m, shape)", "window(256) || global({0, 1}), n = 65536",
                "window(256) || global, n = 65536", {0.05, 0.02},
                [=] { return std::make_unique<TilePlanning>(65536); });

  words.add_router("lsh(rounds, buckets, chunk, seed)", "4, 64, 64", n, {1.5, 1.2}, lsh(4, 64, 64, 1));
  words.add_router("block_top_k(b, k, scorer)", "64, 8", n, {1.5, 1.2}, block_top_k(64, 8));
  words.add_router("min_max_bound()", "block_top_k(64, 8, min_max_bound())", n, {2.0, 1.5},
                   block_top_k(64, 8, min_max_bound()));
  words.add_router("prob_sparse(c, seed)", "c = 5", n, {3, 2}, prob_sparse(5, 1));
  const auto& p = attention_problem(n, n);
  const auto lazy = prob_sparse(5, 1) | softmax();
  using Lazy = std::remove_const_t<decltype(lazy)>;
  using Sums = decltype(lazy | lazy_sum());
  table.floor("prob_sparse(5, 1) | softmax()", [=, &p] { return std::make_unique<Product<Lazy>>(p, lazy); });
  table.at_most("lazy_sum()", "after prob_sparse(5, 1) | softmax()", "prob_sparse(5, 1) | softmax()", {1.1, 1.0},
                [=, &p] { return std::make_unique<Product<Sums>>(p, lazy | lazy_sum()); });
}

}  // namespace bench
