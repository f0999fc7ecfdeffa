// SPDX-License-Identifier: MIT
#include "routers.hpp"

#include <algorithm>
#include <cmath>
#include <limits>
#include <numeric>

namespace test {

namespace {

std::size_t at(Index i) { return static_cast<std::size_t>(i); }
template <class S>
bool integers(const Matrix<S>& x) {
  return (x.array() == x.array().round()).all() && (x.size() == 0 || x.cwiseAbs().maxCoeff() < 100);
}

}  // namespace

Index ActiveOracle::whole_log(Index size) {
  Index power = 0;
  while (std::exp(static_cast<oracle::Real>(power)) < static_cast<oracle::Real>(size)) ++power;
  return power;
}

template <class S>
ActiveOracle::ActiveOracle(const Matrix<S>& q, const Matrix<S>& k, const Matrix<Index>& sample, Index c)
    : measure(at(q.rows())), error(at(q.rows())), active(at(q.rows())), open(at(q.rows())) {
  const Index n = q.rows(), m = k.rows(), u = std::min(n, std::max<Index>(1, c * whole_log(n)));
  const bool exact = integers(q) && integers(k);  // sums of small integers are exact
  for (Index i = 0; i < n && sample.cols() > 0; ++i) {
    oracle::Real top = -oracle::infinity, sum = 0, max_size = 0;
    for (Index s = 0; s < sample.cols(); ++s) {
      oracle::Real dot = 0, sizes = 0;
      for (Index f = 0; f < q.cols(); ++f) {
        dot += oracle::Real(q(i, f)) * oracle::Real(k(sample(i, s), f));
        sizes += std::abs(oracle::Real(q(i, f)) * oracle::Real(k(sample(i, s), f)));
      }
      top = std::max(top, dot);
      sum += dot;
      max_size = std::max(max_size, sizes);
    }
    measure[at(i)] = top - sum / static_cast<oracle::Real>(m);
    const auto terms = static_cast<oracle::Real>(q.cols() + 4) *
                       (1 + static_cast<oracle::Real>(sample.cols()) / static_cast<oracle::Real>(m));
    error[at(i)] = exact ? 0 : terms * max_size * oracle::Real(std::numeric_limits<S>::epsilon());
  }
  std::vector<Index> order(at(n));
  std::iota(order.begin(), order.end(), Index(0));
  std::stable_sort(order.begin(), order.end(), [&](Index a, Index b) { return measure[at(a)] > measure[at(b)]; });
  for (Index r = 0; r < u; ++r) active[at(order[at(r)])] = 1;
  if (n == 0 || u == n) return;
  const Index in = order[at(u - 1)], out = order[at(u)];
  // A tie is certain if the sums are exact or if both are sums of the same numbers.
  const auto same = [&](Index i, Index j) {
    bool all = q.row(i) == q.row(j);
    for (Index s = 0; s < sample.cols(); ++s) all = all && k.row(sample(i, s)) == k.row(sample(j, s));
    return all;
  };
  const auto within_error = [&](Index i, Index j) {
    return std::abs(measure[at(i)] - measure[at(j)]) <= error[at(i)] + error[at(j)];
  };
  std::vector<Index> near;
  bool certain = true;
  for (Index i = 0; i < n; ++i) {
    const Index other = active[at(i)] != 0 ? out : in;
    if (within_error(i, in) || within_error(i, out)) near.push_back(i);
    if (within_error(i, other) && error[at(i)] + error[at(other)] > 0 && !same(i, other)) certain = false;
  }
  if (certain) return;
  for (const Index i : near) open[at(i)] = 1;
}

template <class S>
std::vector<Index> chosen_blocks(const Matrix<S>& q, const Matrix<S>& k, Index i, const oracle::Table& t, Index b,
                                 Index max_blocks, bool bound, const oracle::Predicate& attends,
                                 const oracle::Predicate& forced) {
  struct Block {
    Index number;
    S score;
    bool forced;
  };
  std::vector<Block> blocks;
  for (Index c = 0; c < t.m;) {
    const Index number = oracle::floor_div(t.key_at + c, b), p = t.query_at + i, from = c;
    bool is_visible = false, is_forced = false;
    for (; c < t.m && oracle::floor_div(t.key_at + c, b) == number; ++c) {
      is_visible = is_visible || attends(t, p, t.key_at + c);
      is_forced = is_forced || forced(t, p, t.key_at + c);
    }
    if (!is_visible) continue;
    const auto keys = k.middleRows(from, c - from);
    Matrix<S> query(1, bound ? 2 * q.cols() : q.cols()), pooled(1, query.cols());
    for (Index f = 0; f < q.cols(); ++f) {
      if (bound) {
        query(0, f) = std::max(q(i, f), S(0));
        query(0, q.cols() + f) = std::min(q(i, f), S(0));
        pooled(0, f) = keys.col(f).maxCoeff();
        pooled(0, q.cols() + f) = keys.col(f).minCoeff();
      } else {
        double sum = 0;
        for (Index j = 0; j < keys.rows(); ++j) sum += static_cast<double>(keys(j, f));
        query(0, f) = q(i, f);
        pooled(0, f) = static_cast<S>(sum / static_cast<double>(keys.rows()));
      }
    }
    blocks.push_back({number, computed_score(query.data(), pooled.data(), query.cols(), S(1)), is_forced});
  }
  std::stable_sort(blocks.begin(), blocks.end(), [](const Block& x, const Block& y) {
    return x.forced != y.forced ? x.forced : !x.forced && x.score > y.score;
  });
  std::vector<Index> result;
  for (const Block& block : blocks)
    if (block.forced || static_cast<Index>(result.size()) < max_blocks) result.push_back(block.number);
  std::sort(result.begin(), result.end());
  return result;
}

template ActiveOracle::ActiveOracle(const Matrix<float>&, const Matrix<float>&, const Matrix<Index>&, Index);
template std::vector<Index> chosen_blocks(const Matrix<float>&, const Matrix<float>&, Index, const oracle::Table&,
                                          Index, Index, bool, const oracle::Predicate&, const oracle::Predicate&);
template ActiveOracle::ActiveOracle(const Matrix<double>&, const Matrix<double>&, const Matrix<Index>&, Index);
template std::vector<Index> chosen_blocks(const Matrix<double>&, const Matrix<double>&, Index, const oracle::Table&,
                                          Index, Index, bool, const oracle::Predicate&, const oracle::Predicate&);

}  // namespace test
