// SPDX-License-Identifier: MIT
#include "filigree/core/executor.hpp"

#include <algorithm>
#include <array>
#include <atomic>
#include <cfenv>
#include <chrono>
#include <cmath>
#include <cstddef>
#include <cstdlib>
#include <new>
#include <stdexcept>
#include <string>
#include <thread>
#include <type_traits>
#include <vector>

#include "catch.hpp"
#include "filigree/core/float_environment.hpp"
#include "filigree/core/thread_pool.hpp"

namespace {
std::atomic<long> allocations{0};
}

// The sanitizers define operator new, which must not be replaced.
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define COUNTS_ALLOCATIONS 0
#elif defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer)
#define COUNTS_ALLOCATIONS 0
#endif
#endif
#ifndef COUNTS_ALLOCATIONS
#define COUNTS_ALLOCATIONS 1
#endif

#if COUNTS_ALLOCATIONS
// Not inlined, since g++ 12 would warn about an inlined pair of new and free.
[[gnu::noinline]] void* operator new(std::size_t size) {
  allocations.fetch_add(1, std::memory_order_relaxed);
  if (void* memory = std::malloc(size == 0 ? 1 : size)) return memory;
  throw std::bad_alloc();
}
[[gnu::noinline]] void operator delete(void* memory) noexcept { std::free(memory); }
[[gnu::noinline]] void operator delete(void* memory, std::size_t) noexcept { std::free(memory); }
#endif

namespace fg = filigree;
using Eigen::Index;

static_assert(fg::Executor<fg::SerialExecutor>);
static_assert(fg::Executor<const fg::SerialExecutor>);
static_assert(fg::Executor<fg::ThreadPool>);
static_assert(fg::Executor<fg::ExecutorRef>);
static_assert(!fg::Executor<int>);
static_assert(std::is_constructible_v<fg::ExecutorRef, fg::ThreadPool&>);
static_assert(!std::is_constructible_v<fg::ExecutorRef, fg::SerialExecutor>, "a temporary would dangle");
static_assert(std::is_trivially_copyable_v<fg::ExecutorRef> && std::is_trivially_copyable_v<fg::TaskRef>);

namespace {

// An executor of a user, which runs the tasks in descending order.
struct Backwards {
  void run(Index tasks, fg::TaskRef f) {
    for (Index task = tasks; task-- > 0;) f(task, 0);
  }
  int concurrency() const { return 1; }
};

struct Executors {
  Backwards backwards;
  fg::ThreadPool one{1}, two{2}, four{4};
#ifdef _OPENMP
  fg::OpenMpExecutor openmp;
#endif
  std::vector<fg::ExecutorRef> ours() {
    std::vector<fg::ExecutorRef> list{fg::ExecutorRef(), fg::serial(), one, two, four};
#ifdef _OPENMP
    list.push_back(openmp);
#endif
    return list;
  }
  std::vector<fg::ExecutorRef> all() {
    std::vector<fg::ExecutorRef> list = ours();
    list.push_back(backwards);
    return list;
  }
};

// Counts the threads inside a scope, which may be left by an exception.
class ScopeCounter {
 public:
  explicit ScopeCounter(std::atomic<int>& count) : count_(count) { ++count_; }
  ~ScopeCounter() { --count_; }
  ScopeCounter(const ScopeCounter&) = delete;
  ScopeCounter& operator=(const ScopeCounter&) = delete;

 private:
  std::atomic<int>& count_;
};

// Runs long enough for other workers to start.
double busy(Index task) {
  double x = static_cast<double>(task);
  for (int i = 0; i < 2000; ++i) x = std::sqrt(x + i);
  return x;
}

}  // namespace

TEST_CASE("every task runs once, and concurrent tasks have different workers") {
  Executors executors;
  for (fg::ExecutorRef e : executors.all()) {
    for (const Index tasks : {0, 1, 2, 3, 7, 64, 500}) {
      std::vector<int> times(static_cast<std::size_t>(tasks));  // a race if a task ran twice
      std::vector<std::atomic<int>> inside(static_cast<std::size_t>(e.concurrency()));
      std::atomic<int> wrong{0};
      e.run(tasks, [&](Index task, Index worker) {
        if (worker < 0 || worker >= e.concurrency() || inside[static_cast<std::size_t>(worker)].fetch_add(1) != 0)
          ++wrong;
        ++times[static_cast<std::size_t>(task)];
        busy(task);
        inside[static_cast<std::size_t>(worker)].fetch_sub(1);
      });
      CHECK(wrong == 0);
      CHECK(std::count(times.begin(), times.end(), 1) == tasks);
    }
    e.run(-3, [](Index, Index) { FAIL("no task may run"); });
  }
}

TEST_CASE("a pool has the requested number of threads and uses all of them") {
  CHECK(fg::thread_pool(3).concurrency() == 3);
  CHECK(fg::thread_pool().concurrency() == std::max(1, static_cast<int>(std::thread::hardware_concurrency())));
  CHECK_THROWS_WITH(fg::thread_pool(0), "filigree: thread_pool(threads): threads must be at least 1, got 0");
  CHECK_THROWS_AS(fg::thread_pool(-1), fg::Error);
  CHECK_THROWS_WITH(fg::thread_pool(Index(1) << 62),
                    "filigree: thread_pool(threads): threads must be at most 65536, got 4611686018427387904");

  fg::thread_pool pool(3);
  std::atomic<int> present{0};
  std::array<std::thread::id, 3> ids;
  pool.run(3, [&](Index, Index worker) {  // returns only when all three workers run
    ids[static_cast<std::size_t>(worker)] = std::this_thread::get_id();
    ++present;
    while (present < 3) std::this_thread::yield();
  });
  CHECK(ids[0] == std::this_thread::get_id());
  CHECK((ids[0] != ids[1] && ids[1] != ids[2] && ids[0] != ids[2]));
}

TEST_CASE("a pool can be destroyed without a run, and runs after idle periods") {
  for (int i = 0; i < 50; ++i) fg::thread_pool pool(4);
  fg::thread_pool pool(2);
  for (int i = 0; i < 5; ++i) {
    std::this_thread::sleep_for(std::chrono::milliseconds(5));
    std::atomic<int> count{0};
    pool.run(10, [&](Index, Index) { ++count; });
    CHECK(count == 10);
  }
}

TEST_CASE("the default executor is OpenMP if compiled with OpenMP, and serial otherwise") {
  fg::ExecutorRef e;
#ifdef _OPENMP
  CHECK(e.concurrency() == omp_get_max_threads());
#else
  CHECK(e.concurrency() == 1);
#endif
  Backwards backwards;
  e = backwards;
  std::string order;
  e.run(3, [&](Index task, Index) { order += std::to_string(task); });
  CHECK(order == "210");
}

TEST_CASE("a task may be any callable object") {
  long sum = 0;
  const auto constant = [&sum](Index task, Index) { sum += task; };
  auto changing = [&sum, calls = 0](Index, Index) mutable { sum += ++calls; };
  fg::serial().run(4, constant);
  fg::serial().run(4, changing);
  fg::serial().run(4, changing);
  CHECK(sum == 6 + 10 + 26);
  const fg::TaskRef task = constant;
  fg::TaskRef copy = task;  // refers to the callable, not to the reference
  copy(100, 0);
  CHECK(sum == 142);
}

TEST_CASE("run rethrows the exception of the lowest failing task") {
  Executors executors;
  for (fg::ExecutorRef e : executors.ours()) {
    for (int round = 0; round < 20; ++round) {
      std::atomic<int> running{0}, ran{0};
      std::string message;
      try {
        e.run(1000, [&](Index task, Index) {
          const ScopeCounter counter(running);
          ++ran;
          busy(task);
          if (task >= 5 && task % 2 == 1) throw std::runtime_error("task " + std::to_string(task));
        });
      } catch (const std::runtime_error& error) {
        message = error.what();
      }
      CHECK(running == 0);
      // From task 5 on, every second task fails, after which its worker takes no further task.
      CHECK(message == "task 5");
      CHECK(ran <= 5 + 2 * e.concurrency());
    }
    int after = 0;
    e.run(1, [&](Index, Index) { ++after; });
    CHECK(after == 1);
  }
}

TEST_CASE("a nested run works and has its own worker numbers") {
  Executors executors;
  for (fg::ExecutorRef outer : executors.all()) {
    for (fg::ExecutorRef inner : executors.all()) {
      std::atomic<int> count{0}, wrong{0};
      outer.run(6, [&](Index, Index) {
        std::vector<std::atomic<int>> inside(static_cast<std::size_t>(inner.concurrency()));
        inner.run(5, [&](Index, Index worker) {
          if (worker >= inner.concurrency() || inside[static_cast<std::size_t>(worker)].fetch_add(1) != 0) ++wrong;
          outer.run(3, [&](Index, Index) { ++count; });
          inside[static_cast<std::size_t>(worker)].fetch_sub(1);
        });
      });
      CHECK(count == 6 * 5 * 3);
      CHECK(wrong == 0);
    }
  }
}

TEST_CASE("exceptions propagate through nested runs") {
  fg::thread_pool a(2), b(2);
  for (int round = 0; round < 20; ++round)
    CHECK_THROWS_WITH(a.run(4,
                            [&](Index i, Index) {
                              b.run(4, [&](Index j, Index) {
                                if (j >= 1) throw std::runtime_error(std::to_string(10 * i + j));
                              });
                            }),
                      "1");
}

TEST_CASE("two pools nested in both orders do not deadlock") {
  fg::thread_pool a(2), b(2);
  std::atomic<int> count{0};
  const auto use = [&count](fg::thread_pool& outer, fg::thread_pool& inner) {
    for (int i = 0; i < 200; ++i) outer.run(4, [&](Index, Index) { inner.run(4, [&](Index, Index) { ++count; }); });
  };
  std::thread other([&] { use(a, b); });
  use(b, a);
  other.join();
  CHECK(count == 2 * 200 * 16);
}

TEST_CASE("concurrent runs of one pool are executed one after another") {
  fg::thread_pool pool(2);
  std::vector<std::thread> users;
  std::atomic<int> wrong{0};
  std::array<std::atomic<int>, 4> running{};
  for (std::size_t user = 0; user < 4; ++user)
    users.emplace_back([&, user] {
      for (int i = 0; i < 50; ++i) {
        std::array<int, 32> times{};
        pool.run(32, [&](Index task, Index) {
          const ScopeCounter counter(running[user]);
          for (std::size_t other = 0; other < 4; ++other)
            if (other != user && running[other] != 0) ++wrong;
          times[static_cast<std::size_t>(task)] += 1;
          busy(task);
        });
        if (std::count(times.begin(), times.end(), 1) != 32) ++wrong;
      }
    });
  for (std::thread& user : users) user.join();
  CHECK(wrong == 0);
}

TEST_CASE("results have the same bits for any executor") {
  Executors executors;
  std::vector<double> truth(300);
  for (std::size_t i = 0; i < truth.size(); ++i) truth[i] = busy(static_cast<Index>(i));
  for (fg::ExecutorRef e : executors.all()) {
    std::vector<double> results(truth.size());
    e.run(static_cast<Index>(results.size()),
          [&](Index task, Index) { results[static_cast<std::size_t>(task)] = busy(task); });
    CHECK(results == truth);
  }
}

namespace {

/// An executor of a user with one thread for each task, started with rounding to nearest.
struct NearestThreads {
  void run(Index tasks, fg::TaskRef f) {
    std::vector<std::thread> threads;
    std::atomic<bool> start{false};
    const int rounding = std::fegetround();
    std::fesetround(FE_TONEAREST);  // the threads inherit it
    for (Index task = 0; task < tasks; ++task)
      threads.emplace_back([&, task] {
        while (!start) std::this_thread::yield();
        f(task, task);
      });
    std::fesetround(rounding);
    start = true;
    for (std::thread& thread : threads) thread.join();
  }
  [[nodiscard]] Index concurrency() const { return 8; }
};

// Not inlined, so that the compiler cannot compute the quotient.
[[gnu::noinline]] double quotient(double a, double b) { return a / b; }

}  // namespace

TEST_CASE("tasks compute in the floating-point environment of the caller") {
  Executors executors;
  NearestThreads nearest;
  std::vector<fg::ExecutorRef> all = executors.all();
  all.push_back(nearest);
  for (fg::ExecutorRef e : all)
    for (const int rounding : {FE_UPWARD, FE_DOWNWARD, FE_TOWARDZERO, FE_TONEAREST}) {
      std::fesetround(rounding);
      const double third = quotient(-1, 3);
      std::array<double, 8> thirds{};
      e.run(8, [&](Index task, Index) {
        busy(task);
        thirds[static_cast<std::size_t>(task)] = quotient(-1, 3);
      });
      const int after = std::fegetround();
      std::fesetround(FE_TONEAREST);
      CHECK(after == rounding);
      CHECK(std::count(thirds.begin(), thirds.end(), third) == 8);
    }
#if defined(__SSE2__) || defined(__aarch64__)
#if defined(__SSE2__)
  constexpr unsigned flush = 0x8000U;  // results below the smallest normal number become 0
#else
  constexpr unsigned flush = 0x1000000U;  // operands and results below the smallest normal number become 0
#endif
  using filigree::detail::ControlRegister;
  for (fg::ExecutorRef e : all) {
    const auto before = ControlRegister::get();
    ControlRegister::set(before | flush);
    std::array<double, 8> results{};
    e.run(8, [&](Index task, Index) {
      busy(task);
      results[static_cast<std::size_t>(task)] = quotient(1e-308, 10);
    });
    ControlRegister::set(before);
    CHECK(std::count(results.begin(), results.end(), 0.0) == 8);
  }
#endif
}

TEST_CASE("concurrency is 1 if an executor reports 0 workers") {
  struct NoWorkers {
    void run(Index tasks, fg::TaskRef f) const { fg::serial().run(tasks, f); }
    [[nodiscard]] Index concurrency() const { return 0; }
  } executor;
  CHECK(fg::ExecutorRef(executor).concurrency() == 1);
}

TEST_CASE("run does not allocate") {
  fg::thread_pool pool(3);
  for (fg::ExecutorRef e : {fg::ExecutorRef(fg::serial()), fg::ExecutorRef(pool)}) {
    std::array<double, 64> results{};
    const long before = allocations;
#if COUNTS_ALLOCATIONS
    CHECK(before > 0);
#endif
    for (int round = 0; round < 50; ++round)
      e.run(64, [&](Index task, Index) { results[static_cast<std::size_t>(task)] = busy(task); });
    CHECK(allocations == before);
  }
}
