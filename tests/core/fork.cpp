// SPDX-License-Identifier: MIT
// Tests that the child of a fork can compute and exit if the parent has threads.
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <atomic>
#include <chrono>
#include <filigree/attention/attention.hpp>
#include <filigree/core/thread_pool.hpp>
#include <thread>

#include "catch.hpp"
#include "inputs.hpp"

namespace fg = filigree;
using test::Index;

namespace {

// Destroyed at the end of the process, in the child too.
fg::ThreadPool& static_pool() {
  static fg::ThreadPool pool(3);
  return pool;
}

/// Runs body in a child process, which exits with the result of body. Returns the exit code, -1 if the child does not
/// exit within ten seconds, or -2 if it crashes.
template <class Body>
int run_in_child(Body body) {
  const pid_t child = ::fork();
  REQUIRE(child >= 0);
  if (child == 0) std::exit(body());
  for (int attempt = 0; attempt < 1000; ++attempt) {
    int status = 0;
    if (::waitpid(child, &status, WNOHANG) == child) return WIFEXITED(status) ? WEXITSTATUS(status) : -2;
    std::this_thread::sleep_for(std::chrono::milliseconds(10));
  }
  ::kill(child, SIGKILL);
  ::waitpid(child, nullptr, 0);
  return -1;
}

}  // namespace

TEST_CASE("the child of a process with a thread pool exits normally") {
  static_pool().run(8, [](Index, Index) {});
  CHECK(run_in_child([] { return 0; }) == 0);
  CHECK(run_in_child([] {
          fg::ThreadPool pool(2);  // created in the child
          std::atomic<int> count{0};
          pool.run(10, [&](Index, Index) { ++count; });
          return count == 10 ? 0 : 1;
        }) == 0);
}

TEST_CASE("a pool of the parent computes the same bits in the child") {
  test::Random random(5);
  const auto q = test::normal<float>(random, 70, 16), k = test::normal<float>(random, 300, 16),
             v = test::normal<float>(random, 300, 8);
  const auto attention = fg::scores(q, k) | fg::top_k(9) | fg::softmax();
  const test::Matrix<float> expected = attention.on(static_pool()) * v;
  CHECK(run_in_child([&] {
          const test::Matrix<float> got = attention.on(static_pool()) * v;
          return got == expected ? 0 : 1;
        }) == 0);
}

TEST_CASE("a child forked during a run of the pool can use the pool") {
  std::atomic<bool> stop{false};
  std::thread busy([&] {
    while (!stop) static_pool().run(64, [](Index, Index) {});
  });
  for (int i = 0; i < 20; ++i)
    CHECK(run_in_child([] {
            std::atomic<int> count{0};
            static_pool().run(10, [&](Index, Index) { ++count; });
            return count == 10 ? 0 : 1;
          }) == 0);
  stop = true;
  busy.join();
}
