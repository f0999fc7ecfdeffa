// SPDX-License-Identifier: MIT
// Layers with few kept entries between them. Outputs and gradients must equal those of dense matrices with zeros.
#include <filigree/filigree.hpp>

#include "allocations.hpp"
#include "catch.hpp"
#include "inputs.hpp"
#include "nn/differences.hpp"

namespace fg = filigree;
using test::Index;
using test::Matrix;
using test::Random;

namespace {

/// Compares linear(in, latents) | stage | linear(latents, out) with dense matrices. The stage on a matrix selects the
/// entries.
template <class S, class Net, class Stage>
void check(const Net& net, const Stage& stage, const Matrix<S>& x, const Matrix<S>& y, double tolerance) {
  using Dense = Matrix<double>;
  const Dense w1 = net.template weights<0>().template cast<double>();
  const Dense w2 = net.template weights<Net::depth - 1>().template cast<double>();
  const Eigen::RowVectorXd b1 = net.template biases<0>().template cast<double>().transpose();
  const Eigen::RowVectorXd b2 = net.template biases<Net::depth - 1>().template cast<double>().transpose();
  // The selection depends on rounding, so z is computed like in the layer, as sums that begin with the bias.
  Matrix<S> z(x.rows(), w1.cols());
  fg::Workspace memory;
  {
    const fg::detail::Session session(fg::detail::Execution{{}, &memory});
    const Matrix<S> weights = net.template weights<0>();
    fg::detail::multiply(fg::detail::view(x), fg::detail::view(weights),
                         {.data = z.data(), .stride = z.cols(), .start = net.template biases<0>().data()}, session);
  }
  const Eigen::SparseMatrix<S, Eigen::RowMajor> codes = z | stage;
  const Dense a = Dense(Matrix<S>(codes).template cast<double>());
  Dense selected = Dense::Zero(a.rows(), a.cols());
  for (Index i = 0; i < codes.rows(); ++i)
    for (typename Eigen::SparseMatrix<S, Eigen::RowMajor>::InnerIterator e(codes, i); e; ++e) selected(i, e.col()) = 1;
  const Dense out = (a * w2).rowwise() + b2;
  const Dense d_out = 2 * (out - y.template cast<double>()) / static_cast<double>(x.rows());
  const Dense d_z = (d_out * w2.transpose()).cwiseProduct(selected);
  Eigen::VectorXd expected(net.parameters().size());
  Eigen::Map<Dense>(expected.data(), w1.rows(), w1.cols()) = x.template cast<double>().transpose() * d_z;
  expected.segment(w1.size(), w1.cols()) = d_z.colwise().sum().transpose();
  const Index second = w1.size() + w1.cols();
  Eigen::Map<Dense>(expected.data() + second, w2.rows(), w2.cols()) = a.transpose() * d_out;
  expected.tail(w2.cols()) = d_out.colwise().sum().transpose();

  fg::Pass pass(net);
  typename Net::Vector gradient;
  const double value = pass.gradient(net, x, y, fg::squared_error(), gradient);
  CHECK(value ==
        Approx((out - y.template cast<double>()).squaredNorm() / static_cast<double>(x.rows())).epsilon(tolerance));
  CHECK(test::relative(gradient.template cast<double>(), expected) < tolerance);
  CHECK((net(x).template cast<double>() - out).cwiseAbs().maxCoeff() <= tolerance * out.cwiseAbs().maxCoeff());

  fg::thread_pool pool(3);
  fg::Pass other(net, fg::ExecutorRef(pool));
  typename Net::Vector same;
  CHECK(other.gradient(net, x, y, fg::squared_error(), same) == value);
  CHECK(test::same(same, gradient));
}

}  // namespace

TEMPLATE_TEST_CASE("layers with few kept entries between them match dense matrices", "", FILIGREE_TEST_SCALARS) {
  using S = TestType;
  const double tolerance = std::is_same_v<S, float> ? 2e-5 : 1e-13;
  Random random(661);
  struct Sizes {
    Index n, in, latents, out;
  };
  for (const Sizes size : {Sizes{1, 3, 64, 1}, {7, 6, 100, 5}, {130, 33, 300, 47}, {70, 64, 1000, 64}}) {
    const Index in = size.in, latents = size.latents, out = size.out;
    const Matrix<S> x = test::normal<S>(random, size.n, in), y = test::normal<S>(random, size.n, out);
    const auto with = [&](const auto& stage) {
      auto net = fg::network(fg::linear<S>(in, latents) | stage | fg::linear<S>(latents, out), 4);
      net.template biases<0>() = test::normal<S>(random, latents, 1);
      net.template biases<decltype(net)::depth - 1>() = test::normal<S>(random, out, 1);
      check<S>(net, stage, x, y, tolerance);
    };
    with(fg::top_k(1));
    with(fg::top_k(4));
    with(fg::top_k(latents / 16));
    with(fg::top_k(latents / 16 + 1));  // too many for lists
    with(fg::top_k(4) | fg::relu());
    with(fg::relu() | fg::top_k(3));
    with(fg::threshold(2.5));
    with(fg::threshold(50));  // keeps no entry
    with(fg::batch_top_k(3));
    with(fg::batch_top_k(3) | fg::relu());
    with(fg::winner_take_all(0.05));
  }
}

TEST_CASE("gradients reach the layers before a selection") {
  Random random(662);
  const Matrix<double> x = test::normal<double>(random, 90, 7), y = test::normal<double>(random, 90, 6);
  auto net = fg::network(fg::linear<double>(7, 9) | fg::tanh() | fg::linear<double>(9, 200) | fg::top_k(5) |
                             fg::dropout(0.3, 2) | fg::linear<double>(200, 150) | fg::top_k(6) |
                             fg::penalize(0.1 * fg::l1()) | fg::linear<double>(150, 6),
                         8);
  net.parameters() = 0.3 * test::normal<double>(random, net.parameters().size(), 1);  // biases of 0 would make ties
  fg::Pass pass(net);
  Eigen::VectorXd gradient;
  pass.gradient(net, x, y, fg::squared_error(), gradient, 3);
  // The selection does not change within a difference step.
  auto moved = net;
  const double h = 1e-6;
  for (int trial = 0; trial < 200; ++trial) {
    const Index p = random.between(0, static_cast<int>(gradient.size()) - 1);
    const double at = net.parameters()[p];
    moved.parameters()[p] = at + h;
    const double above = pass.loss(moved, x, y, fg::squared_error(), 3);
    moved.parameters()[p] = at - h;
    const double below = pass.loss(moved, x, y, fg::squared_error(), 3);
    moved.parameters()[p] = at;
    CHECK((above - below) / (2 * h) == Approx(gradient[p]).epsilon(1e-5).margin(1e-7));
  }
}

#if FILIGREE_COUNTS_ALLOCATIONS
TEST_CASE("the second pass with few kept entries allocates nothing") {
  Random random(663);
  const Matrix<float> x = test::normal<float>(random, 300, 20);
  fg::thread_pool pool(3);
  for (const fg::ExecutorRef executor : {fg::ExecutorRef(fg::serial()), fg::ExecutorRef(pool)}) {
    const auto sae = fg::autoencoder(fg::linear(20, 500) | fg::top_k(8) | fg::relu(), fg::linear(500, 20));
    fg::Pass pass(sae, executor);
    Eigen::VectorXf gradient;
    pass.gradient(sae, x, x, fg::squared_error(), gradient);
    CHECK(test::allocated_by([&] { pass.gradient(sae, x, x, fg::squared_error(), gradient); }) == 0);
    CHECK(test::allocated_by([&] { pass.loss(sae, x.topRows(77), x.topRows(77), fg::squared_error()); }) == 0);
  }
}
#endif
