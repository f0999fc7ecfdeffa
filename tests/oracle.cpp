// SPDX-License-Identifier: MIT
#include "oracle.hpp"

#include <algorithm>
#include <cmath>
#include <numeric>
#include <utility>

namespace oracle {

Index floor_div(Index a, Index b) {
  return static_cast<Index>(std::floor(static_cast<double>(a) / static_cast<double>(b)));
}

std::vector<Index> columns(const Table& t, Index i) {
  std::vector<Index> result;
  for (Index c = 0; c < t.m; ++c)
    if (t.at(i, c).presence != absent) result.push_back(c);
  return result;
}
namespace {

Index floor_mod(Index a, Index b) { return a - floor_div(a, b) * b; }

bool any_maybe(const Table& t, Index i) {
  for (Index c = 0; c < t.m; ++c)
    if (t.at(i, c).presence == maybe) return true;
  return false;
}

// A map, computed in the scalar. `derivative_bound` is a bound for |f'|.
template <class F>
Step mapped(F f, Rounding rounding = Rounding::same, Real derivative_bound = 1) {
  return [=](Table& t) {
    for (Index i = 0; i < t.n; ++i)
      for (Index c = 0; c < t.m; ++c) {
        Entry& e = t.at(i, c);
        if (e.presence == absent) continue;
        if (e.presence == maybe) t.open[Table::size(i)] = 1;  // an absent entry does not become f(0)
        const Index p = t.query_at + i, j = t.key_at + c;
        const Real before = e.value, error = e.error;
        e.value = t.in_scalar([&](auto s) { return f(t, s, p, j); }, before);
        if (error > 0)
          e.error = derivative_bound * (error + t.eps() * std::abs(before)) +
                    4 * t.eps() * (std::abs(before) + std::abs(e.value));
        else if (rounding == Rounding::accurate && std::isfinite(before))
          e.error = 4 * t.eps() * std::abs(e.value) + 4 * t.tiny(), e.origin = before;
        if (e.value == -infinity) drop(t, i, c);
      }
  };
}

/// Keeps the `keep` cells with the largest key(value) among the cells of a row, of a column or of the matrix.
template <class Key>
void keep_best(Table& t, std::vector<std::pair<Index, Index>> cells, Index keep, Key key) {
  if (keep >= static_cast<Index>(cells.size())) return;
  std::stable_sort(cells.begin(), cells.end(), [&](auto a, auto b) {
    return key(t.at(a.first, a.second).value) > key(t.at(b.first, b.second).value);
  });
  for (auto a = cells.begin(); a != cells.begin() + keep; ++a)
    for (auto b = cells.begin() + keep; b != cells.end(); ++b) {
      const Entry &in = t.at(a->first, a->second), &out = t.at(b->first, b->second);
      const Real gap = key(in.value) - key(out.value);
      if (in.error + out.error == 0) break;
      const bool tied = gap == 0 && in.origin == out.origin;
      if (!tied && gap <= in.error + out.error) t.open[Table::size(a->first)] = t.open[Table::size(b->first)] = 1;
    }
  for (auto b = cells.begin() + keep; b != cells.end(); ++b) drop(t, b->first, b->second);
}
Real plain(Real x) { return x; }
Real magnitude(Real x) { return std::abs(x); }

/// Returns a step that calls f(table, i, cells of row i) for each row. A row with an uncertain entry becomes undecided.
template <class F>
Step by_row(F f) {
  return [=](Table& t) {
    for (Index i = 0; i < t.n; ++i) {
      if (any_maybe(t, i)) t.open[Table::size(i)] = 1;
      std::vector<std::pair<Index, Index>> cells;
      for (const Index c : columns(t, i)) cells.emplace_back(i, c);
      f(t, i, cells);
    }
  };
}

Step keep_above(double bound, Real (*key)(Real), bool shrink = false) {
  return by_row([=](Table& t, Index i, const auto& cells) {
    const Real b = t.rounded(bound);
    for (const auto& cell : cells) {
      Entry& e = t.at(i, cell.second);
      if (e.error > 0 && std::abs(key(e.value) - b) <= e.error) t.open[Table::size(i)] = 1;
      if (!(key(e.value) > b)) {
        drop(t, i, cell.second);
      } else if (shrink) {
        e.value = t.in_scalar(
            [&](auto x) { return x > 0 ? x - static_cast<decltype(x)>(b) : x + static_cast<decltype(x)>(b); }, e.value);
        if (e.error > 0) e.error += t.eps() * (std::abs(e.value) + b);
      }
    }
  });
}

std::vector<std::pair<Index, Index>> all_cells(const Table& t) {
  std::vector<std::pair<Index, Index>> cells;
  for (Index i = 0; i < t.n; ++i)
    for (const Index c : columns(t, i)) cells.emplace_back(i, c);
  return cells;
}

/// Computes weights max(z - tau, 0)^power with z = scale * (value - maximum of the row) and tau such that they sum
/// to 1.
Step simplex(Real scale, Real power) {
  return by_row([=](Table& t, Index i, const auto& cells) {
    if (cells.empty()) return;
    const Real eps = std::numeric_limits<double>::epsilon();
    const auto count = static_cast<Real>(cells.size());
    const auto raised = [&](Real x) { return power == 1 ? x : power == 2 ? x * x : std::pow(x, power); };
    Real top = -infinity, error = 0;
    for (const auto& cell : cells) {
      top = std::max(top, t.at(i, cell.second).value);
      error += t.at(i, cell.second).error;
    }
    std::vector<Real> z;
    for (const auto& cell : cells) z.push_back(scale * (t.at(i, cell.second).value - top));
    const auto mass = [&](Real tau) {
      Real sum = 0;
      for (const Real x : z)
        if (x > tau) sum += raised(x - tau);
      return sum;
    };
    Real lo = -1, hi = 0;  // bisection: mass(-1) >= 1, mass(0) = 0
    for (int step = 0; step < 80; ++step) (mass((lo + hi) / 2) >= 1 ? lo : hi) = (lo + hi) / 2;
    const Real off =
        scale * error + (power == 1 ? 8 * eps * count : 4 * std::sqrt(eps * count) * eps + 32 * eps * count);
    for (const auto& cell : cells) {
      Entry& e = t.at(i, cell.second);
      const Real above = scale * (e.value - top) - lo;
      if (above < -off) {
        drop(t, i, cell.second);
        continue;
      }
      e.value = above > 0 ? std::pow(above, power) : 0;
      e.presence = above <= off + 1e-18L || e.value <= 2 * t.tiny() ? maybe : e.presence;
      e.error = std::pow(std::abs(above) + off, power) - std::pow(std::abs(above), power) + 2 * t.eps() * e.value +
                2 * t.tiny();
    }
  });
}

/// Philox4x32-10 of Salmon et al., SC 2011: the first 64 bits at counter (a with its sign bit flipped, b).
std::uint64_t philox(std::uint64_t seed, std::int64_t a, std::int64_t b) {
  const std::uint64_t low = static_cast<std::uint64_t>(a) ^ 0x8000000000000000U, high = static_cast<std::uint64_t>(b);
  std::uint32_t c[4] = {static_cast<std::uint32_t>(low), static_cast<std::uint32_t>(low >> 32),
                        static_cast<std::uint32_t>(high), static_cast<std::uint32_t>(high >> 32)};
  std::uint32_t k[2] = {static_cast<std::uint32_t>(seed), static_cast<std::uint32_t>(seed >> 32)};
  for (int round = 0; round < 10; ++round) {
    const std::uint64_t x = 0xD2511F53U * std::uint64_t(c[0]), y = 0xCD9E8D57U * std::uint64_t(c[2]);
    const std::uint32_t next[4] = {static_cast<std::uint32_t>(y >> 32) ^ c[1] ^ k[0], static_cast<std::uint32_t>(y),
                                   static_cast<std::uint32_t>(x >> 32) ^ c[3] ^ k[1], static_cast<std::uint32_t>(x)};
    std::copy(next, next + 4, c);
    k[0] += 0x9E3779B9U;
    k[1] += 0xBB67AE85U;
  }
  return std::uint64_t(c[1]) << 32 | c[0];
}

}  // namespace

// Patterns.

Step pattern(Predicate keeps) {
  return [keeps](Table& t) {
    for (Index i = 0; i < t.n; ++i)
      for (Index c = 0; c < t.m; ++c)
        if (!keeps(t, t.query_at + i, t.key_at + c)) drop(t, i, c);
  };
}
Predicate causal() {
  return [](const Table&, Index p, Index j) { return j <= p; };
}
Predicate window(Index left, Index right) {
  return [=](const Table&, Index p, Index j) { return p - left <= j && j <= p + right; };
}
Predicate first(Index count) {
  return [=](const Table&, Index, Index j) { return j < count; };
}
Predicate global(std::vector<Index> ids) {
  return [=](const Table& t, Index p, Index j) {
    for (const Index id : ids) {
      const Index at = id < 0 ? t.key_at + t.m + id : id;
      if (p == at || j == at) return true;
    }
    return false;
  };
}
Predicate same_block(Index b) {
  return [=](const Table&, Index p, Index j) { return floor_div(p, b) == floor_div(j, b); };
}
Predicate dilated_window(Index r, Index step) {
  return [=](const Table&, Index p, Index j) { return std::abs(p - j) <= r * step && floor_mod(p - j, step) == 0; };
}
Predicate strided(Index l) {
  return [=](const Table&, Index p, Index j) { return floor_mod(p - j, l) == 0; };
}
Predicate columns(Index l, Index c) {
  return [=](const Table&, Index, Index j) { return floor_mod(j, l) >= l - c; };
}
Predicate neighborhood(Index w) {
  return [=](const Table& t, Index p, Index j) {
    const Index begin = std::max(t.key_at, std::min(p - floor_div(w, 2), t.key_at + t.m - w));
    return begin <= j && j < begin + w;
  };
}
Predicate random(std::vector<Index> indices, Index r) {
  return [=](const Table& t, Index p, Index j) {
    for (Index e = 0; e < r; ++e)
      if (indices[Table::size((p - t.query_at) * r + e)] == j - t.key_at) return true;
    return false;
  };
}
Predicate blocks(Index b, Predicate keeps) {
  return [=](const Table& t, Index p, Index j) { return keeps(t, floor_div(p, b), floor_div(j, b)); };
}
Predicate documents(std::vector<int> ids) {
  return [=](const Table&, Index p, Index j) {
    const auto end = static_cast<Index>(ids.size());
    return p >= 0 && p < end && j >= 0 && j < end && ids[Table::size(p)] == ids[Table::size(j)];
  };
}
Predicate given(std::vector<char> stored) {
  return
      [=](const Table& t, Index p, Index j) { return stored[Table::size((p - t.query_at) * t.m + j - t.key_at)] != 0; };
}

// Maps.

Step map(std::function<Real(Real score, Index p, Index j)> f, Rounding rounding) {
  return mapped([f](const Table&, auto s, Index p, Index j) { return static_cast<decltype(s)>(f(Real(s), p, j)); },
                rounding);
}
Step softcap(double cap) {
  return mapped(
      [=](const Table&, auto s, Index, Index) {
        const auto c = static_cast<decltype(s)>(cap);
        return c * std::tanh(s / c);
      },
      Rounding::accurate);
}
Step alibi(double slope) {
  return mapped([=](const Table&, auto s, Index p, Index j) {
    return s - static_cast<decltype(s)>(slope) * static_cast<decltype(s)>(std::abs(p - j));
  });
}
Step bias(std::vector<Real> b) {
  return mapped([=](const Table& t, auto s, Index p, Index j) {
    return s + static_cast<decltype(s)>(b[Table::size((p - t.query_at) * t.m + j - t.key_at)]);
  });
}
Step relative_bias(std::vector<Real> table) {
  return mapped([=](const Table&, auto s, Index p, Index j) {
    const auto r = static_cast<Index>(table.size() / 2);
    const Index at = j - p < -r ? 0 : j - p > r ? 2 * r : j - p + r;
    return s + static_cast<decltype(s)>(table[Table::size(at)]);
  });
}

// Selectors.

Step top_k(Index k) {
  return by_row([=](Table& t, Index, const auto& cells) { keep_best(t, cells, k, plain); });
}
Step drop_lowest(double fraction) {
  return by_row([=](Table& t, Index, const auto& cells) {
    const auto count = static_cast<Index>(cells.size());
    keep_best(t, cells, count - static_cast<Index>(std::floor(fraction * static_cast<double>(count))), plain);
  });
}
Step threshold(double t) { return keep_above(t, plain); }
Step relu() { return keep_above(0, plain); }
Step hard_threshold(double t) { return keep_above(t, magnitude); }
Step soft_threshold(double t) { return keep_above(t, magnitude, true); }

Step prune_n_m(Index n, Index m) {
  return by_row([=](Table& t, Index, const auto& cells) {
    for (Index group = 0; group * m < t.m; ++group) {
      std::vector<std::pair<Index, Index>> inside;
      for (const auto& cell : cells)
        if (cell.second / m == group) inside.push_back(cell);
      keep_best(t, inside, n, magnitude);
    }
  });
}
Step top_p(double p) {
  return by_row([=](Table& t, Index i, auto cells) {
    if (cells.empty() || p == 1) return;
    std::stable_sort(cells.begin(), cells.end(),
                     [&](auto a, auto b) { return t.at(i, a.second).value > t.at(i, b.second).value; });
    // Probabilities are summed in double, as in the library.
    const auto top = static_cast<double>(t.at(i, cells[0].second).value);
    std::vector<double> weights;
    double total = 0;
    Real error = 0;
    for (const auto& cell : cells) {
      weights.push_back(std::exp(static_cast<double>(t.at(i, cell.second).value) - top));
      total += weights.back();
      error = std::max(error, t.at(i, cell.second).error);
    }
    Index keep = 0;
    double sum = 0;
    while (keep < static_cast<Index>(cells.size()) && sum < p * total) sum += weights[Table::size(keep++)];
    const Real margin = error > 0 ? total * std::expm1(2 * error) + 1e-12 : 0;
    if (error > 0 &&
        (std::abs(sum - p * total) <= margin || std::abs(sum - weights[Table::size(keep - 1)] - p * total) <= margin))
      t.open[Table::size(i)] = 1;
    std::sort(cells.begin(), cells.end());
    keep_best(t, cells, keep, plain);
  });
}

// Matrix stages.

Step winner_take_all(double fraction) {
  return [=](Table& t) {
    const Index keep = std::max<Index>(1, static_cast<Index>(std::floor(fraction * static_cast<double>(t.n))));
    for (Index c = 0; c < t.m; ++c) {
      std::vector<std::pair<Index, Index>> cells;
      for (Index i = 0; i < t.n; ++i)
        if (t.at(i, c).presence != absent) cells.emplace_back(i, c);
      keep_best(t, cells, keep, plain);
    }
  };
}
Step prune_magnitude(double fraction) {
  return [=](Table& t) {
    const auto cells = all_cells(t);
    const auto count = static_cast<Index>(cells.size());
    keep_best(t, cells, count - static_cast<Index>(std::floor(fraction * static_cast<double>(count))), magnitude);
  };
}
Step batch_top_k(Index k) {
  return [=](Table& t) { keep_best(t, all_cells(t), k * t.n, plain); };
}

// Normalizers.

Step softmax(double sink) {
  return by_row([=](Table& t, Index i, const auto& cells) {
    if (cells.empty()) return;
    const Real b = t.rounded(sink);
    Real top = b, total = 0, error = 0;
    for (const auto& cell : cells) {
      top = std::max(top, t.at(i, cell.second).value);
      error = std::max(error, t.at(i, cell.second).error);
    }
    for (const auto& cell : cells) total += std::exp(t.at(i, cell.second).value - top);
    total += std::exp(b - top);
    for (const auto& cell : cells) {
      Entry& e = t.at(i, cell.second);
      const Real depth = top - e.value, w = std::exp(e.value - top) / total;
      // Errors: the rounded difference, 2 ulp of exp, the sum, and the quotient. A weight that underflows is 0.
      e.error = w * (std::expm1(2 * error) + t.eps() * (depth + static_cast<Real>(cells.size()) + 8)) + 2 * t.tiny();
      e.value = w;
    }
  });
}

Step sparsemax() { return simplex(1, 1); }
Step entmax15() { return simplex(0.5, 2); }
Step entmax(double alpha) {
  const Real scale = static_cast<Real>(alpha) - 1;
  return simplex(scale, 1 / scale);
}

Step normalize_sum() {
  return by_row([](Table& t, Index i, const auto& cells) {
    Real sum = 0, sizes = 0, error = 0;
    for (const auto& cell : cells) {
      const Entry& e = t.at(i, cell.second);
      sum += e.value;
      sizes += std::abs(e.value);
      error += e.error;
    }
    if (sum == 0 && error == 0) {
      for (const auto& cell : cells) drop(t, i, cell.second);
      return;
    }
    const Real off = error + sizes * static_cast<Real>(cells.size()) * std::numeric_limits<double>::epsilon();
    if (std::abs(sum) <= 2 * off || sizes > 1e-3L * t.largest() * std::abs(sum)) {
      t.open[Table::size(i)] = 1;
      return;
    }
    for (const auto& cell : cells) {
      Entry& e = t.at(i, cell.second);
      const Real w = e.value / sum;
      e.error =
          2 * (e.error / std::abs(sum) + std::abs(w) * off / std::abs(sum)) + std::abs(w) * 2 * t.eps() + t.tiny();
      e.value = w;
    }
  });
}

Step dropout(double p, std::uint64_t seed) {
  return [=](Table& t) {
    for (Index i = 0; i < t.n; ++i)
      for (const Index c : columns(t, i)) {
        Entry& e = t.at(i, c);
        const double u = static_cast<double>(philox(seed, t.query_at + i, t.key_at + c) >> 11) * 0x1p-53;
        if (u < p) {
          drop(t, i, c);
          continue;
        }
        const Real factor = t.rounded(1 / (1 - p));
        e.value = t.in_scalar([&](auto x) { return x * static_cast<decltype(x)>(factor); }, e.value);
        e.error = e.error > 0 ? e.error * factor + 2 * t.eps() * std::abs(e.value) : 0;
      }
  };
}

}  // namespace oracle
