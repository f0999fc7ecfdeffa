// SPDX-License-Identifier: MIT
// An executor written by a user: it runs the tasks of Filigree on threads of its own.
#include <filigree/filigree.hpp>

#include <atomic>
#include <exception>
#include <iostream>
#include <mutex>
#include <thread>
#include <vector>

namespace fg = filigree;
using Eigen::Index;

/// Starts new threads for each run. A program with a thread pool passes the tasks to it in the same way.
class Threads {
 public:
  explicit Threads(Index count) : count_(count) {}

  [[nodiscard]] Index concurrency() const { return count_; }

  void run(Index tasks, fg::TaskRef f) const {
    std::atomic<Index> next{0};
    std::exception_ptr error;
    std::mutex mutex;
    const auto work = [&](Index worker) {  // workers are numbered 0, ..., concurrency() - 1
      try {
        for (Index task = next++; task < tasks; task = next++) f(task, worker);
      } catch (...) {
        const std::scoped_lock lock(mutex);
        error = std::current_exception();
        next = tasks;
      }
    };
    std::vector<std::thread> threads;
    for (Index worker = 1; worker < count_; ++worker) threads.emplace_back(work, worker);
    work(0);
    for (std::thread& thread : threads) thread.join();
    if (error) std::rethrow_exception(error);
  }

 private:
  Index count_;
};

int main() {
  fg::Generator random(1);
  Eigen::MatrixXf Q(700, 16), K(700, 16), V(700, 4);
  for (auto* X : {&Q, &K, &V}) fg::fill_normal(*X, random);
  const auto A = fg::scores(Q, K) | fg::causal() | fg::top_k(8) | fg::softmax();

  const Threads three(3);
  const Eigen::MatrixXf serial = A * V, threaded = A.on(three) * V;
  std::cout << "the same bits with three threads: " << (serial == threaded ? "yes" : "no") << "\n";

  const auto fails = fg::scores(Q, K) | fg::map([](float s, Index p, Index) {
                       if (p == 500) throw std::runtime_error("no score for query 500");
                       return s;
                     });
  try {
    const Eigen::MatrixXf never = fails.on(three);
  } catch (const std::exception& error) {
    std::cout << "an exception in a thread reaches the caller: " << error.what() << "\n";
  }
}
