// SPDX-License-Identifier: MIT
#pragma once

#include <pthread.h>
#include <sched.h>
#include <unistd.h>

#include "filigree/core/requirements.hpp"

// The part of POSIX threads that the executors need. <thread>, <mutex> and <condition_variable> would include <chrono>
// and stop tokens: 44,000 tokens, which add a tenth of the compile time of Eigen's headers to every program.

namespace filigree::detail {

/// A mutex.
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

/// A condition variable.
///
/// The destructor does not call pthread_cond_destroy. The handle owns no resources, and in the child of a fork glibc
/// would wait there for threads that exist only in the parent.
class Condition {
 public:
  Condition() = default;
  Condition(const Condition&) = delete;
  Condition& operator=(const Condition&) = delete;

  /// Waits for a notification. The caller must hold the mutex, and holds it again on return.
  void wait(Mutex& mutex) noexcept { pthread_cond_wait(&handle_, &mutex.handle_); }
  void notify_one() noexcept { pthread_cond_signal(&handle_); }
  void notify_all() noexcept { pthread_cond_broadcast(&handle_); }

 private:
  pthread_cond_t handle_ = PTHREAD_COND_INITIALIZER;
};

/// A thread that must be joined after a successful start.
class Thread {
 public:
  /// Starts a thread that calls body(). Returns 0, or an error number. The body must outlive the thread and must not
  /// throw.
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

/// An id of the current process; it differs in the child of a fork.
using Process = pid_t;
inline Process this_process() { return ::getpid(); }

}  // namespace filigree::detail
