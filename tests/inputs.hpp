// SPDX-License-Identifier: MIT
// Random shapes and numbers from one printed seed, and matrices in every memory layout that Eigen supports.
#pragma once

#include <Eigen/Core>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <initializer_list>
#include <limits>
#include <random>
#include <string>
#include <vector>

namespace test {

using Eigen::Dynamic;
using Eigen::Index;

template <class S>
using Matrix = Eigen::Matrix<S, Dynamic, Dynamic, Eigen::RowMajor>;
template <class S>
using ColMatrix = Eigen::Matrix<S, Dynamic, Dynamic, Eigen::ColMajor>;

/// Returns FILIGREE_TEST_SEED, or 1 by default, and prints it once.
inline std::uint64_t seed() {
  static const std::uint64_t value = [] {
    const char* text = std::getenv("FILIGREE_TEST_SEED");
    const std::uint64_t chosen = text != nullptr ? std::strtoull(text, nullptr, 10) : 1;
    std::printf("FILIGREE_TEST_SEED=%llu\n", static_cast<unsigned long long>(chosen));
    return chosen;
  }();
  return value;
}

class Random {
 public:
  explicit Random(std::uint64_t stream) : engine_(seed() * 0x9E3779B97F4A7C15U + stream) {}

  /// Returns a number from lo to hi, both included.
  Index between(Index lo, Index hi) {
    return lo + static_cast<Index>(engine_() % static_cast<std::uint64_t>(hi - lo + 1));
  }
  double uniform(double lo = 0, double hi = 1) {
    return lo + (hi - lo) * static_cast<double>(engine_() >> 11) * 0x1p-53;
  }
  double normal() { return normal_(engine_); }
  bool chance(double p) { return uniform() < p; }
  std::uint64_t bits() { return engine_(); }
  template <class T>
  T pick(std::initializer_list<T> list) {
    return *(list.begin() + between(0, static_cast<Index>(list.size()) - 1));
  }

 private:
  std::mt19937_64 engine_;
  std::normal_distribution<double> normal_;
};

/// Returns a random size of at most max_size: often 0, a tile size or one next to it, else any size.
inline Index any_size(Random& random, Index max_size = 140) {
  if (random.chance(0.5)) return std::min(max_size, random.pick<Index>({0, 1, 1, 2, 3, 31, 63, 64, 65, 127, 128, 129}));
  return random.between(1, max_size);
}

enum class Kind { normal, heavy_tailed, constant, near_tie, low_rank, integers, zero };
inline Kind any_kind(Random& random) {
  return random.pick({Kind::normal, Kind::normal, Kind::normal, Kind::heavy_tailed, Kind::constant, Kind::near_tie,
                      Kind::low_rank, Kind::integers, Kind::integers, Kind::zero});
}

/// Returns random numbers. Compiled once, with optimization, for float and double, as Placed is.
template <class S>
Matrix<S> numbers(Random& random, Index rows, Index cols, Kind kind);
template <class S>
Matrix<S> normal(Random& random, Index rows, Index cols) {
  return numbers<S>(random, rows, cols, Kind::normal);
}

/// A matrix with its own memory and random strides and alignment. The gaps between its entries hold NaN.
template <class S>
class Placed {
 public:
  using Map = Eigen::Map<ColMatrix<S>, Eigen::Unaligned, Eigen::Stride<Dynamic, Dynamic>>;
  using ConstMap = Eigen::Map<const ColMatrix<S>, Eigen::Unaligned, Eigen::Stride<Dynamic, Dynamic>>;

  Placed(Random& random, const Matrix<S>& x);
  Map map() { return Map(memory_.data() + offset_, rows_, cols_, {outer_, inner_}); }
  ConstMap map() const { return ConstMap(memory_.data() + offset_, rows_, cols_, {outer_, inner_}); }

  /// Returns true if the gaps between the entries still hold NaN.
  bool untouched_between() const;

 private:
  Index rows_, cols_, inner_, outer_, offset_;
  std::vector<S> memory_;
};

/// Returns true if two numbers have the same bits or are both NaN.
template <class S>
bool same_bits(S a, S b) {
  return (a != a && b != b) || std::memcmp(&a, &b, sizeof a) == 0;
}
template <class A, class B>
bool same(const A& a, const B& b) {
  if (a.rows() != b.rows() || a.cols() != b.cols()) return false;
  for (Index i = 0; i < a.rows(); ++i)
    for (Index j = 0; j < a.cols(); ++j)
      if (!same_bits(a(i, j), b(i, j))) return false;
  return true;
}
template <class A>
bool same_sparse(const A& a, const A& b) {
  if (a.rows() != b.rows() || a.cols() != b.cols() || a.nonZeros() != b.nonZeros()) return false;
  for (Index o = 0; o < a.outerSize(); ++o) {
    typename A::InnerIterator x(a, o), y(b, o);
    for (; x && y; ++x, ++y)
      if (x.index() != y.index() || !same_bits(x.value(), y.value())) return false;
    if (x || y) return false;
  }
  return true;
}

}  // namespace test
