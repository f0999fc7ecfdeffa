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
#define FILIGREE_HIDDEN  // Windows modules do not share symbols that they do not export
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

/// A non-owning reference to a callable f(task, worker). Nothing is copied or allocated; the callable must outlive the
/// reference.
///
/// Each call runs in the floating-point environment of the thread that created the reference. Results therefore do not
/// depend on which thread computes them.
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

/// A type that runs tasks. e.run(tasks, f) calls f(task, worker) once for each task in 0..tasks-1 and returns when all
/// calls have returned. The worker is in 0..e.concurrency()-1, and concurrent calls have different workers.
///
/// The executors of Filigree do not allocate in run. If a call throws, tasks that have not started are skipped. run
/// then rethrows the exception of the lowest task that threw, for any number of threads. A task may call run: if no
/// threads are free, the nested run is serial, with worker 0.
template <class E>
concept Executor = requires(E& e, Eigen::Index tasks, TaskRef f) {
  e.run(tasks, f);
  { e.concurrency() } -> std::convertible_to<Eigen::Index>;
};

/// An executor that runs all tasks on the calling thread, in ascending order.
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

/// The executor that ExecutorRef() refers to; null means the serial one. Its symbol is hidden, so each module (a
/// program or a shared library) has its own. A library compiled with OpenMP must not change the default of other
/// modules, and must not leave them a dangling executor when it is unloaded.
FILIGREE_HIDDEN inline constinit std::atomic<const ExecutorRef*> default_executor{nullptr};

/// True while this thread runs a task of a parallel executor. Such a thread must not wait for the threads of another
/// executor, which may be waiting for it. The symbol is shared between modules where the platform allows it, since a
/// module may compute inside a task of another one.
inline constinit thread_local bool inside_task = false;

template <class E>
concept NotExecutorRef = Executor<E> && !std::same_as<std::remove_const_t<E>, ExecutorRef>;

/// A table of functions that call an executor whose type is erased.
struct ExecutorCalls {
  void (*run)(void*, Eigen::Index, TaskRef);
  Eigen::Index (*concurrency)(void*);
};

template <class E>
inline constexpr ExecutorCalls executor_calls{
    [](void* e, Eigen::Index tasks, TaskRef f) { static_cast<E*>(e)->run(tasks, f); },
    [](void* e) { return static_cast<Eigen::Index>(static_cast<E*>(e)->concurrency()); }};

/// The tasks of one run, which its workers take in ascending order.
class Batch {
 public:
  Batch(Eigen::Index tasks, TaskRef f) noexcept : tasks_(tasks), f_(f) {}

  /// Runs tasks until none is left.
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

  /// Rethrows the exception of the lowest failed task. Must be called after all workers have returned from work().
  void rethrow() {
    if (error_) std::rethrow_exception(std::move(error_));
  }

 private:
  // Tasks are taken in ascending order, so all tasks below a failed one have been taken and will finish. The lowest
  // failure is therefore always recorded.
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

/// A non-owning reference to any executor, which must outlive the reference.
///
/// ExecutorRef() is the default executor of the program or shared library: OpenMP if any of its translation units that
/// include Filigree was compiled with OpenMP, and serial otherwise.
class ExecutorRef {
 public:
  FILIGREE_HIDDEN ExecutorRef() noexcept : ExecutorRef(serial()) {
    if (const ExecutorRef* e = detail::default_executor.load(std::memory_order_acquire)) *this = *e;
  }

  template <detail::NotExecutorRef E>
  ExecutorRef(E& executor) noexcept
      : object_(const_cast<void*>(static_cast<const void*>(std::addressof(executor)))),
        calls_(&detail::executor_calls<E>) {}

  void run(Eigen::Index tasks, TaskRef f) const { calls_->run(object_, tasks, f); }
  /// Returns the number of workers, at least 1. An executor may report std::thread::hardware_concurrency(), which may
  /// be 0.
  [[nodiscard]] Eigen::Index concurrency() const { return std::max<Eigen::Index>(1, calls_->concurrency(object_)); }

 private:
  void* object_;
  const detail::ExecutorCalls* calls_;
};

#ifdef _OPENMP
// _OPENMP guards whole declarations and never the body of a function. Translation units with and without OpenMP
// therefore do not violate the one-definition rule.

/// An executor that runs tasks in an OpenMP parallel region of at most omp_get_max_threads() threads.
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
