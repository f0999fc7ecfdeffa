// SPDX-License-Identifier: MIT
#pragma once

#include <pthread.h>
#include <sched.h>
#include <unistd.h>

#include "filigree/core/requirements.hpp"

// The threads of POSIX, as far as the executors need them. <thread>, <mutex> and <condition_variable> bring <chrono>
// and stop tokens along: 44,000 tokens, which would be a tenth of the cost of Eigen's headers in every program.

namespace filigree::detail {

class Mutex {
 public:
  Mutex() = default;
  ~Mutex() { pthread_mutex_destroy(&handle_); }
  Mutex(const Mutex&) = delete;
  Mutex& operator=(const Mutex&) = delete;

  void lock() noexcept { pthread_mutex_lock(&handle_); }
  void unlock() noexcept { pthread_mutex_unlock(&handle_); }

 private:
  friend class Condition;
  pthread_mutex_t handle_ = PTHREAD_MUTEX_INITIALIZER;
};

/// Is not destroyed: it holds nothing, and in the child of a fork glibc would wait for waiters that only the parent
/// has.
class Condition {
 public:
  Condition() = default;
  Condition(const Condition&) = delete;
  Condition& operator=(const Condition&) = delete;

  /// Waits for a notification, with the mutex locked before and after.
  void wait(Mutex& mutex) noexcept { pthread_cond_wait(&handle_, &mutex.handle_); }
  void notify_one() noexcept { pthread_cond_signal(&handle_); }
  void notify_all() noexcept { pthread_cond_broadcast(&handle_); }

 private:
  pthread_cond_t handle_ = PTHREAD_COND_INITIALIZER;
};

class Thread {
 public:
  /// Starts the thread, which calls body(); that must outlive it and throw nothing. Returns 0, or the number of the
  /// error. A thread that was started must be joined.
  template <class Body>
  int start(Body& body) {
    return pthread_create(
        &handle_, nullptr,
        [](void* called) -> void* {
          (*static_cast<Body*>(called))();
          return nullptr;
        },
        &body);
  }
  void join() { pthread_join(handle_, nullptr); }

 private:
  pthread_t handle_{};
};

inline long processors() { return ::sysconf(_SC_NPROCESSORS_ONLN); }
inline void yield_thread() { ::sched_yield(); }

/// The process, which another one is after a fork.
using Process = pid_t;
inline Process this_process() { return ::getpid(); }

}  // namespace filigree::detail
