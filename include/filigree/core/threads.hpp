// SPDX-License-Identifier: MIT
#pragma once

#if defined(_WIN32)
#include "filigree/core/threads_windows.hpp"  // IWYU pragma: export
#else
#include "filigree/core/threads_posix.hpp"  // IWYU pragma: export
#endif

// Provides Mutex, Condition, Thread, processors(), yield_thread() and this_process() for the executors.

namespace filigree::detail {

/// A scope that holds a mutex, until unlock() or the end of the scope.
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
  /// Waits until ready() is true. The lock is held when ready() is called and on return.
  template <class Ready>
  void wait(Condition& condition, const Ready& ready) {
    while (!ready()) condition.wait(mutex_);
  }

 private:
  Mutex& mutex_;
  bool held_ = false;
};

}  // namespace filigree::detail
