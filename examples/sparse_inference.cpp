// SPDX-License-Identifier: MIT
// What does a pre-trained encoder lose if its attention becomes sparse, without training? The embeddings of passages by
// the same weights, with other pipelines on the scores. The argument is the folder of the model, build/model by
// default.
#include <atomic>
#include <chrono>
#include <cstdio>
#include <limits>

#include "sentence_encoder.hpp"

namespace fg = filigree;
using Eigen::Index;

/// Counts the pairs of a query and a key that the stages before it keep.
struct Counted {
  using Category = fg::Selector;
  static constexpr bool passes_gradient = true;
  std::atomic<Index>* pairs;

  template <fg::Real S>
  void apply(fg::Row<S>& row) const {
    Index kept = 0;
    for (Index e = 0; e < row.count; ++e)
      kept += row.values[e] != 0 && row.values[e] > -std::numeric_limits<S>::infinity() ? 1 : 0;
    *pairs += kept;
  }
};

/// Returns the correlation of the two orders of all other passages by their similarity to passage i.
double spearman(const Matrix& a, const Matrix& b, Index i) {
  const auto ranks = [&](const Matrix& embeddings) {
    Eigen::VectorXd result(embeddings.rows());
    double rank = 0;
    for (const Index j : by_similarity(embeddings, embeddings.row(i)))
      if (j != i) result[j] = rank++;
    result[i] = (rank - 1) / 2;  // the mean
    return result;
  };
  const Eigen::VectorXd x = ranks(a), y = ranks(b);
  const double mean = static_cast<double>(a.rows() - 2) / 2;
  return (x.array() - mean).matrix().normalized().dot((y.array() - mean).matrix().normalized());
}

int main(int count, char** arguments) {
  const std::string folder = count > 1 ? arguments[1] : "build/model";
  if (!has_model(folder)) return 0;
  const Texts passages = read_passages({"GPL-3", "MPL-2.0"}, 1800).texts;
  const SentenceEncoder full(folder, fg::softmax());
  double pairs = 0;
  Index tokens = 0;
  for (const Index length : full.tokens(passages).lengths) {
    tokens += length;
    pairs += static_cast<double>(full.config().layers * full.config().heads * length * length);
  }
  const Matrix expected = full(passages);
  std::printf("%zu passages, %td tokens each on average\n\n%-22s %8s %8s %9s  %s\n", passages.size(),
              tokens / expected.rows(), "attention", "pairs", "cosine", "Spearman", "│ time per text");

  // `counting` is the same head with a Counted stage.
  const auto row = [&](const char* name, const auto& head, const auto& counting, const std::atomic<Index>& kept) {
    static_cast<void>(SentenceEncoder(folder, counting)(passages));
    const SentenceEncoder encoder(folder, head);
    const auto start = std::chrono::steady_clock::now();
    const Matrix embeddings = encoder(passages);
    const std::chrono::duration<double, std::milli> time = std::chrono::steady_clock::now() - start;
    double cosine = 0, order = 0;
    for (Index i = 0; i < embeddings.rows(); ++i) {
      cosine += static_cast<double>(embeddings.row(i).dot(expected.row(i)));
      order += spearman(embeddings, expected, i);
    }
    const double n = static_cast<double>(embeddings.rows());
    std::printf("%-22s %6.1f %% %8.3f %9.3f  │ %.1f ms\n", name, 100 * static_cast<double>(kept) / pairs, cosine / n,
                order / n, time.count() / n);
  };
  const auto masked = [&](const char* name, const auto& stage) {
    std::atomic<Index> kept = 0;
    row(name, stage | fg::softmax(), stage | Counted{&kept} | fg::softmax(), kept);
  };
  masked("softmax()", fg::window(full.config().positions));  // all pairs
  masked("window(64)", fg::window(64));
  masked("window(16)", fg::window(16));
  masked("longformer(32, {0})", fg::longformer(32, {0}));
  masked("bigbird(16, 2, 1)", fg::bigbird(16, 2, 1));
  masked("top_k(64)", fg::top_k(64));
  masked("top_k(16)", fg::top_k(16));
  std::atomic<Index> kept = 0;
  row("entmax15()", fg::entmax15(), fg::entmax15() | Counted{&kept}, kept);
}
