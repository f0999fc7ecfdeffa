// SPDX-License-Identifier: MIT
// Losses of encoders of queries and documents: values by formulas, gradients by differences, and the training of a
// sparse encoder whose documents an inverted index finds.
#include <cmath>
#include <filigree/filigree.hpp>
#include <limits>
#include <vector>

#include "catch.hpp"
#include "inputs.hpp"
#include "nn/differences.hpp"

namespace fg = filigree;
using test::Index;
using test::Matrix;
using test::Random;

namespace {

constexpr Index queries = 3, terms = 7;

/// Returns the value of a loss for outputs, and compares its gradient with differences.
template <class L>
double value_of(const L& loss, const Matrix<double>& y) {
  const fg::detail::Session session(fg::detail::Execution{});
  const auto value = [&](const double* data, double factor, double* gradient) {
    double sum = 0;
    const Matrix<double> none(0, y.cols());
    fg::detail::each_term(loss, factor, [&](const auto& term, double f) {
      sum += term.add(fg::detail::ConstRows<double>(data, y.rows(), y.cols()),
                      fg::detail::ConstRows<double>(none.data(), 0, y.cols()), f, gradient, session);
    });
    return sum;
  };
  Matrix<double> gradient = Matrix<double>::Constant(y.rows(), y.cols(), 0.5);  // it must be added to
  const double computed = value(y.data(), 2, gradient.data());
  CHECK(computed == Approx(2 * value(y.data(), 1, nullptr)));
  const Eigen::Map<const Eigen::VectorXd> start(y.data(), y.size());
  const Eigen::VectorXd expected =
      test::differences([&](const Eigen::VectorXd& at) { return value(at.data(), 2, nullptr); }, start, 1e-4);
  const Eigen::VectorXd found = Eigen::Map<Eigen::VectorXd>(gradient.data(), y.size()).array() - 0.5;
  CHECK(test::relative(found, expected) < 1e-8);
  return computed / 2;
}

}  // namespace

TEST_CASE("in_batch_negatives computes the cross entropy of the diagonal of Q D'") {
  Random random(31);
  for (const Index blocks : {Index{1}, Index{2}}) {
    const Matrix<double> y = test::normal<double>(random, queries * (1 + blocks), terms);
    double expected = 0;
    for (Index i = 0; i < queries; ++i) {
      double sum = 0;
      for (Index j = 0; j < queries * blocks; ++j) sum += std::exp(0.7 * y.row(i).dot(y.row(queries + j)));
      expected -= std::log(std::exp(0.7 * y.row(i).dot(y.row(queries + i))) / sum) / queries;
    }
    CHECK(value_of(fg::in_batch_negatives(queries, {.scale = 0.7}), y) == Approx(expected));
  }
  Matrix<double> large = Matrix<double>::Zero(2, 1);
  large << 100, 100;
  CHECK(value_of(fg::in_batch_negatives(1), large) == 0);  // one document; exp(10000) must not overflow
}

TEST_CASE("margin_mse and distillation_kl compute their formulas") {
  Random random(32);
  const Matrix<double> y = test::normal<double>(random, 3 * queries, terms);
  const std::vector<double> margins = {1, -0.5, 3};
  double mse = 0, kl = 0;
  const Matrix<double> teacher = test::normal<double>(random, queries, 2);
  for (Index i = 0; i < queries; ++i) {
    const double a = y.row(i).dot(y.row(queries + i)), b = y.row(i).dot(y.row(2 * queries + i));
    mse += std::pow(a - b - margins[static_cast<std::size_t>(i)], 2) / queries;
    const double p = 1 / (1 + std::exp(teacher(i, 1) - teacher(i, 0))), s = 1 / (1 + std::exp(b - a));
    kl += (p * std::log(p / s) + (1 - p) * std::log((1 - p) / (1 - s))) / queries;
  }
  CHECK(value_of(fg::margin_mse(margins), y) == Approx(mse));
  CHECK(value_of(fg::distillation_kl(teacher), y) == Approx(kl));
  CHECK(value_of(0.5 * fg::margin_mse(margins) + fg::distillation_kl(teacher), y) == Approx(0.5 * mse + kl));
}

TEST_CASE("query_flops and document_flops penalize one side, above a threshold") {
  Random random(33);
  Matrix<double> y = test::normal<double>(random, 3 * queries, terms);
  const auto flops = [](const Matrix<double>& x) { return x.cwiseAbs().colwise().mean().squaredNorm(); };
  CHECK(value_of(fg::query_flops(queries), y) == Approx(flops(y.topRows(queries))));
  CHECK(value_of(fg::document_flops(queries), y) == Approx(flops(y.bottomRows(2 * queries))));
  y.row(1).tail(4).setZero();
  Matrix<double> penalized = y.topRows(queries);
  penalized.row(1).setZero();
  const fg::detail::Session session(fg::detail::Execution{});
  Matrix<double> gradient = Matrix<double>::Zero(y.rows(), y.cols());
  const auto loss = fg::query_flops(queries, {.threshold = 3});
  const fg::detail::ConstRows<double> rows(y.data(), y.rows(), y.cols());
  CHECK(loss.add(rows, rows, 1, gradient.data(), session) == Approx(flops(penalized)));
  CHECK(gradient.row(1).isZero());
  CHECK(!gradient.row(0).isZero());
  CHECK(gradient.bottomRows(2 * queries).isZero());
  CHECK(fg::query_flops(queries, {.threshold = 2}).add<double>(rows, rows, 1, nullptr, session) ==
        Approx(flops(y.topRows(queries))));
}

TEST_CASE("losses of queries and documents reject invalid arguments and other numbers of rows") {
  const Matrix<float> x = Matrix<float>::Ones(4, 2);
  const auto net = fg::network(fg::linear(2, 3) | fg::log1p_relu() | fg::pool_max());
  fg::Pass pass(net);
  const fg::Batch batch{x, {2, 1, 1}};
  CHECK_THROWS_WITH(pass.loss(net, batch, fg::in_batch_negatives(2)),
                    "filigree: in_batch_negatives(queries): the outputs must be 2 queries and one or more blocks of 2 "
                    "documents, got 3 rows");
  CHECK_THROWS_WITH(pass.loss(net, batch, fg::margin_mse({1, 2, 3})),
                    "filigree: margin_mse(margins): the outputs must be 3 queries and one or more blocks of 3 "
                    "documents, got 3 rows");
  CHECK_THROWS_WITH(pass.loss(net, fg::Batch{x, {1, 1, 1, 1}}, fg::margin_mse({1, 2})),
                    "filigree: margin_mse(margins): needs 2 blocks of 2 documents, got 1");
  CHECK_THROWS_WITH(pass.loss(net, batch, fg::distillation_kl(Eigen::RowVectorXd::Ones(3))),
                    "filigree: distillation_kl(teacher): teacher has scores of 3 documents for each query, got 2 "
                    "blocks of 1 documents");
  CHECK_THROWS_WITH(pass.loss(net, batch, fg::query_flops(4)),
                    "filigree: query_flops(queries): there are 4 queries, but the outputs have 3 rows");
  CHECK_THROWS_WITH(fg::in_batch_negatives(0),
                    "filigree: in_batch_negatives(queries): queries must be at least 1, got 0");
  CHECK_THROWS_WITH(fg::in_batch_negatives(1, {.scale = 0}),
                    "filigree: in_batch_negatives(queries, {.scale}): scale must be positive and finite, got 0");
  CHECK_THROWS_WITH(fg::margin_mse({}), "filigree: margin_mse(margins): needs a margin for each query, got none");
  CHECK_THROWS_WITH(fg::margin_mse({1, std::numeric_limits<double>::infinity()}),
                    "filigree: margin_mse(margins): margins[1] must be finite, got inf");
  CHECK_THROWS_WITH(fg::distillation_kl(Eigen::MatrixXd(2, 0)),
                    "filigree: distillation_kl(teacher): must be queries x documents, got 2 x 0");
  CHECK_THROWS_WITH(fg::document_flops(1, {.threshold = -1}),
                    "filigree: document_flops(queries, {.threshold}): must be at least 0, got -1");
}

TEST_CASE("a sparse encoder learns to find documents with an inverted index") {
  // Query and document of a pair have the same topic among 40 and different noise; tokens are vectors of 16 features.
  constexpr Index pairs = 40, d = 16, length = 4, vocabulary = 200;
  Random random(34);
  const Matrix<float> topics = test::normal<float>(random, pairs, d);
  Matrix<float> tokens = 0.6F * test::normal<float>(random, 2 * pairs * length, d);
  for (Index s = 0; s < 2 * pairs; ++s) tokens.row(s * length + s % length) += topics.row(s % pairs);
  const fg::Batch batch{tokens, std::vector<Index>(2 * pairs, length)};
  auto net = fg::network(
      fg::linear(d, 32) | fg::tanh() | fg::linear(32, vocabulary) | fg::log1p_relu() | fg::pool_max() | fg::top_k(32),
      3);
  fg::Pass pass(net);
  fg::Predictor encode(net);
  Eigen::VectorXf gradient, moments = Eigen::VectorXf::Zero(2 * net.parameters().size());
  const auto found = [&] {
    const Eigen::SparseMatrix<float, Eigen::RowMajor> codes = encode.sparse(batch);
    const auto index = fg::sparse_index(codes.bottomRows(pairs));
    const Eigen::SparseMatrix<float, Eigen::RowMajor> asked = codes.topRows(pairs);
    const auto best = fg::selected(fg::sparse_scores(asked, index) | fg::top_k(1));
    Index hits = 0;
    for (Index i = 0; i < pairs; ++i) hits += best.columns(i, 0) == i ? 1 : 0;
    return hits;
  };
  const Index before = found();
  const fg::adam adam = {.rate = 0.01};
  double first = 0, last = 0;
  const auto objective =
      fg::in_batch_negatives(pairs) + 1e-3 * fg::query_flops(pairs) + 1e-3 * fg::document_flops(pairs);
  for (Index step = 1; step <= 150; ++step) {
    last = pass.gradient(net, batch, objective, gradient);
    if (step == 1) first = last;
    adam.step(fg::Parameters<float>{.values = net.parameters().data(),
                                    .gradient = gradient.data(),
                                    .moments = moments.data(),
                                    .count = gradient.size(),
                                    .weights = true},
              step, 1);
  }
  INFO("loss " << first << " to " << last << ", found " << before << " to " << found());
  CHECK(last < 0.1 * first);
  CHECK(before < 36);
  CHECK(found() >= 39);
}
