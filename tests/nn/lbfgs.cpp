// SPDX-License-Identifier: MIT
#include <filigree/filigree.hpp>
#include <filigree/nn/train/lbfgs.hpp>

#include "catch.hpp"
#include "inputs.hpp"

namespace fg = filigree;
using test::Index;
using test::Matrix;
using test::Random;

TEMPLATE_TEST_CASE("L-BFGS learns a linear map", "", FILIGREE_TEST_SCALARS) {
  using S = TestType;
  Random random(681);
  const Matrix<S> x = test::normal<S>(random, 200, 5), weights = test::normal<S>(random, 5, 3);
  const Matrix<S> y = x * weights;
  auto net = fg::network(fg::linear<S>(5, 3));
  const auto report = fg::fit(net, x, y, fg::squared_error(), fg::lbfgs{.iterations = 50});
  CHECK((net.template weights<0>() - weights).cwiseAbs().maxCoeff() < (std::is_same_v<S, float> ? 1e-4 : 1e-7));
  CHECK(net.template biases<0>().cwiseAbs().maxCoeff() < (std::is_same_v<S, float> ? 1e-4 : 1e-7));
  CHECK(report.losses.front() > report.losses.back());
}

TEST_CASE("L-BFGS trains a sparse autoencoder with the same bits for any number of threads") {
  Random random(682);
  Matrix<double> x(300, 16);
  for (Index e = 0; e < x.size(); ++e) x.data()[e] = random.uniform(0.1, 0.9);
  const auto train = [&](fg::ExecutorRef executor) {
    auto sae = fg::autoencoder(fg::linear<double>(16, 9) | fg::sigmoid() | fg::penalize(3.0 * fg::kl(0.05)),
                               fg::linear<double>(9, 16) | fg::sigmoid(), 4);
    const auto report = fg::fit(sae, x, 0.5 * fg::squared_error() + 1e-4 * fg::weight_decay(),
                                fg::lbfgs{.iterations = 60, .executor = executor});
    CHECK(report.steps == 60);
    CHECK(report.note.empty());
    CHECK(report.losses.back() < 0.7 * report.losses.front());
    return sae.parameters();
  };
  fg::thread_pool pool(3);
  CHECK(test::same(train(fg::ExecutorRef(fg::serial())), train(fg::ExecutorRef(pool))));
}

TEST_CASE("a failed line search keeps the best parameters and sets a note") {
  // The loss is discontinuous where the selection of top_k changes, so that the line search fails.
  Random random(683);
  const Matrix<double> x = test::normal<double>(random, 100, 4), y = test::normal<double>(random, 100, 2);
  auto net = fg::network(fg::linear<double>(4, 8) | fg::top_k(1) | fg::linear<double>(8, 2), 3);
  fg::Pass pass(net);
  const double before = pass.loss(net, x, y, fg::squared_error());
  const auto report = fg::fit(net, x, y, fg::squared_error(), fg::lbfgs{.iterations = 2000, .tolerance = 0});
  const double after = pass.loss(net, x, y, fg::squared_error());
  CHECK(after < before);
  CHECK(after <= *std::min_element(report.losses.begin(), report.losses.end()) * (1 + 1e-12));
  CHECK_THAT(report.note, contains("the line search failed, and the best parameters so far are kept: "));
}

TEST_CASE("L-BFGS stops if after_evaluation returns false, and rejects invalid arguments") {
  Random random(684);
  const Matrix<double> x = test::normal<double>(random, 20, 3), y = test::normal<double>(random, 20, 2);
  auto net = fg::network(fg::linear<double>(3, 4) | fg::tanh() | fg::linear<double>(4, 2));
  const auto before = net.parameters();
  Index evaluations = 0;
  const auto report =
      fg::fit(net, x, y, fg::squared_error(), fg::lbfgs{.after_evaluation = [&](const auto& evaluation) {
                CHECK(evaluation.epoch == ++evaluations);
                return evaluations < 5;
              }});
  CHECK(report.losses.size() == 5);
  CHECK(report.note == "stopped by after_evaluation");
  CHECK_THROWS_WITH(fg::fit(net, x, y, fg::squared_error(), fg::lbfgs{.after_evaluation = [](const auto&) -> bool {
                              throw std::runtime_error("no space on the disk");
                            }}),
                    "no space on the disk");
  net.parameters() = before;
  CHECK(fg::fit(net, x, y, fg::squared_error(), fg::lbfgs{.iterations = 0}).losses.empty());
  CHECK_THROWS_WITH(fg::fit(net, x, y, fg::squared_error(), fg::lbfgs{.iterations = -1}),
                    "filigree: fit: lbfgs: iterations must be at least 0, got -1");
  CHECK_THROWS_WITH(fg::fit(net, x, y, fg::squared_error(), fg::lbfgs{.history = 0}),
                    "filigree: fit: lbfgs: history must be at least 1, got 0");
  CHECK_THROWS_WITH(fg::fit(net, x, Matrix<double>(1e200 * y), fg::squared_error(), fg::lbfgs{}),
                    contains("is not finite in step 1; the parameters are as they were before it"));
  CHECK_THROWS_WITH(fg::fit(net, x, x, fg::squared_error(), fg::lbfgs{}),
                    "filigree: fit: Y.cols() = 3 must be the network's outputs, 2");
  CHECK(test::same(net.parameters(), before));
  auto constrained = fg::network(fg::linear<double>(3, 2).unit_norm_rows());
  CHECK_THROWS_WITH(
      fg::fit(constrained, x, y, fg::squared_error(), fg::lbfgs{}),
      "filigree: fit: lbfgs: stage 0 has constraints, which L-BFGS does not support; use another optimizer");
}
