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

/// An executor with a fixed number of threads, as in A.on(pool). The thread that calls run works too, as worker 0.
///
/// Several threads may call run concurrently; their runs are executed one after another. If the pool is busy, a run
/// from inside a task of any Filigree executor does not wait but runs serially, so nested runs cannot deadlock. The
/// child of a fork has none of the threads; there, the pool runs serially.
class ThreadPool {
 public:
  /// Starts `threads` - 1 threads, since the calling thread is one of the workers. The default is one worker for each
  /// hardware thread.
  ///
  /// Throws  Error unless 1 <= threads <= 65536, or if the system cannot start a thread
  explicit ThreadPool(Eigen::Index threads = hardware_threads()) {
    detail::require(threads >= 1, "thread_pool(threads): threads must be at least 1, got ", threads);
    detail::require(threads <= max_threads, "thread_pool(threads): threads must be at most ", max_threads, ", got ",
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

  static constexpr Eigen::Index max_threads = 65536;

  static Eigen::Index hardware_threads() { return std::max<Eigen::Index>(1, detail::processors()); }

  [[nodiscard]] bool is_forked() const { return detail::this_process() != process_; }

  // Waking a sleeping thread takes longer than a small batch, so a thread polls a few times before it sleeps.
  template <class Ready>
  static void spin_briefly(Ready ready) {
    for (int i = 0; i < 64 && !ready(); ++i) detail::yield_thread();
  }

  /// Waits until the pool is idle and reserves it for the calling run. Inside a task, returns false immediately if the
  /// pool is busy.
  [[nodiscard]] bool acquire() {
    detail::Lock lock(mutex_);
    if (busy_ && detail::inside_task) return false;
    lock.wait(idle_, [&] { return !busy_; });
    busy_ = true;
    return true;
  }

  /// Waits until all workers have finished the batch, then makes the pool available again. A worker that wakes up later
  /// finds no batch.
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

  /// The main loop of a worker thread.
  void serve(Eigen::Index worker) {
    std::size_t last_round = 0;
    for (;;) {
      const auto is_new_round = [&] { return round_.load(std::memory_order_acquire) != last_round; };
      spin_briefly(is_new_round);
      detail::Lock lock(mutex_);
      lock.wait(work_, is_new_round);
      last_round = round_.load(std::memory_order_relaxed);
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

  // The mutex guards the members below. The atomics are also changed only under it, but may be read without it.
  detail::Mutex mutex_;
  detail::Condition work_, done_, idle_;
  detail::Batch* batch_ = nullptr;
  std::atomic<std::size_t> round_{0};
  std::atomic<Eigen::Index> active_{0};
  bool busy_ = false;
  bool stopping_ = false;
  detail::List<Worker> workers_;  // the first `started_` of them run
  Eigen::Index started_ = 0;
  detail::Process process_ = detail::this_process();  // the process that has the threads
};

/// The user-facing name of ThreadPool: fg::thread_pool pool(4);
using thread_pool = ThreadPool;

}  // namespace filigree
