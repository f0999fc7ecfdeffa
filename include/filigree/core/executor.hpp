// SPDX-License-Identifier: MIT
#pragma once

#include <Eigen/Core>

#include <algorithm>
#include <atomic>
#include <concepts>
#include <exception>
#include <limits>
#include <memory>
#include <type_traits>
#include <utility>

#ifdef _OPENMP
#include <omp.h>
#endif

#include "filigree/core/float_environment.hpp"
#include "filigree/core/threads.hpp"

#if defined(_WIN32)
#define FILIGREE_HIDDEN  // modules share nothing there that they do not export
#else
#define FILIGREE_HIDDEN [[gnu::visibility("hidden")]]
#endif

namespace filigree {

class TaskRef;

namespace detail {
template <class F>
concept Task = std::is_object_v<std::remove_reference_t<F>> && !std::same_as<std::remove_cvref_t<F>, TaskRef> &&
               std::invocable<F&, Eigen::Index, Eigen::Index>;
}

/// Refers to a callable f(task, worker). Nothing is copied or allocated; the callable must outlive the reference.
///
/// Each call runs in the floating-point environment of the thread that made the reference, whatever that of the calling
/// thread is, so that results do not depend on which thread computes them.
class TaskRef {
 public:
  template <detail::Task F>
  TaskRef(F&& f) noexcept
      : object_(const_cast<void*>(static_cast<const void*>(std::addressof(f)))),
        call_([](void* object, Eigen::Index task, Eigen::Index worker) {
          (*static_cast<std::remove_reference_t<F>*>(object))(task, worker);
        }) {}

  void operator()(Eigen::Index task, Eigen::Index worker) const {
    const detail::FloatEnvironmentScope scope(environment_);
    call_(object_, task, worker);
  }

 private:
  void* object_;
  void (*call_)(void*, Eigen::Index, Eigen::Index);
  detail::FloatEnvironment environment_;
};

/// Anything that runs tasks. e.run(tasks, f) calls f(task, worker) once for each task in 0..tasks-1 and returns when
/// all calls have returned; worker is in 0..e.concurrency()-1, and no two calls at the same time have the same worker.
///
/// The executors of Filigree allocate nothing in run. When calls throw, tasks that have not started are skipped and
/// the exception of the lowest task that throws reaches the caller, whatever the number of threads. Calling run from
/// inside a task is allowed: it runs serially, as worker 0, where no free threads are at hand.
template <class E>
concept Executor = requires(E& e, Eigen::Index tasks, TaskRef f) {
  e.run(tasks, f);
  { e.concurrency() } -> std::convertible_to<Eigen::Index>;
};

/// Runs every task on the calling thread, in order.
struct SerialExecutor {
  void run(Eigen::Index tasks, TaskRef f) const {
    for (Eigen::Index task = 0; task < tasks; ++task) f(task, 0);
  }
  [[nodiscard]] constexpr Eigen::Index concurrency() const noexcept { return 1; }
};

/// Returns the serial executor, as in A.on(fg::serial()).
inline const SerialExecutor& serial() noexcept {
  static constexpr SerialExecutor executor;
  return executor;
}

class ExecutorRef;

namespace detail {

/// The executor that ExecutorRef() refers to, where it is not the serial one. It belongs to one module (a program or a
/// shared library), which keeps its symbol to itself: a library with OpenMP must not change what others run on, nor
/// leave them an executor when it is unloaded.
FILIGREE_HIDDEN inline constinit std::atomic<const ExecutorRef*> default_executor{nullptr};

/// Whether this thread runs a task of a parallel executor. Such a thread must not wait for another executor's threads,
/// which may be waiting for it. Modules share it where they can: one may compute inside a task of another.
inline constinit thread_local bool inside_task = false;

template <class E>
concept NotExecutorRef = Executor<E> && !std::same_as<std::remove_const_t<E>, ExecutorRef>;

struct ExecutorCalls {
  void (*run)(void*, Eigen::Index, TaskRef);
  Eigen::Index (*concurrency)(void*);
};

template <class E>
inline constexpr ExecutorCalls executor_calls{
    [](void* e, Eigen::Index tasks, TaskRef f) { static_cast<E*>(e)->run(tasks, f); },
    [](void* e) { return static_cast<Eigen::Index>(static_cast<E*>(e)->concurrency()); }};

/// The tasks of one run, handed to its workers in ascending order.
class Batch {
 public:
  Batch(Eigen::Index tasks, TaskRef f) noexcept : tasks_(tasks), f_(f) {}

  /// Takes tasks until none is left.
  void work(Eigen::Index worker) noexcept {
    const bool outside = !inside_task;
    inside_task = true;
    for (;;) {
      const Eigen::Index task = next_.fetch_add(1, std::memory_order_relaxed);
      if (task >= tasks_) break;
      try {
        f_(task, worker);
      } catch (...) {
        fail(task);
      }
    }
    if (outside) inside_task = false;
  }

  /// To be called when every worker has returned.
  void rethrow() {
    if (error_) std::rethrow_exception(std::move(error_));
  }

 private:
  // All tasks below a failed one were handed out before it and will finish, so the lowest failure is always seen.
  void fail(Eigen::Index task) noexcept {
    next_.store(tasks_, std::memory_order_relaxed);
    const Lock lock(mutex_);
    if (task < failed_) {
      failed_ = task;
      error_ = std::current_exception();
    }
  }

  Eigen::Index tasks_;
  TaskRef f_;
  std::atomic<Eigen::Index> next_{0};
  Mutex mutex_;
  Eigen::Index failed_ = (std::numeric_limits<Eigen::Index>::max)();
  std::exception_ptr error_;
};

}  // namespace detail

/// Refers to any executor, which must outlive the reference. ExecutorRef() is the default of the program or shared
/// library: OpenMP when any of its translation units that include Filigree was compiled with it, else serial.
class ExecutorRef {
 public:
  FILIGREE_HIDDEN ExecutorRef() noexcept : ExecutorRef(serial()) {
    if (const ExecutorRef* chosen = detail::default_executor.load(std::memory_order_acquire)) *this = *chosen;
  }

  template <detail::NotExecutorRef E>
  ExecutorRef(E& executor) noexcept
      : object_(const_cast<void*>(static_cast<const void*>(std::addressof(executor)))),
        calls_(&detail::executor_calls<E>) {}

  void run(Eigen::Index tasks, TaskRef f) const { calls_->run(object_, tasks, f); }
  /// At least 1: an executor may report what std::thread::hardware_concurrency() returns, which may be 0.
  [[nodiscard]] Eigen::Index concurrency() const { return std::max<Eigen::Index>(1, calls_->concurrency(object_)); }

 private:
  void* object_;
  const detail::ExecutorCalls* calls_;
};

#ifdef _OPENMP
// Only whole entities depend on _OPENMP, never the body of a function: translation units with and without it agree.

/// Runs tasks in an OpenMP parallel region of at most omp_get_max_threads() threads.
class OpenMpExecutor {
 public:
  void run(Eigen::Index tasks, TaskRef f) const {
    const auto team = static_cast<int>((std::min)(tasks, concurrency()));
    if (team <= 1) return serial().run(tasks, f);
    detail::Batch batch(tasks, f);
#pragma omp parallel num_threads(team)
    batch.work(omp_get_thread_num());
    batch.rethrow();
  }
  [[nodiscard]] Eigen::Index concurrency() const noexcept { return omp_get_max_threads(); }
};

namespace detail {
FILIGREE_HIDDEN inline constexpr OpenMpExecutor openmp_executor;
FILIGREE_HIDDEN inline const ExecutorRef openmp_default(openmp_executor);
FILIGREE_HIDDEN inline const bool openmp_is_default =
    (default_executor.store(&openmp_default, std::memory_order_release), true);
}  // namespace detail
#endif

}  // namespace filigree

#undef FILIGREE_HIDDEN
