// SPDX-License-Identifier: MIT
// Training steps after the first allocate nothing.
#include <filigree/filigree.hpp>
#include <limits>

#include "allocations.hpp"
#include "catch.hpp"
#include "inputs.hpp"

#if FILIGREE_COUNTS_ALLOCATIONS
namespace fg = filigree;
using test::Matrix;

TEMPLATE_TEST_CASE("the second pass allocates nothing", "", FILIGREE_TEST_SCALARS) {
  using S = TestType;
  test::Random random(631);
  const Matrix<S> x = test::normal<S>(random, 300, 20), sizes = test::normal<S>(random, 300, 7).cwiseAbs();
  const Matrix<S> y = sizes.array().colwise() / sizes.array().rowwise().sum();
  const auto objective = 0.5 * fg::squared_error() + 0.1 * fg::normalized_squared_error() + fg::cross_entropy() +
                         1e-4 * fg::weight_decay();
  fg::thread_pool pool(3);
  const auto check = [&](const auto& stages, fg::ExecutorRef executor) {
    const auto net = fg::network(stages);
    typename std::remove_cvref_t<decltype(net)>::Vector gradient;
    fg::Pass pass(net, executor);
    pass.gradient(net, x, y, objective, gradient);
    CHECK(test::allocated_by([&] { pass.gradient(net, x, y, objective, gradient); }) == 0);
    CHECK(test::allocated_by([&] { pass.loss(net, x.topRows(77), y.topRows(77), objective); }) == 0);
  };
  for (const fg::ExecutorRef executor : {fg::ExecutorRef(fg::serial()), fg::ExecutorRef(pool)}) {
    const auto in = fg::linear<S>(20, 30), out = fg::linear<S>(30, 7);
    check(in | fg::sigmoid() | fg::penalize(3.0 * fg::kl(0.01) + fg::l1()) | out | fg::tanh(), executor);
    check(in | fg::top_k(4) | fg::penalize(fg::flops() + fg::entropy()) | out, executor);
    check(in | fg::top_k(1) | out.skip_connection(20), executor);
    check(in | fg::batch_top_k(2) | fg::relu() | out, executor);
    check(in | fg::winner_take_all(0.1) | out, executor);
    check(in | fg::jump_relu<S>(30, {.theta = 0.1}) | fg::penalize(0.1 * fg::l0()) | out, executor);
    check(in | fg::layer_norm<S>(30) | fg::gelu() | out, executor);
    check(fg::gated<S>(20, 30) | out, executor);
    check(in | fg::residual(fg::layer_norm<S>(30) | fg::linear<S>(30, 30) | fg::tanh()) | out, executor);
    check(in | fg::dropout(0.2, 1) | fg::relu() | fg::gelu() | out, executor);
    check(in | fg::soft_threshold(0.1) | fg::penalize(fg::hoyer_square() + fg::group_lasso(4)) | out, executor);
  }
}

TEMPLATE_TEST_CASE("the second step of an optimizer allocates nothing", "", FILIGREE_TEST_SCALARS) {
  using S = TestType;
  using Vector = Eigen::Matrix<S, Eigen::Dynamic, 1>;
  fg::thread_pool pool(3);
  const auto check = [](auto net, const auto& optimizer, double clip, fg::ExecutorRef executor) {
    Vector gradient = Vector::Constant(net.parameters().size(), S(0.01));
    Vector moments = Vector::Zero(fg::detail::moments_of(optimizer) * net.parameters().size());
    fg::detail::ParameterUpdate update(net, optimizer, executor);
    const auto step = [&](test::Index number) {
      update.check(1.0, gradient, number, clip);
      update.run(gradient, moments, number, 1.0, clip);
    };
    step(1);
    CHECK(test::allocated_by([&] { step(2); }) == 0);
  };
  for (const fg::ExecutorRef executor : {fg::ExecutorRef(fg::serial()), fg::ExecutorRef(pool)})
    for (const double clip : {0.1, std::numeric_limits<double>::infinity()}) {
      const auto net = fg::network(fg::linear<S>(200, 90) | fg::jump_relu<S>(90, {.theta = 0.1}) |
                                   fg::linear<S>(90, 200).unit_norm_rows());
      check(net, fg::adam{.amsgrad = true}, clip, executor);
      check(net, fg::sgd{.momentum = 0.5}, clip, executor);
      check(net, fg::proximal_gradient{}, clip, executor);
    }
}
#else
TEST_CASE("allocations cannot be counted on this platform") { SUCCEED(); }
#endif
