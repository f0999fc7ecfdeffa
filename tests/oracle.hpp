// SPDX-License-Identifier: MIT
// The reference implementation of every operation. It holds the whole n x m matrix in long double, with a flag for each
// entry that says if it is present, and applies one stage after another. Every formula is written here; no code of the
// library is used.
//
// Values are exactly those of the scalar until a normalizer makes them inexact. From then on each value has a bound for
// the error of a correct evaluation in that scalar. If a selection depends on a difference within these bounds, its row
// is marked as undecided (`open`).
#pragma once

#include <Eigen/Core>
#include <cstdint>
#include <functional>
#include <limits>
#include <vector>

namespace oracle {

using Eigen::Index;
using Real = long double;

inline constexpr Real infinity = std::numeric_limits<Real>::infinity();

enum Presence : char { absent, present, maybe };  // maybe: a weight that is 0 within its error bound

struct Entry {
  Presence presence = present;
  Real value = 0, error = 0;
  Real origin = 0;  // the value before the first inexact map; entries with equal origins and values are really tied
};

struct Table {
  Index n, m, query_at, key_at;
  bool single;  // the scalar is float, else double
  std::vector<Entry> cells = {};
  std::vector<char> open = {};  // 1 for undecided rows, where a correct evaluation may select other entries

  Table(Index rows, Index cols, Index q_at, Index k_at, bool is_float)
      : n(rows), m(cols), query_at(q_at), key_at(k_at), single(is_float), cells(size(rows * cols)), open(size(rows)) {}

  static std::size_t size(Index i) { return static_cast<std::size_t>(i); }
  Entry& at(Index i, Index c) { return cells[size(i * m + c)]; }
  const Entry& at(Index i, Index c) const { return cells[size(i * m + c)]; }
  Real eps() const { return single ? std::numeric_limits<float>::epsilon() : std::numeric_limits<double>::epsilon(); }
  Real tiny() const { return single ? std::numeric_limits<float>::min() : std::numeric_limits<double>::min(); }
  Real largest() const { return single ? std::numeric_limits<float>::max() : std::numeric_limits<double>::max(); }
  /// Returns a double rounded to the scalar.
  Real rounded(double x) const { return single ? Real(static_cast<float>(x)) : Real(x); }
  /// Returns f(x), computed in the scalar.
  template <class F>
  Real in_scalar(F&& f, Real x) const {
    return single ? Real(static_cast<float>(f(static_cast<float>(x))))
                  : Real(static_cast<double>(f(static_cast<double>(x))));
  }
};

using Step = std::function<void(Table&)>;
using Predicate = std::function<bool(const Table&, Index p, Index j)>;

Index floor_div(Index a, Index b);

/// Returns the columns of the entries of row i that are present or may be present.
std::vector<Index> columns(const Table& t, Index i);

inline void drop(Table& t, Index i, Index c) { t.at(i, c) = {absent, 0, 0}; }

// Patterns.

Step pattern(Predicate keeps);
Predicate causal();
Predicate window(Index left, Index right);
Predicate first(Index count);
Predicate global(std::vector<Index> ids);
Predicate same_block(Index b);
Predicate dilated_window(Index r, Index step);
Predicate strided(Index l);
Predicate columns(Index l, Index c);
Predicate neighborhood(Index w);
Predicate random(std::vector<Index> indices, Index r);  // n x r, by row
/// Applies a predicate to the block indices of query and key instead of their positions.
Predicate blocks(Index b, Predicate keeps);
Predicate documents(std::vector<int> ids);
Predicate given(std::vector<char> stored);  // n x m, by row

// Maps. They are computed in the scalar.

/// The results of maps of exact values are exact, or accurate to a few ulp, as a function of the library and one of the
/// standard library are.
enum class Rounding { same, accurate };

/// Applies f, whose derivative is at most 1, to the scores. The results are rounded to the scalar.
Step map(std::function<Real(Real score, Index p, Index j)> f, Rounding rounding = Rounding::same);
Step softcap(double cap);
Step alibi(double slope);
Step bias(std::vector<Real> b);
Step relative_bias(std::vector<Real> table);

// Selectors. Ranking: larger values first, ties by the lowest index.

Step top_k(Index k);
Step drop_lowest(double fraction);
Step threshold(double t);
Step relu();
Step hard_threshold(double t);
Step soft_threshold(double t);
Step prune_n_m(Index n, Index m);
Step top_p(double p);

// Matrix stages.

Step winner_take_all(double fraction);
Step prune_magnitude(double fraction);
Step batch_top_k(Index k);

// Normalizers.

Step softmax(double sink = -std::numeric_limits<double>::infinity());
Step sparsemax();
Step entmax15();
Step entmax(double alpha);
Step normalize_sum();
Step dropout(double p, std::uint64_t seed);

}  // namespace oracle
