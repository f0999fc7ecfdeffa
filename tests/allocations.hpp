// SPDX-License-Identifier: MIT
// Counts allocations by operator new and malloc and can make them fail, on platforms where malloc can be replaced.
// Include this header in only one source file of a test.
#pragma once

#include <atomic>
#include <cerrno>
#include <cstddef>
#include <cstdlib>
#include <new>

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define FILIGREE_COUNTS_ALLOCATIONS 0
#elif defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer)
#define FILIGREE_COUNTS_ALLOCATIONS 0
#endif
#endif
#if !defined(FILIGREE_COUNTS_ALLOCATIONS) && defined(__GLIBC__)
#define FILIGREE_COUNTS_ALLOCATIONS 1
#endif

#if FILIGREE_COUNTS_ALLOCATIONS
namespace test {
inline std::atomic<long> allocations{0};

// The number of the allocation that fails, counted by `allocations` (-1: none), and true if all later ones fail too.
inline std::atomic<long> fails_at{-1};
inline std::atomic<bool> fails_on{false};

// Counts an allocation. Returns true if it must fail.
inline bool fails() {
  const long number = allocations.fetch_add(1, std::memory_order_relaxed), at = fails_at.load();
  const bool failed = at >= 0 && (number == at || (number > at && fails_on.load()));
  if (failed) errno = ENOMEM;
  return failed;
}
}  // namespace test
// operator new calls malloc or aligned_alloc.
extern "C" {
void* __libc_malloc(std::size_t);
void* __libc_calloc(std::size_t, std::size_t);
void* __libc_realloc(void*, std::size_t);
void* __libc_memalign(std::size_t, std::size_t);

void* malloc(std::size_t size) {
  if (test::fails()) return nullptr;
  return __libc_malloc(size);
}
void* calloc(std::size_t count, std::size_t size) {
  if (test::fails()) return nullptr;
  return __libc_calloc(count, size);
}
void* realloc(void* p, std::size_t size) {
  if (test::fails()) return nullptr;
  return __libc_realloc(p, size);
}
void* aligned_alloc(std::size_t alignment, std::size_t size) {
  if (test::fails()) return nullptr;
  return __libc_memalign(alignment, size);
}
int posix_memalign(void** p, std::size_t alignment, std::size_t size) {
  if (test::fails()) return ENOMEM;
  *p = __libc_memalign(alignment, size);
  return *p == nullptr ? 12 : 0;
}
}

namespace test {

// Returns the number of allocations that f() makes.
template <class F>
long allocated_by(F&& f) {
  const long before = allocations.load();
  f();
  return allocations.load() - before;
}

// Runs f() and lets its allocation k fail, and all later ones if `all_later`. Returns true if f() threw std::bad_alloc.
template <class F>
bool fails_with(long k, bool all_later, F&& f) {
  fails_on = all_later;
  fails_at = allocations.load() + k;
  bool failed = false;
  try {
    f();
  } catch (const std::bad_alloc&) {
    failed = true;
  } catch (...) {
    fails_at = -1;
    throw;
  }
  fails_at = -1;
  return failed;
}

}  // namespace test
#endif
