// SPDX-License-Identifier: MIT
// Interrupted and resumed training gives the same bytes as uninterrupted training.
#include <sys/wait.h>
#include <unistd.h>

#include <csignal>
#include <filesystem>
#include <filigree/filigree.hpp>
#include <fstream>
#include <iterator>
#include <limits>

#include "catch.hpp"
#include "inputs.hpp"

namespace fg = filigree;
using test::Index;
using test::Matrix;
using test::Random;

namespace {

/// A temporary folder. The destructor removes it.
struct Folder {
  Folder() : path(std::filesystem::temp_directory_path() / ("filigree_checkpoint_" + std::to_string(::getpid()))) {
    std::filesystem::create_directories(path);
  }
  Folder(const Folder&) = delete;
  Folder& operator=(const Folder&) = delete;
  ~Folder() { std::filesystem::remove_all(path); }
  [[nodiscard]] std::string file(const std::string& name) const { return (path / name).string(); }

  std::filesystem::path path;
};

std::string bytes_of(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(file), {}};
}

auto model() { return fg::autoencoder(fg::linear(8, 64) | fg::dropout(0.1, 4) | fg::top_k(3), fg::linear(64, 8), 7); }
Matrix<float> samples() {
  Random random(691);
  return test::normal<float>(random, 100, 8);
}

/// Trains for 3 epochs of 7 steps.
template <class Net>
fg::FitReport train(Net& net, fg::fit_options options) {
  options.epochs = 3;
  options.batch = 16;
  options.seed = 5;
  options.schedule = options.schedule ? options.schedule : fg::cosine(21, 4);
  const auto objective = fg::squared_error() + 0.1 * fg::aux_k(5, {.after = 30});
  return fg::fit(net, samples(), objective, fg::adam{.rate = 0.01}, options);
}

struct Killed {};

}  // namespace

TEST_CASE("training resumes with the same results after an interruption at any step") {
  const Folder folder;
  auto whole = model();
  const std::string expected = folder.file("whole.npz");
  const auto report = train(whole, {.checkpoint = expected, .checkpoint_every = 1});
  CHECK(report.steps == 21);
  for (const Index every : {1, 2, 7, 0})
    for (const Index last : {1, 6, 7, 8, 20}) {
      CAPTURE(every, last);
      const std::string path = folder.file("part.npz");
      std::filesystem::remove(path);
      auto first = model();
      CHECK_THROWS_AS(train(first, {.schedule =
                                        [&](Index step) {
                                          if (step >= last) throw Killed();
                                          return fg::cosine(21, 4)(step);
                                        },
                                    .checkpoint = path,
                                    .checkpoint_every = every}),
                      Killed);
      auto second = model();
      second.parameters().setZero();  // resuming must restore the parameters, unless there is no file yet
      if (!std::filesystem::exists(path)) second = model();
      const auto resumed = train(second, {.checkpoint = path, .checkpoint_every = every, .resume = true});
      CHECK(test::same(second.parameters(), whole.parameters()));
      CHECK(resumed.losses == report.losses);
      CHECK(resumed.steps == 21);
      if (every == 1 || every == 7) CHECK(bytes_of(path) == bytes_of(expected));
    }
}

TEST_CASE("aux_k has the same dead latents after resuming") {
  const Folder folder;
  const std::string path = folder.file("aux.npz");
  const auto train_some = [&](auto& net, Index epochs, bool resume) {
    return fg::fit(net, samples(), fg::squared_error() + 0.1 * fg::aux_k(5), fg::adam{.rate = 0.01},
                   {.epochs = epochs, .batch = 3, .drop_rest = true, .checkpoint = path, .resume = resume});
  };
  auto whole = model(), resumed = model();
  train_some(whole, 9, false);
  train_some(resumed, 6, false);
  train_some(resumed, 9, true);
  CHECK(test::same(resumed.parameters(), whole.parameters()));
}

TEST_CASE("a killed process leaves a complete checkpoint") {
  const Folder folder;
  const std::string path = folder.file("killed.npz");
  auto whole = model();
  train(whole, {});
  const pid_t child = ::fork();
  REQUIRE(child >= 0);
  if (child == 0) {
    auto net = model();
    for (;;) {  // until it is killed, most likely during a write
      std::filesystem::remove(path);
      net = model();
      train(net, {.checkpoint = path, .checkpoint_every = 1});
    }
  }
  for (int tries = 0; tries < 2000 && !std::filesystem::exists(path); ++tries) ::usleep(1000);
  ::kill(child, SIGKILL);
  int status = 0;
  ::waitpid(child, &status, 0);
  CHECK(WIFSIGNALED(status));
  auto resumed = model();
  train(resumed, {.checkpoint = path, .resume = true});
  CHECK(test::same(resumed.parameters(), whole.parameters()));
}

TEST_CASE("a checkpoint holds the parameters, the moments and the counters of training") {
  const Folder folder;
  const std::string path = folder.file("one.npz");
  auto net = model();
  train(net, {.checkpoint = path});
  const auto checkpoint = fg::Checkpoint<float>::load(path);
  CHECK(test::same(checkpoint.parameters, net.parameters()));
  CHECK(checkpoint.moments.size() == 2 * net.parameters().size());
  CHECK(checkpoint.steps == 21);
  CHECK(checkpoint.epoch == 4);
  CHECK(checkpoint.losses.size() == 3);
  CHECK(checkpoint.batch == 16);
  checkpoint.save(folder.file("two.npz"));
  CHECK(bytes_of(folder.file("two.npz")) == bytes_of(path));
  CHECK(fg::load_npz(path)["parameters"].as<Eigen::VectorXf>().size() == net.parameters().size());
}

TEST_CASE("resuming rejects a checkpoint of a different training of the same size and names the difference") {
  const Folder folder;
  const std::string path = folder.file("one.npz");
  const Matrix<float> x = samples();
  const auto fit = [&](auto net, const auto& objective, const auto& optimizer, const Matrix<float>& y, bool resume) {
    return fg::fit(net, x, y, objective, optimizer, {.epochs = 1, .batch = 16, .checkpoint = path, .resume = resume});
  };
  const auto stages = [](const auto& map) { return fg::network(fg::linear(8, 6) | map | fg::linear(6, 8), 3); };
  fit(stages(fg::sigmoid()), fg::squared_error(), fg::adam{}, x, false);
  const auto rejects = [&](const auto& net, const auto& objective, const auto& optimizer, const std::string& message) {
    CHECK_THROWS_WITH(fit(net, objective, optimizer, x, true), contains(path + ": was made with " + message));
  };
  const auto sigmoid = stages(fg::sigmoid());
  rejects(stages(fg::relu()), fg::squared_error(), fg::adam{},
          "stages 8 | Linear<float> | 6 | Sigmoid | 6 | Linear<float>"
          " | 8, and cannot go on with 8 | Linear<float> | 6 | Threshold");
  rejects(stages(fg::top_k(2)), fg::squared_error(), fg::adam{}, "stages ");
  rejects(sigmoid, 0.5 * fg::squared_error(), fg::adam{},
          "the objective 1 SquaredError, and cannot go on with 0.5 Squared");
  rejects(sigmoid, fg::squared_error() + fg::weight_decay(), fg::adam{},
          "the objective 1 SquaredError, and cannot go on");
  rejects(sigmoid, fg::squared_error(), fg::adamw{}, "the optimizer adam, and cannot go on with adamw");

  fit(stages(fg::top_k(2)), fg::squared_error(), fg::adam{}, x, false);
  rejects(stages(fg::top_k(3)), fg::squared_error(), fg::adam{}, "stages 8 | Linear<float> | 6 | TopK(2) | 6");
  const Eigen::SparseMatrix<float> sparse = x.sparseView();
  auto net = stages(fg::top_k(2));
  CHECK_THROWS_WITH(fg::fit(net, sparse, x, fg::squared_error(), fg::adam{},
                            {.epochs = 1, .batch = 16, .checkpoint = path, .resume = true}),
                    contains("was made with samples and targets of 100x8 dense, 100x8 dense, and cannot go on with "
                             "100x8 sparse, 100x8 dense"));
  fit(stages(fg::top_k(2)), fg::squared_error(), fg::adam{.rate = 0.5}, x, true);  // a rate may change
}

TEST_CASE("a checkpoint that does not match or is damaged leaves the network unchanged") {
  const Folder folder;
  const std::string path = folder.file("one.npz");
  auto net = model();
  train(net, {.checkpoint = path});
  const Eigen::VectorXf before = net.parameters();
  const auto resume = [&](auto& other, fg::fit_options options) {
    options.checkpoint = path;
    options.resume = true;
    const auto objective = fg::squared_error() + 0.1 * fg::aux_k(5, {.after = 30});
    return fg::fit(other, samples(), objective, fg::adam{.rate = 0.01}, options);
  };
  CHECK_THROWS_WITH(resume(net, {.batch = 8, .seed = 5}),
                    "filigree: " + path + ": was made with batch 16, and cannot go on with 8");
  CHECK_THROWS_WITH(resume(net, {.batch = 16, .seed = 6}),
                    "filigree: " + path + ": was made with seed 5, and cannot go on with 6");
  auto larger = fg::autoencoder(fg::linear(8, 65) | fg::top_k(3), fg::linear(65, 8));
  CHECK_THROWS_WITH(resume(larger, {.batch = 16, .seed = 5}),
                    contains("was made with a number of parameters of 1096, and cannot go on with "));
  CHECK_THROWS_WITH(fg::Checkpoint<double>::load(path), contains("\"parameters.npy\": must be float64, is float32"));
  CHECK_THROWS_WITH(train(net, {.resume = true}),
                    "filigree: fit: resume and checkpoint_every need a file, {.checkpoint = path}");
  const auto damaged = [&](const char* what, auto&& damage) {
    auto checkpoint = fg::Checkpoint<float>::load(path);
    damage(checkpoint);
    const std::string whole = bytes_of(path);
    checkpoint.save(path);
    CHECK_THROWS_WITH(resume(net, {.batch = 16, .seed = 5}), contains(what));
    std::ofstream(path, std::ios::binary).write(whole.data(), static_cast<std::streamsize>(whole.size()));
  };
  constexpr Index huge = std::numeric_limits<Index>::max();
  damaged("holds an impossible position", [](auto& c) { c.steps = huge; });
  damaged("holds an impossible position", [](auto& c) { c.entries = huge; });
  damaged("holds an impossible position", [](auto& c) { c.first = -1; });
  damaged("holds an impossible position", [](auto& c) { c.epoch = 0; });
  damaged("holds an impossible position", [](auto& c) { c.samples_since_active[3] = -1; });
  damaged("holds an impossible position", [](auto& c) { c.losses.pop_back(); });
  damaged("holds numbers that are not finite",
          [](auto& c) { c.parameters[5] = std::numeric_limits<float>::quiet_NaN(); });
  damaged("holds numbers that are not finite", [](auto& c) { c.moments[0] = std::numeric_limits<float>::infinity(); });
  damaged("cannot go on with", [](auto& c) { c.samples_since_active.clear(); });
  const std::string content = bytes_of(path);
  for (const std::size_t size : {std::size_t{0}, std::size_t{100}, content.size() / 2, content.size() - 1}) {
    std::ofstream(path, std::ios::binary).write(content.data(), static_cast<std::streamsize>(size));
    CHECK_THROWS_AS(resume(net, {.batch = 16, .seed = 5}), fg::Error);
  }
  CHECK(test::same(net.parameters(), before));
}
