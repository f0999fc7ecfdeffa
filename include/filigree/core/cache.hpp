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

/// The sizes of the data caches in bytes. The third level may be shared by several cores.
struct CacheSizes {
  Eigen::Index l1, l2, l3;
};

namespace detail {

/// Returns the sizes, with implausible ones replaced by defaults. Hypervisors may report 0 or meaningless sizes.
constexpr CacheSizes plausible(const CacheSizes& sizes) {
  constexpr Eigen::Index kib = 1024, mib = 1024 * kib;
  const auto within = [](Eigen::Index size, Eigen::Index low, Eigen::Index high, Eigen::Index fallback) {
    return low <= size && size <= high ? size : fallback;
  };
  return {.l1 = within(sizes.l1, 16 * kib, 256 * kib, 32 * kib),
          .l2 = within(sizes.l2, 128 * kib, 32 * mib, mib),
          .l3 = within(sizes.l3, mib, 4096 * mib, 32 * mib)};
}

/// The registers that cpuid returns for one cache: leaf 4 (Intel) or 0x8000001D (AMD), with one subleaf for each cache.
///
/// Reference  Intel SDM, volume 2A, CPUID; AMD64 Architecture Programmer's Manual, volume 3, appendix E.4.15
struct CacheRegisters {
  unsigned eax = 0, ebx = 0, ecx = 0, edx = 0;
};

/// Sets the size of the cache that the registers describe. Returns false if they describe no cache, which ends the
/// list.
///
/// The number of threads that share the cache is ignored, since hypervisors report all of their threads.
constexpr bool add_cache(CacheSizes& sizes, const CacheRegisters& r) {
  const unsigned type = r.eax & 0x1FU, level = (r.eax >> 5U) & 7U;
  constexpr unsigned none = 0, instructions = 2;
  if (type == none) return false;
  if (type == instructions) return true;
  const unsigned long long ways = (r.ebx >> 22U) + 1ULL, partitions = ((r.ebx >> 12U) & 0x3FFU) + 1ULL,
                           line = (r.ebx & 0xFFFU) + 1ULL, sets = r.ecx + 1ULL;
  const unsigned long long size = ways * partitions * line;  // of one set, at most 2^32
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

/// Returns the cache sizes of this machine, which are read at the first call.
inline const CacheSizes& cache_sizes() {
  static const CacheSizes sizes = detail::read_cache_sizes();
  return sizes;
}

namespace detail {

/// The number of bytes of a cache that each kind of data may use.
///
/// Block sizes that determine the order of a sum must not depend on these. They are constants, so that results are the
/// same on every machine.
struct CacheBudget {
  Eigen::Index queries;      // first level: a block of queries, while a panel of keys streams through the cache
  Eigen::Index panel_cache;  // second level: the panels of keys, or rows of V, that a worker caches
  Eigen::Index panel;        // second level: one panel of a matrix product
  Eigen::Index panels;       // second level: the panels that stay in the cache while rows stream through it
  Eigen::Index operand;      // second level: an operand that is packed completely
  Eigen::Index transposed;   // second level: rows that are transposed on their way in or out
  Eigen::Index packed;       // larger than the second level: keys that are packed once, even for few queries
  Eigen::Index kept;         // third level: kept entries, until their rows are finished

  static constexpr CacheBudget of(const CacheSizes& sizes) {
    constexpr Eigen::Index kib = 1024;
    const auto smaller = [](Eigen::Index a, Eigen::Index b) { return a < b ? a : b; };
    return {.queries = sizes.l1 / 2,
            .panel_cache = sizes.l2 / 4,
            .panel = smaller(sizes.l2 / 4, 256 * kib),
            .panels = smaller(sizes.l2 / 2, 512 * kib),
            .operand = sizes.l2 / 4 * 3,
            .transposed = sizes.l2 / 2,
            .packed = 2 * sizes.l2,
            .kept = smaller(sizes.l3 / 4, 8192 * kib)};
  }
};

inline CacheBudget cache_budget() { return CacheBudget::of(cache_sizes()); }

}  // namespace detail
}  // namespace filigree
