// SPDX-License-Identifier: MIT
#pragma once

#include <pthread.h>

#include <system_error>

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

class Condition {
 public:
  Condition() = default;
  ~Condition() { pthread_cond_destroy(&handle_); }
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

/// Starts a thread that calls body(), which must outlive it and throw nothing. Every thread is joined by pthread_join.
///
/// Throws  std::system_error if the system has no more threads
template <class Body>
pthread_t start_thread(Body& body) {
  pthread_t thread;
  const int error = pthread_create(
      &thread, nullptr,
      [](void* called) -> void* {
        (*static_cast<Body*>(called))();
        return nullptr;
      },
      &body);
  if (error != 0) throw std::system_error(error, std::generic_category(), "filigree: a thread cannot be started");
  return thread;
}

}  // namespace filigree::detail
