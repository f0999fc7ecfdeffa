// SPDX-License-Identifier: MIT
#pragma once

#include <filigree/filigree.hpp>
#include <utility>

#include "../top_k_attention.hpp"
#include "check.hpp"

namespace bench {

/// The queries, keys and values of n queries and m keys.
inline const Problem& attention_problem(Index n, Index m, Index d = 64) {
  static std::map<std::tuple<Index, Index, Index>, std::unique_ptr<Problem>> problems;
  auto& found = problems[{n, m, d}];
  if (!found) found = std::make_unique<Problem>(Problem{normal(n, d, 0), normal(m, d, 1), normal(m, d, 2)});
  return *found;
}

/// (scores(Q, K) | head).with(workspace) * V, compared with the reference implementation in a few rows. A `step` that
/// is empty leaves the result unchecked by rows: such cases override is_right().
template <class Head>
class Attention {
 public:
  Attention(const Problem& p, Head head, oracle::Step step)
      : p_(p), head_(std::move(head)), step_(std::move(step)), out_(p.q.rows(), p.v.cols()) {}

  void run() {
    out_ = (fg::scores(p_.q, p_.k) | head_).with(workspace_) * p_.v;
    keep(out_.data());
  }

  bool is_right() {
    run();
    const Index n = p_.q.rows(), m = p_.k.rows();
    for (const Index i : {Index{0}, n / 3, n - 1}) {
      oracle::Table table(1, m, m - n + i, 0, true);
      for (Index c = 0; c < m; ++c)
        table.at(0, c).value = defined_score(p_.q.row(i).data(), p_.k.row(c).data(), p_.q.cols());
      step_(table);
      if (table.open[0] == 0 && !is_product(table, i)) return false;
    }
    return true;
  }

 private:
  [[nodiscard]] bool is_product(const oracle::Table& table, Index i) const {
    for (Index f = 0; f < p_.v.cols(); ++f) {
      oracle::Real sum = 0, bound = 0;
      for (Index c = 0; c < table.m; ++c) {
        const oracle::Entry& e = table.at(0, c);
        if (e.presence == oracle::absent) continue;
        const oracle::Real v = p_.v(c, f);
        sum += e.value * v;
        bound += (e.error + static_cast<oracle::Real>(table.m) * table.eps() * std::abs(e.value)) * std::abs(v) +
                 table.tiny();
      }
      if (!(std::abs(out_(i, f) - sum) <= bound)) return false;
    }
    return true;
  }

  const Problem& p_;
  Head head_;
  oracle::Step step_;
  Matrix out_;
  fg::Workspace workspace_;
};

}  // namespace bench
