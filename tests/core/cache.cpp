// SPDX-License-Identifier: MIT
// The register values are those of real processors and hypervisors.
#include "filigree/core/cache.hpp"

#include <vector>

#include "catch.hpp"

namespace fg = filigree;
using fg::CacheSizes;
using fg::detail::CacheBudget;
using fg::detail::CacheRegisters;

namespace {

constexpr Eigen::Index kib = 1024, mib = 1024 * kib;

CacheSizes sizes_of(const std::vector<CacheRegisters>& subleaves) {
  CacheSizes sizes{};
  for (const CacheRegisters& r : subleaves)
    if (!fg::detail::add_cache(sizes, r)) break;
  return sizes;
}

bool same(const CacheSizes& a, const CacheSizes& b) { return a.l1 == b.l1 && a.l2 == b.l2 && a.l3 == b.l3; }

}  // namespace

TEST_CASE("the cache sizes of Sapphire Rapids are read from cpuid") {
  const CacheSizes sizes = sizes_of({{0x04004121, 0x02c0003f, 0x3f, 0},
                                     {0x04004122, 0x01c0003f, 0x3f, 0},
                                     {0x04004143, 0x03c0003f, 0x7ff, 0},
                                     {0x04004163, 0x0380003f, 0x1bfff, 4},
                                     {}});
  CHECK(same(sizes, {48 * kib, 2 * mib, 105 * mib}));
}

TEST_CASE("the cache sizes of Zen 4 are read from cpuid") {
  const CacheSizes sizes = sizes_of({{0x00000121, 0x01c0003f, 0x3f, 0},
                                     {0x00000122, 0x01c0003f, 0x3f, 0},
                                     {0x00000143, 0x01c0003f, 0x7ff, 2},
                                     {0x00004163, 0x03c0003f, 0x7fff, 1},
                                     {}});
  CHECK(same(sizes, {32 * kib, mib, 32 * mib}));
}

TEST_CASE("subleaves after the last cache are not read") {
  CHECK(same(sizes_of({{}, {0x21, 0x01c0003f, 0x3f, 0}}), {0, 0, 0}));
}

TEST_CASE("implausible cache sizes are replaced by defaults") {
  const CacheSizes defaults{32 * kib, mib, 32 * mib};
  CHECK(same(fg::detail::plausible({0, 0, 0}), defaults));
  CHECK(same(fg::detail::plausible({-1, 16 * kib, 4}), defaults));
  CHECK(same(fg::detail::plausible({mib, 100 * mib, 8192 * mib}), defaults));
  const CacheSizes all_bits = sizes_of({{~0U & ~0x1EU, ~0U, ~0U, ~0U}, {0x21, ~0U, ~0U, 0}, {0x43, ~0U, ~0U, 0}});
  CHECK(same(fg::detail::plausible(all_bits), defaults));
  const CacheSizes zen5{48 * kib, mib, 32 * mib};
  CHECK(same(fg::detail::plausible(zen5), zen5));
}

TEST_CASE("cache_sizes() is plausible and returns the same object each time") {
  const CacheSizes& sizes = fg::cache_sizes();
  CHECK(same(sizes, fg::detail::plausible(sizes)));
  CHECK(&sizes == &fg::cache_sizes());
}

TEST_CASE("cache shares are derived from the cache sizes") {
  constexpr CacheBudget large = CacheBudget::of({48 * kib, 2 * mib, 105 * mib});
  CHECK(large.queries == 24 * kib);
  CHECK(large.panel_cache == 512 * kib);
  CHECK(large.panel == 256 * kib);
  CHECK(large.panels == 512 * kib);
  CHECK(large.operand == 1536 * kib);
  CHECK(large.packed == 4 * mib);
  CHECK(large.kept == 8 * mib);
  constexpr CacheBudget small = CacheBudget::of({32 * kib, mib, 16 * mib});
  CHECK(small.queries == 16 * kib);
  CHECK(small.panel_cache == 256 * kib);
  CHECK(small.panel == 256 * kib);
  CHECK(small.panels == 512 * kib);
  CHECK(small.operand == 768 * kib);
  CHECK(small.packed == 2 * mib);
  CHECK(small.kept == 4 * mib);
}
