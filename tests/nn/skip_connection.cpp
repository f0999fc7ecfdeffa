// SPDX-License-Identifier: MIT
// Skip connections and transcoders: outputs, gradients, training and errors.
#include <filigree/filigree.hpp>

#include "catch.hpp"
#include "inputs.hpp"
#include "nn/differences.hpp"

namespace fg = filigree;
using test::Index;
using test::Matrix;
using test::Random;

namespace {

template <class Net>
void draw_parameters(Random& random, Net& net) {
  net.parameters() = 0.4 * test::normal<double>(random, net.parameters().size(), 1);
}

template <class Net, class X, class Objective>
void check_gradient(const Net& net, const X& x, const Matrix<double>& y, const Objective& objective) {
  fg::Pass pass(net);
  Eigen::VectorXd gradient;
  const double value = pass.gradient(net, x, y, objective, gradient);
  Net moved = net;
  const auto loss = [&](const Eigen::VectorXd& parameters) {
    moved.parameters() = parameters;
    return pass.loss(moved, x, y, objective);
  };
  CHECK(loss(net.parameters()) == Approx(value).epsilon(1e-13));
  CHECK(test::relative(gradient, test::differences(loss, net.parameters())) < 1e-7);

  fg::thread_pool pool(3);
  fg::Pass other(net, fg::ExecutorRef(pool));
  Eigen::VectorXd same;
  CHECK(other.gradient(net, x, y, objective, same) == value);
  CHECK(test::same(same, gradient));
}

}  // namespace

TEST_CASE("a skip connection adds x W_skip") {
  Random random(761);
  for (const Index k : {2, 30}) {  // lists, and dense codes
    auto net =
        fg::transcoder(fg::linear<double>(6, 40) | fg::top_k(k), fg::linear<double>(40, 4).skip_connection(6), 3);
    CHECK((net.skip_weights<2>().array() == 0).all());
    draw_parameters(random, net);
    for (const Index n : {0, 1, 150}) {
      const Matrix<double> x = test::normal<double>(random, n, 6);
      const Matrix<double> y = ((net.encode(x) * net.weights<2>()).rowwise() + net.biases<2>().transpose()).matrix() +
                               x * net.skip_weights<2>();
      CHECK((net(x) - y).norm() <= 1e-13 * y.norm());
      CHECK((net(x.sparseView().eval()) - y).norm() <= 1e-13 * y.norm());
    }
  }
}

TEST_CASE("top_k selects from outputs that include the skip connection") {
  Random random(765);
  auto net = fg::network(fg::linear<double>(6, 64).skip_connection(6) | fg::top_k(2));
  draw_parameters(random, net);
  const Matrix<double> x = test::normal<double>(random, 50, 6);
  const Matrix<double> z =
      ((x * (net.weights<0>() + net.skip_weights<0>())).rowwise() + net.biases<0>().transpose()).eval();
  CHECK((net(x) - Matrix<double>(z | fg::top_k(2))).norm() <= 1e-12 * z.norm());
}

TEST_CASE("gradients with a skip connection match finite differences") {
  Random random(762);
  const Index n = 70;
  const Matrix<double> x = test::normal<double>(random, n, 6), y = test::normal<double>(random, n, 4);
  const auto objective = 0.5 * fg::squared_error() + 0.1 * fg::weight_decay();

  auto mapped =
      fg::network(fg::linear<double>(6, 5) | fg::tanh() | fg::linear<double>(5, 4).skip_connection(6) | fg::sigmoid());
  draw_parameters(random, mapped);
  check_gradient(mapped, x, y, objective);
  auto inside = fg::network(fg::linear<double>(6, 5) | fg::tanh() | fg::linear<double>(5, 7).skip_connection(6) |
                            fg::gelu() | fg::linear<double>(7, 4));
  draw_parameters(random, inside);
  check_gradient(inside, x, y, objective);

  // The selection of top_k does not change within a difference step. The samples are sparse.
  auto lists = fg::transcoder(fg::linear<double>(40, 32) | fg::top_k(2), fg::linear<double>(32, 4).skip_connection(40));
  draw_parameters(random, lists);
  Matrix<double> sparse = Matrix<double>::Zero(n, 40);
  for (Index i = 0; i < n; ++i) sparse.row(i).segment(i % 39, 2) << random.uniform(0.5, 1), random.uniform(0.5, 1);
  check_gradient(lists, sparse, y, fg::squared_error());
  const Eigen::SparseMatrix<double, Eigen::RowMajor> stored = sparse.sparseView();
  check_gradient(lists, stored, y, fg::squared_error());

  // pre_bias does not change the input of the skip connection.
  auto centered = fg::autoencoder(fg::pre_bias() | fg::linear<double>(6, 5) | fg::sigmoid(),
                                  fg::linear<double>(5, 6).skip_connection(6));
  draw_parameters(random, centered);
  check_gradient(centered, x, x, fg::squared_error());
}

TEST_CASE("a transcoder learns a linear map with its skip connection") {
  Random random(763);
  const Matrix<double> x = test::normal<double>(random, 200, 6), y = x * test::normal<double>(random, 6, 4);
  auto net = fg::transcoder(fg::linear<double>(6, 40) | fg::top_k(2) | fg::relu(),
                            fg::linear<double>(40, 4).skip_connection(6), 3);
  const auto report = fg::fit(net, x, y, fg::squared_error(), fg::adam{.rate = 0.02}, {.epochs = 150, .batch = 50});
  CHECK(report.losses.back() < 0.01 * report.losses.front());
  CHECK((x * net.skip_weights<3>() - y).norm() < 0.6 * y.norm());
}

TEST_CASE("weights_of and set_weights include the weights of a skip connection") {
  Random random(764);
  const auto model = [](std::uint64_t seed) {
    return fg::transcoder(fg::linear(6, 40) | fg::top_k(4), fg::linear(40, 3).skip_connection(6), seed);
  };
  auto net = model(1), copy = model(2);
  net.parameters() = test::normal<float>(random, net.parameters().size(), 1);
  const auto weights = fg::weights_of(net);
  CHECK(test::same(weights.W_skip, Matrix<float>(net.skip_weights<2>())));
  fg::set_weights(copy, weights);
  CHECK(test::same(copy.parameters(), net.parameters()));
  auto without = fg::transcoder(fg::linear(6, 40) | fg::top_k(4), fg::linear(40, 3));
  CHECK(fg::weights_of(without).W_skip.size() == 0);
  CHECK_THROWS_WITH(fg::set_weights(without, weights),
                    "filigree: set_weights(sae, weights): W_skip must be 0 x 3, is 6 x 3");
  CHECK_THROWS_WITH(fg::set_weights(net, fg::weights_of(without)),
                    "filigree: set_weights(sae, weights): W_skip must be 6 x 3, is 0 x 3");
}

TEST_CASE("skip connections and transcoders reject invalid arguments") {
  CHECK_THROWS_WITH(fg::linear(3, 4).skip_connection(0),
                    "filigree: linear(3, 4).skip_connection(inputs): inputs must be at least 1, got 0");
  CHECK_THROWS_WITH(fg::network(fg::linear(6, 3) | fg::relu() | fg::linear(3, 4).skip_connection(5)),
                    "filigree: linear(3, 4).skip_connection(5): the network takes 6 columns");
  auto net = fg::autoencoder(fg::linear(6, 40) | fg::top_k(4), fg::linear(40, 6).skip_connection(6));
  const Matrix<float> codes = Matrix<float>::Zero(2, 40), x = Matrix<float>::Ones(2, 6);
  CHECK_THROWS_WITH(net.decode(codes),
                    "filigree: decode(X): stage 2 has a skip connection and needs the samples; use network(X)");
  fg::Pass pass(net);
  CHECK_THROWS_WITH(
      pass.loss(net, x, x, fg::matryoshka({20, 40})),
      "filigree: pass: a loss of codes, such as matryoshka or gate_reconstruction, needs a decoder without a skip "
      "connection");
  auto other = fg::transcoder(fg::linear(6, 40) | fg::top_k(4), fg::linear(40, 5));
  CHECK_THROWS_WITH(fg::tie(other), "filigree: tie(sae): the decoder has 5 outputs, but the encoder has 6 inputs");
  const Index dead[] = {1};
  CHECK_THROWS_WITH(fg::resample(other, dead, x, 1),
                    "filigree: resample(sae, dead, X, seed): the autoencoder must have as many outputs as inputs");
  CHECK_THROWS_WITH(fg::autoencoder(fg::linear(6, 40) | fg::top_k(4), fg::linear(40, 5)),
                    "filigree: autoencoder(encoder, decoder): the decoder has 5 outputs, but the encoder has 6 inputs");
}
