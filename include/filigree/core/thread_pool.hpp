// SPDX-License-Identifier: MIT
#pragma once

#include <Eigen/Core>

#include <algorithm>
#include <atomic>
#include <condition_variable>
#include <cstddef>
#include <mutex>
#include <thread>
#include <vector>

#include "filigree/core/check.hpp"
#include "filigree/core/executor.hpp"

namespace filigree {

/// A fixed set of threads that wait for work, as in A.on(pool). The thread that calls run works too, as worker 0.
///
/// Several threads may call run at the same time: one runs after the other. A run from inside a task of any Filigree
/// executor never waits for a busy pool but runs serially, so nesting cannot deadlock.
class ThreadPool {
 public:
  /// Starts threads - 1 threads; by default as many as make one per hardware thread, the caller included.
  ///
  /// Throws  Error if threads < 1
  explicit ThreadPool(Eigen::Index threads = hardware_threads()) {
    detail::require(threads >= 1, "thread_pool(threads): threads must be at least 1, got ", threads);
    try {
      threads_.reserve(static_cast<std::size_t>(threads - 1));
      for (Eigen::Index worker = 1; worker < threads; ++worker)
        threads_.emplace_back([this, worker] { serve(worker); });
    } catch (...) {
      stop();
      throw;
    }
  }
  ~ThreadPool() { stop(); }
  ThreadPool(const ThreadPool&) = delete;
  ThreadPool& operator=(const ThreadPool&) = delete;

  [[nodiscard]] Eigen::Index concurrency() const noexcept { return static_cast<Eigen::Index>(threads_.size()) + 1; }

  void run(Eigen::Index tasks, TaskRef f) {
    if (tasks <= 1 || threads_.empty() || !acquire()) return serial().run(tasks, f);
    detail::Batch batch(tasks, f);
    {
      const std::lock_guard lock(mutex_);
      batch_ = &batch;
      round_.fetch_add(1, std::memory_order_release);
    }
    work_.notify_all();
    batch.work(0);
    release();
    batch.rethrow();
  }

 private:
  static Eigen::Index hardware_threads() { return std::max<Eigen::Index>(1, std::thread::hardware_concurrency()); }

  // Waking a sleeper takes longer than a small batch, so whoever waits looks a few times before it sleeps.
  template <class Ready>
  static void linger(Ready ready) {
    for (int i = 0; i < 64 && !ready(); ++i) std::this_thread::yield();
  }

  /// Makes the pool this run's own. False, without waiting, for a busy pool inside a task.
  [[nodiscard]] bool acquire() {
    std::unique_lock lock(mutex_);
    if (busy_ && detail::inside_task) return false;
    idle_.wait(lock, [&] { return !busy_; });
    busy_ = true;
    return true;
  }

  /// Waits until every worker has left the batch, and hands the pool on. A worker that wakes up later finds no batch.
  void release() {
    {
      std::unique_lock lock(mutex_);
      batch_ = nullptr;
    }
    linger([&] { return active_.load(std::memory_order_relaxed) == 0; });
    {
      std::unique_lock lock(mutex_);
      done_.wait(lock, [&] { return active_.load(std::memory_order_relaxed) == 0; });
      busy_ = false;
    }
    idle_.notify_one();
  }

  void serve(Eigen::Index worker) {
    std::size_t seen = 0;
    for (;;) {
      const auto called = [&] { return round_.load(std::memory_order_acquire) != seen; };
      linger(called);
      std::unique_lock lock(mutex_);
      work_.wait(lock, called);
      seen = round_.load(std::memory_order_relaxed);
      if (stopping_) return;
      if (batch_ == nullptr) continue;
      detail::Batch& batch = *batch_;
      active_.fetch_add(1, std::memory_order_relaxed);
      lock.unlock();
      batch.work(worker);
      lock.lock();
      if (active_.fetch_sub(1, std::memory_order_relaxed) == 1) done_.notify_one();
    }
  }

  void stop() {
    {
      const std::lock_guard lock(mutex_);
      stopping_ = true;
      round_.fetch_add(1, std::memory_order_release);
    }
    work_.notify_all();
    for (std::thread& thread : threads_) thread.join();
  }

  std::mutex mutex_;  // guards what follows; the atomics are changed under it and only peeked at without
  std::condition_variable work_, done_, idle_;
  detail::Batch* batch_ = nullptr;
  std::atomic<std::size_t> round_{0};
  std::atomic<Eigen::Index> active_{0};
  bool busy_ = false;
  bool stopping_ = false;
  std::vector<std::thread> threads_;
};

/// As programs write it: fg::thread_pool pool(4);
using thread_pool = ThreadPool;

}  // namespace filigree
