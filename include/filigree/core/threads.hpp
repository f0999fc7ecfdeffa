// SPDX-License-Identifier: MIT
#pragma once

#if defined(_WIN32)
#include "filigree/core/threads_windows.hpp"  // IWYU pragma: export
#else
#include "filigree/core/threads_posix.hpp"  // IWYU pragma: export
#endif

// Threads as far as the executors need them: Mutex, Condition, Thread, processors(), yield_thread(), this_process().

namespace filigree::detail {

/// Holds a mutex until the end of its scope, or until it is unlocked.
class Lock {
 public:
  explicit Lock(Mutex& mutex) : mutex_(mutex) { lock(); }
  ~Lock() {
    if (held_) unlock();
  }
  Lock(const Lock&) = delete;
  Lock& operator=(const Lock&) = delete;

  void lock() {
    mutex_.lock();
    held_ = true;
  }
  void unlock() noexcept {
    held_ = false;
    mutex_.unlock();
  }
  /// Returns once ready() is true, with the lock held as before.
  template <class Ready>
  void wait(Condition& condition, const Ready& ready) {
    while (!ready()) condition.wait(mutex_);
  }

 private:
  Mutex& mutex_;
  bool held_ = false;
};

}  // namespace filigree::detail
