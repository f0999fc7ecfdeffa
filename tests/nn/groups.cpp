// SPDX-License-Identifier: MIT
// fit with groups of sequences, such as a query and its documents, that stay together in a step.
#include <unistd.h>

#include <algorithm>
#include <filesystem>
#include <filigree/filigree.hpp>
#include <fstream>
#include <iterator>
#include <vector>

#include "catch.hpp"
#include "inputs.hpp"

namespace fg = filigree;
using test::Index;
using test::Matrix;
using test::Random;

namespace {

/// A loss of 0 that stores the first column of the outputs of each step.
struct Record {
  using Kind = fg::Loss;
  static constexpr bool reads_targets = false;
  std::vector<std::vector<Index>>* steps;
  template <class Y, class T, class S>
  double add(const Y& y, const T&, double, S*, const fg::detail::Session&) const {
    std::vector<Index> rows;
    for (Index i = 0; i < y.rows(); ++i) rows.push_back(static_cast<Index>(y(i, 0)));
    steps->push_back(rows);
    return 0;
  }
};

std::string bytes_of(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(file), {}};
}

}  // namespace

TEST_CASE("groups of sequences stay whole in each step, with the first sequences of all groups first") {
  Random random(61);
  for (const Index group : {1, 2, 3}) {
    std::vector<Index> lengths;
    for (Index s = 0; s < 12; ++s) lengths.push_back(random.between(1, 5));
    Index n = 0;
    for (const Index length : lengths) n += length;
    Matrix<double> tokens(n, 1);
    Index at = 0;
    for (Index s = 0; s < 12; ++s)
      for (Index i = 0; i < lengths[static_cast<std::size_t>(s)]; ++i) tokens(at++, 0) = static_cast<double>(s);
    const fg::Batch batch{tokens, lengths};
    for (const Index budget : {Index{1}, Index{7}, Index{13}, n - 1, n, Index{0}}) {
      CAPTURE(group, budget);
      auto net = fg::network(fg::linear<double>(1, 1) | fg::pool_mean());
      net.parameters() << 1, 0;
      std::vector<std::vector<Index>> steps;
      fg::fit(net, batch, Record{&steps}, fg::sgd{.rate = 1},
              {.epochs = 1, .batch = budget, .group = group, .seed = 3, .progress = false});
      std::vector<Index> all;
      for (const std::vector<Index>& step : steps) {
        const auto count = static_cast<Index>(step.size());
        REQUIRE(count % group == 0);
        const Index groups = count / group;
        Index rows = 0;
        for (Index i = 0; i < count; ++i) {
          const Index first = step[static_cast<std::size_t>(i % groups)], s = step[static_cast<std::size_t>(i)];
          CHECK(first % group == 0);
          CHECK(s == first + i / groups);
          rows += lengths[static_cast<std::size_t>(s)];
          all.push_back(s);
        }
        if (budget > 0) CHECK((rows <= budget || groups == 1));
      }
      if (budget == 1) CHECK(static_cast<Index>(steps.size()) == 12 / group);
      if (budget == 0) CHECK(steps.size() == 1);
      if (budget == 1) CHECK(!std::is_sorted(all.begin(), all.end()));
      std::sort(all.begin(), all.end());
      for (Index s = 0; s < 12; ++s) CHECK(all[static_cast<std::size_t>(s)] == s);
      CHECK(all.size() == 12);
    }
  }
}

TEST_CASE("training with groups resumes byte for byte, and not with another group") {
  Random random(62);
  std::vector<Index> lengths;
  for (Index s = 0; s < 20; ++s) lengths.push_back(random.between(1, 4));
  Index n = 0;
  for (const Index length : lengths) n += length;
  const fg::Batch batch{Matrix<float>(test::normal<float>(random, n, 4)), lengths};
  const auto make = [] { return fg::network(fg::linear(4, 30) | fg::log1p_relu() | fg::pool_max() | fg::top_k(9), 3); };
  const auto objective = fg::in_batch_negatives({.documents = 1}) + 1e-3 * fg::query_flops({.documents = 1}) +
                         1e-3 * fg::document_flops({.documents = 1});
  const std::string path =
      (std::filesystem::temp_directory_path() / ("filigree_groups_" + std::to_string(::getpid()) + ".npz")).string();
  fg::fit_options options = {
      .epochs = 3, .batch = 12, .group = 2, .checkpoint = path, .checkpoint_every = 1, .progress = false};
  auto whole = make();
  const auto report = fg::fit(whole, batch, objective, fg::adam{.rate = 0.01}, options);
  CHECK(report.losses.back() < report.losses.front());
  const std::string expected = bytes_of(path);
  for (const Index stop : {1, 3, 6}) {
    std::filesystem::remove(path);
    auto net = make();
    options.after_step = [&](Index steps) {
      if (steps == stop + 1) throw std::runtime_error("stop");
    };
    options.resume = false;
    CHECK_THROWS_WITH(fg::fit(net, batch, objective, fg::adam{.rate = 0.01}, options), "stop");
    options.after_step = {};
    options.resume = true;
    auto resumed = make();
    fg::fit(resumed, batch, objective, fg::adam{.rate = 0.01}, options);
    CHECK(test::same(resumed.parameters(), whole.parameters()));
    CHECK(bytes_of(path) == expected);
  }
  options.group = 4;
  auto net = make();
  CHECK_THROWS_WITH(fg::fit(net, batch, objective, fg::adam{.rate = 0.01}, options),
                    Catch::Contains("groups of 2, and cannot go on with"));
  std::filesystem::remove(path);
}

TEST_CASE("the number of documents of each query gives the number of queries") {
  Random random(63);
  const Matrix<double> x = test::normal<double>(random, 12, 3);
  const fg::Batch batch{x, std::vector<Index>(12, 1)};
  const auto net = fg::network(fg::linear<double>(3, 5) | fg::log1p_relu() | fg::pool_max(), 1);
  fg::Pass pass(net);
  const auto loss = [&](const auto& objective) { return pass.loss(net, batch, objective); };
  CHECK(loss(fg::in_batch_negatives({.scale = 2, .documents = 2})) == loss(fg::in_batch_negatives(4, {.scale = 2})));
  CHECK(loss(fg::query_flops({.documents = 1})) == loss(fg::query_flops(6)));
  CHECK(loss(fg::document_flops({.threshold = 2, .documents = 3})) == loss(fg::document_flops(3, {.threshold = 2})));
  CHECK_THROWS_WITH(fg::in_batch_negatives({.scale = 1}),
                    "filigree: in_batch_negatives({.documents}): documents must be at least 1, got 0");
  CHECK_THROWS_WITH(
      fg::query_flops(2, {.documents = 1}),
      "filigree: query_flops(queries, {.documents}): give the number of queries or of documents, not both");
  CHECK_THROWS_WITH(
      loss(fg::document_flops({.documents = 4})),
      "filigree: document_flops({.documents = 4}): the number of outputs must be a multiple of 5, got 12");
}

TEST_CASE("fit rejects groups that do not fit") {
  const Matrix<float> x = Matrix<float>::Ones(5, 1);
  const fg::Batch batch{x, std::vector<Index>(5, 1)};
  auto net = fg::network(fg::linear(1, 1));
  const fg::sgd sgd = {.rate = 0.1};
  CHECK_THROWS_WITH(fg::fit(net, batch, x, fg::squared_error(), sgd, {.group = 2}),
                    "filigree: fit: the number of sequences must be a multiple of group 2, got 5");
  CHECK_THROWS_WITH(fg::fit(net, batch, x, fg::squared_error(), sgd, {.group = 0}),
                    "filigree: fit: group must be at least 1, got 0");
  CHECK_THROWS_WITH(fg::fit(net, x, x, fg::squared_error(), sgd, {.group = 5}),
                    "filigree: fit: group needs a Batch of sequences, got group 5");
}
