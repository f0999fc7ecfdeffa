// SPDX-License-Identifier: MIT
// Networks and their gradients.
#include <cmath>
#include <filigree/filigree.hpp>

#include "catch.hpp"
#include "inputs.hpp"
#include "nn/differences.hpp"

namespace fg = filigree;
using test::Index;
using test::Random;
using Matrix = test::Matrix<double>;
using Vector = Eigen::VectorXd;

namespace {

template <class Net, class Objective>
void check_gradient(const Net& net, const Matrix& x, const Matrix& y, const Objective& objective, double h = 1e-3) {
  fg::Pass pass(net);
  Vector gradient;
  const double value = pass.gradient(net, x, y, objective, gradient);
  // Two loops compute the value, and a compiler that contracts products and sums may round them differently.
  CHECK(pass.loss(net, x, y, objective) == Approx(value).epsilon(1e-13));
  Net moved = net;
  const Vector expected = test::differences(
      [&](const Vector& parameters) {
        moved.parameters() = parameters;
        return pass.loss(moved, x, y, objective);
      },
      net.parameters(), h);
  CHECK(test::relative(gradient, expected) < 1e-7);
}

const auto half_error = 0.5 * fg::squared_error() + 1e-2 * fg::weight_decay();

}  // namespace

TEST_CASE("gradients of smooth layers match finite differences") {
  Random random(611);
  for (const Index n : {1, 9, 130}) {
    const Matrix x = test::normal<double>(random, n, 6), y = test::normal<double>(random, n, 3);
    const auto check = [&](const auto& stages) { check_gradient(fg::network(stages, 5), x, y, half_error); };
    const auto in = fg::linear<double>(6, 5), out = fg::linear<double>(5, 3);
    check(fg::linear<double>(6, 3) | fg::sigmoid());
    check(in | fg::sigmoid() | out);
    check(in | fg::tanh() | out | fg::tanh());
    check(in | fg::gelu() | out | fg::sigmoid());
    check(in | fg::gelu_tanh() | out | fg::gelu_tanh());
    check(fg::tanh() | in | fg::sigmoid() | fg::linear<double>(5, 5) | fg::gelu() | out);
    check(in | fg::sigmoid() | fg::penalize(3.0 * fg::kl(0.1) + 0.2 * fg::hoyer_square()) | out |
          fg::penalize(0.3 * fg::flops()));
    check(in | fg::dropout(0.4, 3) | fg::tanh() | out);  // each pass drops the same entries
  }
}

TEST_CASE("only selected entries pass their gradient on") {
  Random random(612);
  for (const Index n : {1, 7, 100}) {
    const Matrix x = test::normal<double>(random, n, 6), y = test::normal<double>(random, n, 3);
    const auto check = [&](const auto& stage) {
      const auto net = fg::network(fg::linear<double>(6, 8) | stage | fg::linear<double>(8, 3), 9);
      // The stage on a matrix gives the expected values, and a sparse matrix stores the selected entries.
      const Matrix z = (x * net.template weights<0>()).rowwise() + net.template biases<0>().transpose();
      const Matrix a = z | stage;
      const Eigen::SparseMatrix<double, Eigen::RowMajor> stored = z | stage;
      Matrix selected = Matrix::Zero(n, 8);
      for (Index i = 0; i < n; ++i)
        for (Eigen::SparseMatrix<double, Eigen::RowMajor>::InnerIterator e(stored, i); e; ++e) selected(i, e.col()) = 1;
      const Matrix out = (a * net.template weights<2>()).rowwise() + net.template biases<2>().transpose();
      const Matrix d_out = 2 * (out - y) / static_cast<double>(n);
      const Matrix d_z = (d_out * net.template weights<2>().transpose()).cwiseProduct(selected);
      Vector expected(net.parameters().size());
      Eigen::Map<Matrix>(expected.data(), 6, 8) = x.transpose() * d_z;
      expected.segment(48, 8) = d_z.colwise().sum().transpose();
      Eigen::Map<Matrix>(expected.data() + 56, 8, 3) = a.transpose() * d_out;
      expected.tail(3) = d_out.colwise().sum().transpose();

      fg::Pass pass(net);
      Vector gradient;
      CHECK(pass.gradient(net, x, y, fg::squared_error(), gradient) ==
            Approx((out - y).squaredNorm() / static_cast<double>(n)).epsilon(1e-12));
      CHECK(test::relative(gradient, expected) < 1e-12);
      CHECK((net(x) - out).cwiseAbs().maxCoeff() < 1e-12 * out.cwiseAbs().maxCoeff());
    };
    check(fg::relu());
    check(fg::threshold(0.1));
    check(fg::hard_threshold(0.2));
    check(fg::soft_threshold(0.2));
    check(fg::top_k(3));
    check(fg::prune_n_m(2, 4));
    check(fg::batch_top_k(2));
    check(fg::winner_take_all(0.2));
  }
}

TEST_CASE("a selected zero passes its gradient on") {
  auto net = fg::network(fg::linear<double>(2, 2) | fg::top_k(1) | fg::linear<double>(2, 1));
  net.parameters().setZero();
  net.weights<2>().setOnes();
  fg::Pass pass(net);
  Vector gradient;
  pass.gradient(net, Matrix::Ones(1, 2), Matrix::Ones(1, 1), fg::squared_error(), gradient);
  CHECK(gradient[0] == -2);  // column 0 wins the tie
  CHECK(gradient[1] == 0);
}

TEST_CASE("dropout is on in training and off in inference") {
  Random random(613);
  const Matrix x = test::normal<double>(random, 200, 40);
  auto net = fg::network(fg::linear<double>(40, 40) | fg::dropout(0.25, 7));
  net.parameters().setZero();
  net.weights<0>().setIdentity();
  CHECK(test::same(net(x), x));
  fg::Pass pass(net);
  Vector first, again, second;
  const double one = pass.gradient(net, x, x, fg::squared_error(), first, 1);
  CHECK(pass.gradient(net, x, x, fg::squared_error(), again, 1) == one);
  CHECK(test::same(first, again));
  CHECK(pass.gradient(net, x, x, fg::squared_error(), second, 2) != one);
  // A dropped entry has error x, a kept entry has error x / 3: the mean square is 1 / 4 · 1 + 3 / 4 · 1 / 9.
  CHECK(one / (x.squaredNorm() / 200) == Approx(0.25 + 0.75 / 9).epsilon(0.05));
}

TEMPLATE_TEST_CASE("gradients have the same bits for any number of threads", "", FILIGREE_TEST_SCALARS) {
  using S = TestType;
  Random random(614);
  const test::Matrix<S> x = test::normal<S>(random, 333, 20);
  const auto net = fg::autoencoder(
      fg::linear<S>(20, 50) | fg::sigmoid() | fg::penalize(3.0 * fg::kl(0.05)) | fg::dropout(0.1, 3) | fg::top_k(9),
      fg::linear<S>(50, 20) | fg::tanh());
  typename decltype(net)::Vector expected, gradient;
  fg::Pass serial(net);
  const double value = serial.gradient(net, x, x, half_error, expected);
  for (const Index threads : {2, 3}) {
    fg::thread_pool pool(threads);
    fg::Pass pass(net, fg::ExecutorRef(pool));
    CHECK(pass.gradient(net, x, x, half_error, gradient) == value);
    CHECK(test::same(gradient, expected));
  }
}

TEST_CASE("parameters are in the order of the layers and depend on the seed") {
  auto net = fg::network(fg::linear<double>(300, 200) | fg::relu() | fg::linear<double>(200, 10), 4);
  CHECK(net.inputs() == 300);
  CHECK(net.outputs() == 10);
  CHECK(net.parameters().size() == 300 * 200 + 200 + 200 * 10 + 10);
  const double r = std::sqrt(6.0 / 501);
  CHECK(net.weights<0>().maxCoeff() < r);
  CHECK(net.weights<0>().minCoeff() >= -r);
  CHECK(net.weights<0>().maxCoeff() > 0.999 * r);
  CHECK(std::abs(net.weights<0>().mean()) < 0.01 * r);
  CHECK((net.biases<0>().array() == 0).all());
  CHECK(net.weights<0>()(0, 0) != net.weights<2>()(0, 0));
  CHECK(net.weights<2>().data() == net.parameters().data() + net.offset(2));
  CHECK(
      test::same(net.parameters(),
                 fg::network(fg::linear<double>(300, 200) | fg::relu() | fg::linear<double>(200, 10), 4).parameters()));
  CHECK_FALSE(
      test::same(net.parameters(),
                 fg::network(fg::linear<double>(300, 200) | fg::relu() | fg::linear<double>(200, 10), 5).parameters()));
}

TEST_CASE("inputs and targets may be expressions of any memory layout") {
  Random random(615);
  const Matrix x = test::normal<double>(random, 40, 6), y = test::normal<double>(random, 40, 3);
  const auto net = fg::network(fg::linear<double>(6, 3) | fg::sigmoid());
  fg::Pass pass(net);
  const double expected = pass.loss(net, x, y, fg::squared_error());
  const Eigen::MatrixXd columns = x;
  CHECK(pass.loss(net, columns, 1.0 * y, fg::squared_error()) == expected);
  CHECK(test::same(net(columns), net(x)));
  CHECK(test::same(net(x.topRows(7)), Matrix(net(x).topRows(7))));
  CHECK(pass.loss(net, x.topRows(0), y.topRows(0), fg::squared_error()) == 0);
}

TEST_CASE("a new pass accepts an empty batch") {
  const auto net = fg::network(fg::linear<double>(6, 3) | fg::sigmoid());
  fg::Pass pass(net);
  Vector gradient = Vector::Constant(21, 9);
  CHECK(pass.gradient(net, Matrix(0, 6), Matrix(0, 3), fg::squared_error() + fg::weight_decay(), gradient) ==
        Approx(net.weights<0>().squaredNorm() / 2));
  CHECK((gradient.head(18) - net.parameters().head(18)).cwiseAbs().maxCoeff() == 0);
  CHECK((gradient.tail(3).array() == 0).all());
}

TEST_CASE("penalties may be the first and last stage, and samples may have 16-bit scalars") {
  Random random(616);
  const Matrix x = test::normal<double>(random, 40, 6), y = test::normal<double>(random, 40, 3);
  const auto net = fg::network(fg::penalize(0.1 * fg::hoyer_square()) | fg::linear<double>(6, 3) | fg::tanh() |
                               fg::penalize(0.2 * fg::hoyer_square()));
  check_gradient(net, x, y, half_error);

  const Eigen::Matrix<Eigen::half, Eigen::Dynamic, Eigen::Dynamic, Eigen::RowMajor> narrow = x.cast<Eigen::half>();
  fg::Pass pass(net);
  const Matrix wide = narrow.cast<double>();
  CHECK(pass.loss(net, narrow, y, fg::squared_error()) == pass.loss(net, wide, y, fg::squared_error()));
  CHECK(test::same(net(narrow), net(wide)));
}

TEST_CASE("networks reject layers, samples and targets of the wrong shape") {
  CHECK_THROWS_WITH(fg::linear(0, 3), "filigree: linear(in, out): in must be from 1 to 2147482623, got 0");
  CHECK_THROWS_WITH(fg::linear(3, -1), "filigree: linear(in, out): out must be from 1 to 2147482623, got -1");
  CHECK_THROWS_WITH(fg::network(fg::linear(4, 5) | fg::sigmoid() | fg::linear(6, 2)),
                    "filigree: linear(6, 2): gets 5 columns from the stage before it, not 6");
  CHECK_THROWS_WITH(fg::autoencoder(fg::linear(4, 5), fg::linear(5, 3)),
                    "filigree: autoencoder(encoder, decoder): the decoder has 3 outputs, but the encoder has 4 inputs");
  CHECK_THROWS_WITH(fg::network(fg::pre_bias() | fg::linear(6, 9) | fg::linear(9, 3)),
                    "filigree: pre_bias(): the last layer's bias has 3 numbers, and the samples have 6");
  const auto net = fg::network(fg::linear<double>(4, 5));
  fg::Pass pass(net);
  CHECK_THROWS_WITH(net(Matrix(2, 3)), "filigree: network(X): X.cols() = 3 must be 4");
  CHECK_THROWS_WITH(pass.loss(net, Matrix(2, 3), Matrix(2, 5), fg::squared_error()),
                    "filigree: pass: X.cols() = 3 must be the network's inputs, 4");
  CHECK_THROWS_WITH(pass.loss(net, Matrix(2, 4), Matrix(2, 4), fg::squared_error()),
                    "filigree: pass: Y.cols() = 4 must be the network's outputs, 5");
  CHECK_THROWS_WITH(pass.loss(net, Matrix(2, 4), Matrix(3, 5), fg::squared_error()),
                    "filigree: pass: Y.rows() = 3 must equal X.rows() = 2");
}

TEMPLATE_TEST_CASE("the gradient of a large batch through narrow layers is the mean over smaller batches", "",
                   FILIGREE_TEST_SCALARS) {
  using S = TestType;
  test::Random random(645);
  const Index n = 30000, batch = 1000;
  const auto net = fg::network(fg::linear<S>(3, 4) | fg::tanh() | fg::linear<S>(4, 2), 3);
  const test::Matrix<S> x = test::normal<S>(random, n, 3);
  test::Matrix<S> y = test::normal<S>(random, n, 2).cwiseAbs();
  y.array().colwise() /= y.rowwise().sum().array().eval();
  const auto objective = fg::cross_entropy() + 0.3 * fg::squared_error() + 0.1 * fg::weight_decay();
  fg::Pass pass(net), by_batches(net);
  typename std::remove_cvref_t<decltype(net)>::Vector gradient, other;
  const double value = pass.gradient(net, x, y, objective, gradient);
  Eigen::VectorXd sum = Eigen::VectorXd::Zero(gradient.size());
  double expected = 0;
  for (Index first = 0; first < n; first += batch) {
    expected += by_batches.gradient(net, x.middleRows(first, batch), y.middleRows(first, batch), objective, other);
    sum += other.template cast<double>();
  }
  const double batches = static_cast<double>(n / batch), tolerance = std::is_same_v<S, float> ? 1e-5 : 1e-12;
  CHECK(value == Approx(expected / batches).epsilon(tolerance));
  CHECK(pass.loss(net, x, y, objective) == Approx(value).epsilon(1e-13));
  CHECK((gradient.template cast<double>() - sum / batches).norm() <= tolerance * gradient.norm());
  fg::thread_pool pool(3);
  fg::Pass threaded(net, fg::ExecutorRef(pool));
  CHECK(threaded.gradient(net, x, y, objective, other) == value);
  CHECK(test::same(other, gradient));
  CHECK(pass.gradient(net, Eigen::SparseMatrix<S, Eigen::RowMajor>(x.sparseView()), y, objective, other) ==
        Approx(value).epsilon(1e-13));
  CHECK((other - gradient).norm() <= S(tolerance) * gradient.norm());
}

TEST_CASE("repeated samples do not change the gradient of a network with pre_bias") {
  Random random(646);
  auto net = fg::network(fg::pre_bias() | fg::linear<double>(3, 4) | fg::tanh() | fg::linear<double>(4, 3), 3);
  net.parameters() = 0.5 * test::normal<double>(random, net.parameters().size(), 1);
  const Matrix x = test::normal<double>(random, 500, 3), y = test::normal<double>(random, 500, 3);
  const Matrix repeated_x = x.replicate(40, 1), repeated_y = y.replicate(40, 1);
  fg::Pass pass(net);
  Vector gradient, expected;
  const double value = pass.gradient(net, x, y, half_error, expected);
  CHECK(pass.gradient(net, repeated_x, repeated_y, half_error, gradient) == Approx(value).epsilon(1e-12));
  CHECK(test::relative(gradient, expected) < 1e-12);
}
