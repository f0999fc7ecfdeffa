// SPDX-License-Identifier: MIT
#pragma once

#include <condition_variable>
#include <mutex>
#include <system_error>
#include <thread>

#include "filigree/core/requirements.hpp"

// The same interface as threads_posix.hpp, on the standard library.

namespace filigree::detail {

using Mutex = std::mutex;

class Condition {
 public:
  void wait(Mutex& mutex) {
    std::unique_lock<std::mutex> lock(mutex, std::adopt_lock);
    handle_.wait(lock);
    lock.release();
  }
  void notify_one() noexcept { handle_.notify_one(); }
  void notify_all() noexcept { handle_.notify_all(); }

 private:
  std::condition_variable handle_;
};

class Thread {
 public:
  template <class Body>
  int start(Body& body) {
    try {
      handle_ = std::thread([&body] { body(); });
      return 0;
    } catch (const std::system_error& error) {
      return error.code().value();
    }
  }
  void join() { handle_.join(); }

 private:
  std::thread handle_;
};

inline long processors() { return static_cast<long>(std::thread::hardware_concurrency()); }
inline void yield_thread() { std::this_thread::yield(); }

using Process = int;
inline Process this_process() { return 0; }  // Windows has no fork

}  // namespace filigree::detail
