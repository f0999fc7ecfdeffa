// SPDX-License-Identifier: MIT
// The output projection with the table of the embedding: values, gradients by differences, errors.
#include <filigree/filigree.hpp>
#include <vector>

#include "catch.hpp"
#include "inputs.hpp"
#include "nn/differences.hpp"

namespace fg = filigree;
using test::Index;
using test::Matrix;
using test::Random;

TEST_CASE("tied_output() multiplies by the transposed table, and adds its gradient to that of the embedding") {
  Random random(1851);
  auto net = fg::network(
      fg::embedding<double>({7, 2}, 3) | fg::residual(fg::linear<double>(3, 3) | fg::tanh()) | fg::tied_output(7, 3),
      2);
  net.parameters() += 0.5 * test::normal<double>(random, net.parameters().size(), 1);
  Eigen::MatrixXi ids(80, 2);
  for (Index i = 0; i < 80; ++i) ids.row(i) << static_cast<int>(random.between(0, 5)), static_cast<int>(i % 2);
  const fg::Batch batch{ids, {30, 50}};
  const Eigen::Map<const Matrix<double>> table(net.parameters().data(), 7, 3);
  const Matrix<double> expected_outputs = net.before<2>(batch) * table.transpose();
  CHECK(test::relative(net(batch), expected_outputs) < 1e-14);

  const Matrix<double> y = test::normal<double>(random, 80, 7);
  fg::Pass pass(net);
  Eigen::VectorXd gradient, same;
  pass.gradient(net, batch, y, fg::squared_error(), gradient);
  auto moved = net;
  const Eigen::VectorXd expected = test::differences(
      [&](const Eigen::VectorXd& parameters) {
        moved.parameters() = parameters;
        return pass.loss(moved, batch, y, fg::squared_error());
      },
      net.parameters(), 1e-4);
  CHECK(test::relative(gradient, expected) < 1e-7);
  CHECK(gradient.segment(6 * 3, 3).norm() > 0);  // of token 6, which does not occur
  fg::thread_pool pool(3);
  fg::Pass other(net, fg::ExecutorRef(pool));
  other.gradient(net, batch, y, fg::squared_error(), same);
  CHECK(test::same(same, gradient));
}

TEST_CASE("tied_output() rejects networks without exactly one embedding of its shape") {
  CHECK_THROWS_WITH(fg::network(fg::linear(2, 3) | fg::tied_output(7, 3)),
                    "filigree: tied_output(7, 3): the network must have exactly one embedding(), it has 0");
  CHECK_THROWS_WITH(fg::network(fg::embedding(6, 3) | fg::tied_output(7, 3)),
                    "filigree: tied_output(7, 3): the first table of embedding(6, 3) must be 7 x 3");
  CHECK_THROWS_WITH(fg::network(fg::embedding(7, 3) | fg::linear(3, 4) | fg::tied_output(7, 3)),
                    contains("tied_output(7, 3): gets 4 columns from the stage before it, not 3"));
  CHECK_THROWS_WITH(fg::network(fg::embedding(7, 3) | fg::tied_output(7, 3) | fg::linear(7, 3) | fg::tied_output(7, 3)),
                    "filigree: tied_output(7, 3): the network must have only one, it has 2");
  CHECK_THROWS_WITH(fg::tied_output(0, 3),
                    "filigree: tied_output(count, d): count and d must be at least 1, got 0 and 3");
}
