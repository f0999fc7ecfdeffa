// SPDX-License-Identifier: MIT
#pragma once

#include <pthread.h>
#include <unistd.h>

#include "filigree/core/requirements.hpp"

// POSIX threads, as far as the executors need them. <thread>, <mutex> and <condition_variable> bring <chrono> and stop
// tokens along: 44,000 tokens, which would be a tenth of the cost of Eigen's headers in every program.

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

/// Holds a mutex until the end of its scope, or until it is unlocked.
class Lock {
 public:
  explicit Lock(Mutex& mutex) noexcept : mutex_(mutex) { lock(); }
  ~Lock() {
    if (held_) unlock();
  }
  Lock(const Lock&) = delete;
  Lock& operator=(const Lock&) = delete;

  void lock() noexcept {
    mutex_.lock();
    held_ = true;
  }
  void unlock() noexcept {
    held_ = false;
    mutex_.unlock();
  }

 private:
  friend class Condition;
  Mutex& mutex_;
  bool held_ = false;
};

/// Is not destroyed: it holds nothing, and in the child of a fork glibc would wait for waiters that only the parent
/// has.
class Condition {
 public:
  Condition() = default;
  Condition(const Condition&) = delete;
  Condition& operator=(const Condition&) = delete;

  /// Returns once ready() is true, with the lock held as before.
  template <class Ready>
  void wait(Lock& lock, const Ready& ready) {
    while (!ready()) pthread_cond_wait(&handle_, &lock.mutex_.handle_);
  }
  void notify_one() noexcept { pthread_cond_signal(&handle_); }
  void notify_all() noexcept { pthread_cond_broadcast(&handle_); }

 private:
  pthread_cond_t handle_ = PTHREAD_COND_INITIALIZER;
};

/// Starts a thread that calls body(), which must outlive it and throw nothing. Returns 0, or the number of the error.
/// Every thread is joined by pthread_join.
template <class Body>
int start_thread(pthread_t& thread, Body& body) {
  return pthread_create(
      &thread, nullptr,
      [](void* called) -> void* {
        (*static_cast<Body*>(called))();
        return nullptr;
      },
      &body);
}

}  // namespace filigree::detail
