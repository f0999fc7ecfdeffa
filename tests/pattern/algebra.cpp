// SPDX-License-Identifier: MIT
#include "filigree/pattern/algebra.hpp"

#include <type_traits>
#include <utility>
#include <vector>

#include "catch.hpp"
#include "filigree/pattern/pattern.hpp"

namespace fg = filigree;
using Eigen::Index;

namespace {

struct Constant {
  using Category = fg::Pattern;
  bool value;
  bool keeps(Index, Index) const { return value; }
};

struct Counted {
  using Category = fg::Pattern;
  int* copies;
  int* moves;
  Counted(int* c, int* m) : copies(c), moves(m) {}
  Counted(const Counted& other) : copies(other.copies), moves(other.moves) { ++*copies; }
  Counted(Counted&& other) noexcept : copies(other.copies), moves(other.moves) { ++*moves; }
  Counted& operator=(const Counted&) = default;
  ~Counted() = default;
  bool keeps(Index, Index) const { return true; }
};

struct Reading {
  using Category = fg::Pattern;
  const float* data;
  bool keeps(Index, Index) const { return true; }
  void check(const fg::Grid& grid) const { fg::detail::require(grid.m != 13, "m must not be 13"); }
  bool reads(const fg::AddressRange& target) const { return target.overlaps(fg::AddressRange::of(data, data + 1)); }
};

}  // namespace

TEST_CASE("&&, || and ! are intersection, union and complement") {
  using fg::operator&&, fg::operator||, fg::operator!;
  for (const bool a : {false, true}) {
    CHECK((!Constant{a}).keeps(0, 0, {}) == !a);
    for (const bool b : {false, true}) {
      CHECK((Constant{a} && Constant{b}).keeps(0, 0, {}) == (a && b));
      CHECK((Constant{a} || Constant{b}).keeps(0, 0, {}) == (a || b));
      CHECK((!(Constant{a} || Constant{b}) && fg::causal()).keeps(0, 0, {}) == !(a || b));
    }
  }
}

TEST_CASE("lvalue operands are copied and temporaries are moved") {
  using fg::operator&&, fg::operator||, fg::operator!;
  int copies = 0, moves = 0;
  Counted counted(&copies, &moves);
  const auto both = counted && Counted(&copies, &moves);
  CHECK(copies == 1);
  const auto either = std::move(counted) || fg::causal();
  const auto none = !Counted(&copies, &moves);
  CHECK(copies == 1);
  CHECK(moves >= 3);
  static_assert(std::is_same_v<std::remove_const_t<decltype(both)>, fg::And<Counted, Counted>>);
  static_assert(std::is_same_v<std::remove_const_t<decltype(either)>, fg::Or<Counted, fg::Causal>>);
  static_assert(std::is_same_v<std::remove_const_t<decltype(none)>, fg::Not<Counted>>);
}

TEST_CASE("check() and reads() include every operand") {
  using fg::operator&&, fg::operator||, fg::operator!;
  const float data[4] = {};
  const Reading reading{data + 2};
  const auto verify = [&](const auto& pattern) {
    CHECK(fg::detail::reads(pattern, fg::AddressRange::of(data, data + 4)));
    CHECK_FALSE(fg::detail::reads(pattern, fg::AddressRange::of(data, data + 2)));
    CHECK_THROWS_AS(fg::detail::check(pattern, {.n = 1, .m = 13}), fg::Error);
    CHECK_NOTHROW(fg::detail::check(pattern, {.n = 1, .m = 12}));
  };
  verify(reading && fg::causal());
  verify(fg::causal() && reading);
  verify(reading || fg::causal());
  verify(fg::causal() || reading);
  verify(!reading);
  verify(!(fg::first(1) || (fg::causal() && !reading)));
}
