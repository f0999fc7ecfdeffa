// SPDX-License-Identifier: MIT
// Reference implementations of routers: slow and simple, with every formula written here and no code of the library.
#pragma once

#include <algorithm>
#include <cmath>
#include <numeric>
#include <vector>

#include "law/law.hpp"

namespace test {

/// The active queries of prob_sparse. Its dot products may be summed in any order. Queries whose measure M is within
/// rounding of the selection boundary are therefore undecided (`open`).
struct ActiveOracle {
  std::vector<oracle::Real> measure, error;
  std::vector<char> active, open;

  template <class S>
  ActiveOracle(const Matrix<S>& q, const Matrix<S>& k, const Matrix<Index>& sample, Index c);

  static Index whole_log(Index size);  // ceil(ln size)
};

/// Returns random sampled keys for each query. The sampling of fg::prob_sparse(c, seed) has its own test.
inline Matrix<Index> any_sample(Random& random, Index n, Index m, Index size) {
  Matrix<Index> sample(n, m == 0 ? 1 : size);
  for (Index i = 0; i < n; ++i)
    for (Index s = 0; s < sample.cols(); ++s) sample(i, s) = m == 0 ? 0 : random.between(0, m - 1);
  return sample;
}

/// Twins of prob_sparse(c, sample), and of prob_sparse(c, sample).lazy_sum() | softmax(), where the rows of lazy
/// queries have weights 1.
template <class S>
struct ProbSparseTwins {
  Words<S>& words;
  const Matrix<S>&q, &k;

  auto stage() {
    const Made made = make();
    return Twin<fg::ProbSparse>{made.word, made.step, made.text};
  }
  auto summing() {
    const auto made = make();
    auto word = made.word | fg::softmax() | fg::lazy_sum();
    return Twin<decltype(word)>{word,
                                [made](oracle::Table& t) {
                                  made.step(t);
                                  oracle::softmax()(t);
                                  for (Index i = 0; i < t.n; ++i)
                                    for (const Index c : oracle::columns(t, i))
                                      if (made.active[oracle::Table::size(i)] == 0)
                                        t.at(i, c) = {t.at(i, c).presence, 1, 0};
                                },
                                made.text + " | softmax() | lazy_sum()"};
  }

 private:
  struct Made {
    fg::ProbSparse word;
    oracle::Step step;
    std::string text;
    std::vector<char> active = {};
  };
  Made make() {
    const Index c = words.random.between(1, 4), n = q.rows(), m = k.rows();
    const Matrix<Index> sample = any_sample(words.random, n, m, words.random.between(1, 9));
    if (m == 0)
      return {fg::prob_sparse(c, words.random.bits()), [](oracle::Table&) {}, "prob_sparse",
              std::vector<char>(oracle::Table::size(n))};
    const ActiveOracle chosen(q, k, sample, c);
    const auto step = [chosen](oracle::Table& t) {
      for (Index i = 0; i < t.n; ++i) {
        if (chosen.open[oracle::Table::size(i)] != 0) t.open[oracle::Table::size(i)] = 1;
        if (chosen.active[oracle::Table::size(i)] != 0) continue;
        for (const Index column : oracle::columns(t, i)) t.at(i, column) = {t.at(i, column).presence, 0, 0};
      }
    };
    return {fg::prob_sparse(c, sample), step, call("prob_sparse", {double(c)}), chosen.active};
  }
};
template <class S>
ProbSparseTwins(Words<S>&, const Matrix<S>&, const Matrix<S>&) -> ProbSparseTwins<S>;

/// Returns the blocks that block_top_k selects for query i, in ascending order, from exactly computed scores.
template <class S>
std::vector<Index> chosen_blocks(const Matrix<S>& q, const Matrix<S>& k, Index i, const oracle::Table& t, Index b,
                                 Index max_blocks, bool bound, const oracle::Predicate& attends,
                                 const oracle::Predicate& forced);

/// Returns a step that drops the keys of all blocks that are not selected.
template <class S>
oracle::Step keep_blocks(const Matrix<S>& q, const Matrix<S>& k, Index b, Index max_blocks, bool bound,
                         oracle::Predicate attends, oracle::Predicate forced) {
  return [=](oracle::Table& t) {
    for (Index i = 0; i < t.n; ++i) {
      const auto chosen = chosen_blocks(q, k, i, t, b, max_blocks, bound, attends, forced);
      for (Index c = 0; c < t.m; ++c)
        if (!std::binary_search(chosen.begin(), chosen.end(), oracle::floor_div(t.key_at + c, b)))
          oracle::drop(t, i, c);
    }
  };
}
inline oracle::Predicate everything() {
  return [](const oracle::Table&, Index, Index) { return true; };
}
inline oracle::Predicate nothing() {
  return [](const oracle::Table&, Index, Index) { return false; };
}

}  // namespace test
