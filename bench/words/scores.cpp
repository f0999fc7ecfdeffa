// SPDX-License-Identifier: MIT
// Maps, selectors and normalizers on scores: A * V with d = 64, over the same pipeline with softmax alone.

#include <cmath>
#include <filigree/filigree.hpp>
#include <map>
#include <memory>
#include <tuple>
#include <vector>

#include "../score_product.hpp"
#include "attention.hpp"
#include "table.hpp"

namespace bench {
namespace {

oracle::Step then(oracle::Step a, oracle::Step b) {
  return [=](oracle::Table& t) { a(t), b(t); };
}

class ScoreWords {
 public:
  explicit ScoreWords(WordTable& table) : table_(table) {
    add_floor("softmax, n = m = 2048", 2048, 2048, fg::softmax(), oracle::softmax());
    add_floor("softmax, n = m = 1024", 1024, 1024, fg::softmax(), oracle::softmax());
    add_floor("softmax, n = m = 128", 128, 128, fg::softmax(), oracle::softmax());
    add_floor("softmax, n = 4096, m = 77", 4096, 77, fg::softmax(), oracle::softmax());
    add_floor("causal, n = m = 2048", 2048, 2048, fg::causal() | fg::softmax(),
              then(oracle::pattern(oracle::causal()), oracle::softmax()));
    table_.floor("product, 4096 x 4096", [] { return product(4096, 4096); });
    table_.floor("product, 4096 x 16384", [] { return product(4096, 16384); });
  }

  template <class Head>
  void add(const char* word, const char* what, const char* floor, Index n, Index m, Bounds bounds, const Head& head,
           const oracle::Step& step) {
    table_.at_most(word, what, floor, bounds,
                   [=] { return std::make_unique<Attention<Head>>(attention_problem(n, m), head, step); });
  }
  /// A stage before or after softmax, n = m = 2048 or 1024.
  template <class Head>
  void add(const char* word, const char* what, Index n, Bounds bounds, const Head& head, const oracle::Step& step) {
    add(word, what, n == 2048 ? "softmax, n = m = 2048" : "softmax, n = m = 1024", n, n, bounds, head, step);
  }

 private:
  static std::unique_ptr<ScoreProduct> product(Index n, Index m) {
    const Problem& p = attention_problem(n, m);
    return std::make_unique<ScoreProduct>(p.q, p.k);
  }
  template <class Head>
  void add_floor(const char* name, Index n, Index m, const Head& head, const oracle::Step& step) {
    table_.floor(name, [=] { return std::make_unique<Attention<Head>>(attention_problem(n, m), head, step); });
  }

  WordTable& table_;
};

}  // namespace

void add_score_words(WordTable& table) {
  using namespace fg;
  ScoreWords words(table);
  const oracle::Step normalize = oracle::softmax();

  static const Matrix b = normal(2048, 2048, 7);
  static const Eigen::VectorXf distances = normal(513, 1, 8);
  const auto biased = oracle::map([](oracle::Real s, Index p, Index j) {  // p is the row: n = m
    return oracle::Real(static_cast<float>(s) + b(p, j));
  });
  std::vector<oracle::Real> table_values(distances.data(), distances.data() + distances.size());
  words.add("softcap(c)", "c = 30", 2048, {1.15, 1.08}, softcap(30) | softmax(), then(oracle::softcap(30), normalize));
  words.add("alibi(slope)", "after causal()", "causal, n = m = 2048", 2048, 2048, {1.12, 1.05},
            causal() | alibi(0.1) | softmax(),
            then(then(oracle::pattern(oracle::causal()), oracle::alibi(0.1)), normalize));
  words.add("bias(B)", "n = m", 2048, {1.3, 1.15}, bias(b) | softmax(), then(biased, normalize));
  words.add("relative_bias(table)", "513 distances", 2048, {1.2, 1.1}, relative_bias(distances) | softmax(),
            then(oracle::relative_bias(table_values), normalize));
  const auto half = [](float s, Index, Index) { return 0.5F * s; };
  const auto halved = oracle::map([](oracle::Real s, Index, Index) { return s / 2; });
  words.add("map(f)", "one multiplication", 2048, {1.2, 1.1}, map(half) | softmax(), then(halved, normalize));
  words.add("map(f, df)", "one multiplication", 2048, {1.2, 1.1},
            map(half, [](float, Index, Index) { return 0.5F; }) | softmax(), then(halved, normalize));

  words.add("dropout(p, seed)", "after softmax()", 1024, {1.6, 1.3}, softmax() | dropout(0.1, 7),
            then(normalize, oracle::dropout(0.1, 7)));
  words.add("sparsemax()", "scores", 1024, {1.6, 1.3}, sparsemax(), oracle::sparsemax());
  words.add("entmax15()", "scores", 1024, {2.0, 1.5}, entmax15(), oracle::entmax15());
  words.add("entmax(alpha)", "alpha = 1.3, scores", 1024, {12, 6}, entmax(1.3), oracle::entmax(1.3));
  words.add("normalize_sum()", "after threshold(0)", 1024, {2.0, 1.5}, threshold(0) | normalize_sum(),
            then(oracle::threshold(0), oracle::normalize_sum()));
  words.add("softmax({.sink})", "with a sink", 2048, {1.05, 1.02}, softmax({.sink = 1}), oracle::softmax(1));
  words.add("top_p(p)", "p = 0.9", 1024, {3, 2}, top_p(0.9) | softmax(), then(oracle::top_p(0.9), normalize));
  words.add("threshold(t)", "t = 1, scores", 1024, {2.0, 1.5}, threshold(1) | softmax(),
            then(oracle::threshold(1), normalize));
  words.add("drop_lowest(fraction)", "0.9, scores", 1024, {2.0, 1.5}, drop_lowest(0.9) | softmax(),
            then(oracle::drop_lowest(0.9), normalize));
  words.add("hard_threshold(t)", "t = 1, scores", 1024, {3, 2}, hard_threshold(1) | softmax(),
            then(oracle::hard_threshold(1), normalize));
  words.add("soft_threshold(t)", "t = 1, scores", 1024, {3, 2}, soft_threshold(1) | softmax(),
            then(oracle::soft_threshold(1), normalize));
  words.add("prune_n_m(n, m)", "2:4, scores", 1024, {3, 2}, prune_n_m(2, 4) | softmax(),
            then(oracle::prune_n_m(2, 4), normalize));

  const auto top = [&](Index k) { return then(oracle::top_k(k), normalize); };
  words.add("top_k(k)", "k = 32, n = m = 4096", "product, 4096 x 4096", 4096, 4096, {1.35, 1.2}, top_k(32) | softmax(),
            top(32));
  words.add("top_k(k)", "k = 2048, m = 16384", "product, 4096 x 16384", 4096, 16384, {1.9, 1.6},
            top_k(2048) | softmax(), top(2048));
  words.add("top_k(k)", "k = 32, n = 4096, m = 77", "softmax, n = 4096, m = 77", 4096, 77, {1.15, 1.0},
            top_k(32) | softmax(), top(32));
  words.add("top_k(k)", "k = 32, n = m = 128", "softmax, n = m = 128", 128, 128, {1.0, 0.9}, top_k(32) | softmax(),
            top(32));
}

}  // namespace bench
