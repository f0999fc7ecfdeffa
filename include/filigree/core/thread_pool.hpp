// SPDX-License-Identifier: MIT
#pragma once

#include <Eigen/Core>

#include <algorithm>
#include <atomic>
#include <cstddef>
#include <cstring>

#include "filigree/core/check.hpp"
#include "filigree/core/executor.hpp"
#include "filigree/core/list.hpp"
#include "filigree/core/threads.hpp"

namespace filigree {

/// A fixed set of threads that wait for work, as in A.on(pool). The thread that calls run works too, as worker 0.
///
/// Several threads may call run at the same time: one runs after the other. A run from inside a task of any Filigree
/// executor never waits for a busy pool but runs serially, so nesting cannot deadlock. In the child of a fork, which
/// has none of the threads, the pool runs serially.
class ThreadPool {
 public:
  /// Starts threads - 1 threads; by default as many as make one per hardware thread, the caller included.
  ///
  /// Throws  Error unless 1 <= threads <= 65536, or if the system cannot start as many
  explicit ThreadPool(Eigen::Index threads = hardware_threads()) {
    detail::require(threads >= 1, "thread_pool(threads): threads must be at least 1, got ", threads);
    detail::require(threads <= most_threads, "thread_pool(threads): threads must be at most ", most_threads, ", got ",
                    threads);
    workers_.resize(threads - 1);
    for (Worker& worker : workers_) {
      worker.pool = this;
      worker.number = started_ + 1;
      if (const int error = worker.thread.start(worker)) {
        stop();
        detail::fail("thread_pool(threads): the system cannot start thread ", started_ + 1, " of ", threads, ": ",
                     std::strerror(error));
      }
      ++started_;
    }
  }
  ~ThreadPool() { stop(); }
  ThreadPool(const ThreadPool&) = delete;
  ThreadPool& operator=(const ThreadPool&) = delete;

  [[nodiscard]] Eigen::Index concurrency() const noexcept { return workers_.size() + 1; }

  void run(Eigen::Index tasks, TaskRef f) {
    if (tasks <= 1 || workers_.empty() || is_forked() || !acquire()) return serial().run(tasks, f);
    detail::Batch batch(tasks, f);
    {
      const detail::Lock lock(mutex_);
      batch_ = &batch;
      round_.fetch_add(1, std::memory_order_release);
    }
    work_.notify_all();
    batch.work(0);
    release();
    batch.rethrow();
  }

 private:
  /// A thread of the pool.
  struct Worker {
    ThreadPool* pool = nullptr;
    Eigen::Index number = 0;
    detail::Thread thread = {};

    void operator()() const { pool->serve(number); }
  };

  static constexpr Eigen::Index most_threads = 65536;

  static Eigen::Index hardware_threads() { return std::max<Eigen::Index>(1, detail::processors()); }

  [[nodiscard]] bool is_forked() const { return detail::this_process() != process_; }

  // Waking a sleeper takes longer than a small batch, so whoever waits looks a few times before it sleeps.
  template <class Ready>
  static void spin_briefly(Ready ready) {
    for (int i = 0; i < 64 && !ready(); ++i) detail::yield_thread();
  }

  /// Makes the pool this run's own. False, without waiting, for a busy pool inside a task.
  [[nodiscard]] bool acquire() {
    detail::Lock lock(mutex_);
    if (busy_ && detail::inside_task) return false;
    lock.wait(idle_, [&] { return !busy_; });
    busy_ = true;
    return true;
  }

  /// Waits until every worker has left the batch, and hands the pool on. A worker that wakes up later finds no batch.
  void release() {
    {
      detail::Lock lock(mutex_);
      batch_ = nullptr;
    }
    spin_briefly([&] { return active_.load(std::memory_order_relaxed) == 0; });
    {
      detail::Lock lock(mutex_);
      lock.wait(done_, [&] { return active_.load(std::memory_order_relaxed) == 0; });
      busy_ = false;
    }
    idle_.notify_one();
  }

  void serve(Eigen::Index worker) {
    std::size_t seen = 0;
    for (;;) {
      const auto called = [&] { return round_.load(std::memory_order_acquire) != seen; };
      spin_briefly(called);
      detail::Lock lock(mutex_);
      lock.wait(work_, called);
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
    if (is_forked()) return;
    {
      const detail::Lock lock(mutex_);
      stopping_ = true;
      round_.fetch_add(1, std::memory_order_release);
    }
    work_.notify_all();
    for (Eigen::Index i = 0; i < started_; ++i) workers_[i].thread.join();
  }

  detail::Mutex mutex_;  // guards what follows; the atomics are changed under it and only peeked at without
  detail::Condition work_, done_, idle_;
  detail::Batch* batch_ = nullptr;
  std::atomic<std::size_t> round_{0};
  std::atomic<Eigen::Index> active_{0};
  bool busy_ = false;
  bool stopping_ = false;
  detail::List<Worker> workers_;  // of which the first `started_` run
  Eigen::Index started_ = 0;
  detail::Process process_ = detail::this_process();  // which has the threads
};

/// A thread pool, as programs write it: fg::thread_pool pool(4);
using thread_pool = ThreadPool;

}  // namespace filigree
