// SPDX-License-Identifier: MIT
// Scratch memory: frames nest, memory does not move while a frame lives, and is kept for the next frame.
#include <cstdint>
#include <filigree/core/generator.hpp>
#include <filigree/core/scratch.hpp>
#include <limits>
#include <new>
#include <utility>
#include <vector>

#include "allocations.hpp"
#include "catch.hpp"

namespace {

using filigree::Index;
using filigree::detail::ScratchArena;
using filigree::detail::ScratchFrame;

bool is_aligned(const void* p) { return reinterpret_cast<std::uintptr_t>(p) % 64 == 0; }

}  // namespace

TEST_CASE("memory of a frame is aligned, disjoint and does not move") {
  ScratchArena arena;
  ScratchFrame frame(arena);
  float* a = frame.take<float>(3);
  double* b = frame.take<double>(1000);
  char* c = frame.take<char>(0);
  int* d = frame.take<int>(100000);
  CHECK((is_aligned(a) && is_aligned(b) && is_aligned(c) && is_aligned(d)));
  CHECK(c != nullptr);
  for (int i = 0; i < 3; ++i) a[i] = 1;
  for (int i = 0; i < 1000; ++i) b[i] = 2;
  for (int i = 0; i < 100000; ++i) d[i] = 3;
  float sum_a = 0;
  double sum_b = 0;
  long sum_d = 0;
  for (int i = 0; i < 3; ++i) sum_a += a[i];
  for (int i = 0; i < 1000; ++i) sum_b += b[i];
  for (int i = 0; i < 100000; ++i) sum_d += d[i];
  CHECK(sum_a == 3);
  CHECK(sum_b == 2000);
  CHECK(sum_d == 300000);
}

TEST_CASE("a frame releases its memory at the end of its scope") {
  ScratchArena arena;
  ScratchFrame outer(arena);
  (void)outer.take<char>(10000);
  char* first = nullptr;
  {
    ScratchFrame inner(arena);
    first = inner.take<char>(5000);
  }
  {
    ScratchFrame inner(arena);
    CHECK(inner.take<char>(5000) == first);
  }
}

TEST_CASE("nested frames of any sizes keep the memory of the outer frames") {
  filigree::Generator random(7);
  ScratchArena arena;
  // Each level fills its memory with its own number, and checks it after the inner levels.
  const auto nest = [&](const auto& self, int level) -> bool {
    ScratchFrame frame(arena);
    if (random.below(3) == 0) frame.reserve<int>({random.below(500), random.below(3000)});
    bool kept = true;
    std::vector<std::pair<int*, Index>> taken;
    for (Index i = random.below(4); i >= 0; --i) {
      const Index count = random.below(4) == 0 ? random.below(5000) : random.below(40);
      int* const memory = frame.take<int>(count);
      for (Index e = 0; e < count; ++e) memory[e] = level;
      taken.emplace_back(memory, count);
      if (level < 6 && random.below(2) == 0) kept &= self(self, level + 1);
    }
    for (const auto& [memory, count] : taken)
      for (Index e = 0; e < count; ++e) kept &= memory[e] == level;
    return kept;
  };
  for (int trial = 0; trial < 300; ++trial) REQUIRE(nest(nest, 0));
}

TEST_CASE("sizes that overflow throw") {
  ScratchArena arena;
  ScratchFrame frame(arena);
  CHECK_THROWS_AS(frame.take<double>((std::numeric_limits<Index>::max)() / 4), std::bad_array_new_length);
  CHECK_THROWS_AS(frame.take<char>((std::numeric_limits<Index>::max)()), std::bad_array_new_length);
  CHECK_THROWS_AS(frame.take<char>(-1), std::bad_array_new_length);
  constexpr Index half = (std::numeric_limits<Index>::max)() / 2 - 64;
  CHECK_THROWS_AS(frame.reserve<char>({half, half, half}), std::bad_array_new_length);
  CHECK_THROWS_AS(frame.reserve<char>({1, -1}), std::bad_array_new_length);
  CHECK(frame.take<char>(1) != nullptr);
}

#if FILIGREE_COUNTS_ALLOCATIONS
TEST_CASE("an arena that has been used allocates nothing for the same or less memory in any order") {
  ScratchArena arena;
  const auto use = [&](Index a, Index b, Index c) {
    ScratchFrame frame(arena);
    (void)frame.take<char>(a);
    {
      ScratchFrame inner(arena);
      (void)inner.take<char>(b);
    }
    ScratchFrame inner(arena);
    (void)inner.take<char>(c);
  };
  use(1000, 30000, 5000);
  CHECK(test::allocated_by([&] { use(1000, 30000, 5000); }) == 0);
  CHECK(test::allocated_by([&] { use(30000, 1000, 1000); }) == 0);
  CHECK(test::allocated_by([&] { use(0, 0, 30900); }) == 0);
  CHECK(test::allocated_by([&] { use(40000, 0, 0); }) > 0);
  CHECK(test::allocated_by([&] { use(40000, 0, 0); }) == 0);
}

TEST_CASE("reserved memory is allocated at once") {
  ScratchArena arena;
  CHECK(test::allocated_by([&] {
          ScratchFrame frame(arena);
          frame.reserve<float>({3, 100, 7000});
        }) > 0);
  CHECK(test::allocated_by([&] {
          ScratchFrame frame(arena);
          (void)frame.take<float>(3);
          (void)frame.take<float>(100);
          (void)frame.take<float>(7000);
        }) == 0);
}
#endif
