// SPDX-License-Identifier: MIT
#pragma once

#if defined(__x86_64__)
#include <cpuid.h>
#elif defined(__linux__)
#include <unistd.h>
#endif

#include <Eigen/Core>

#include "filigree/core/requirements.hpp"

namespace filigree {

/// Bytes of the data caches of a core; l3 may be shared by several.
struct CacheSizes {
  Eigen::Index l1, l2, l3;
};

namespace detail {

/// Returns the sizes, with a default for each that no processor has. Hypervisors report 0 and other nonsense.
constexpr CacheSizes plausible(const CacheSizes& sizes) {
  constexpr Eigen::Index kib = 1024, mib = 1024 * kib;
  const auto within = [](Eigen::Index size, Eigen::Index least, Eigen::Index most, Eigen::Index otherwise) {
    return least <= size && size <= most ? size : otherwise;
  };
  return {.l1 = within(sizes.l1, 16 * kib, 256 * kib, 32 * kib),
          .l2 = within(sizes.l2, 128 * kib, 32 * mib, mib),
          .l3 = within(sizes.l3, mib, 4096 * mib, 32 * mib)};
}

/// What cpuid returns about one cache: leaf 4 (Intel) or 0x8000001D (AMD), one subleaf for each cache.
///
/// Reference  Intel SDM, volume 2A, CPUID; AMD64 Architecture Programmer's Manual, volume 3, appendix E.4.15
struct CacheRegisters {
  unsigned eax = 0, ebx = 0, ecx = 0, edx = 0;
};

/// Enters a cache into the sizes. Returns false after the last cache.
///
/// The number of threads that share a cache is not used: hypervisors report all of theirs.
constexpr bool add_cache(CacheSizes& sizes, const CacheRegisters& r) {
  const unsigned type = r.eax & 0x1FU, level = (r.eax >> 5U) & 7U;
  constexpr unsigned none = 0, instructions = 2;
  if (type == none) return false;
  if (type == instructions) return true;
  const unsigned long long ways = (r.ebx >> 22U) + 1ULL, partitions = ((r.ebx >> 12U) & 0x3FFU) + 1ULL,
                           line = (r.ebx & 0xFFFU) + 1ULL, sets = r.ecx + 1ULL;
  const unsigned long long size = ways * partitions * line;  // of a set, at most 2^32
  const auto bytes = static_cast<Eigen::Index>(size * (sets < (1ULL << 30U) ? sets : 0));
  if (level == 1) sizes.l1 = bytes;
  if (level == 2) sizes.l2 = bytes;
  if (level == 3) sizes.l3 = bytes;
  return true;
}

inline CacheSizes read_cache_sizes() {
  CacheSizes sizes{};
#if defined(__x86_64__)
  for (const unsigned leaf : {4U, 0x8000001DU}) {
    if (static_cast<unsigned>(__get_cpuid_max(leaf & 0x80000000U, nullptr)) < leaf || sizes.l1 > 0) continue;
    for (unsigned i = 0; i < 16; ++i) {
      CacheRegisters r;
      __cpuid_count(leaf, i, r.eax, r.ebx, r.ecx, r.edx);
      if (!add_cache(sizes, r)) break;
    }
  }
#elif defined(_SC_LEVEL1_DCACHE_SIZE)
  sizes = {.l1 = sysconf(_SC_LEVEL1_DCACHE_SIZE),
           .l2 = sysconf(_SC_LEVEL2_CACHE_SIZE),
           .l3 = sysconf(_SC_LEVEL3_CACHE_SIZE)};
#endif
  return plausible(sizes);
}

}  // namespace detail

/// Returns the sizes of the caches of this machine, read once, at the first call.
inline const CacheSizes& cache_sizes() {
  static const CacheSizes sizes = detail::read_cache_sizes();
  return sizes;
}

namespace detail {

/// How many bytes of which cache each user may fill. Sizes that define the order of a sum must not come from here: they
/// are constants, so that results are the same on every machine.
struct CacheShares {
  Eigen::Index queries;      // first level: a block of queries, next to a panel of keys that streams through it
  Eigen::Index panel_cache;  // second level: the panels of keys, or rows of V, that a worker keeps
  Eigen::Index panel;        // second level: one panel of a product of matrices
  Eigen::Index panels;       // second level: the panels that stay while rows stream by
  Eigen::Index operand;      // second level: an operand that is packed as a whole
  Eigen::Index packed;       // beyond the second level: keys that are packed once, however few queries read them
  Eigen::Index kept;         // third level: entries that are kept until their rows are finished

  static constexpr CacheShares of(const CacheSizes& sizes) {
    constexpr Eigen::Index kib = 1024;
    const auto smaller = [](Eigen::Index a, Eigen::Index b) { return a < b ? a : b; };
    return {.queries = sizes.l1 / 2,
            .panel_cache = sizes.l2 / 4,
            .panel = smaller(sizes.l2 / 4, 256 * kib),
            .panels = smaller(sizes.l2 / 2, 512 * kib),
            .operand = sizes.l2 / 4 * 3,
            .packed = 2 * sizes.l2,
            .kept = smaller(sizes.l3 / 4, 8192 * kib)};
  }
};

inline CacheShares cache_shares() { return CacheShares::of(cache_sizes()); }

}  // namespace detail
}  // namespace filigree
