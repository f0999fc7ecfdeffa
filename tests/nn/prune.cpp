// SPDX-License-Identifier: MIT
// Masks, SparseGPT and pruning in training against their formulas.
#include <Eigen/LU>
#include <algorithm>
#include <cmath>
#include <filigree/core/thread_pool.hpp>
#include <filigree/nn/nn.hpp>
#include <filigree/score_map/tanh.hpp>
#include <limits>
#include <numeric>
#include <vector>

#include "catch.hpp"
#include "inputs.hpp"

namespace fg = filigree;
using test::Index;
using test::Random;
using Dense = test::Matrix<double>;

namespace {

Dense normal(Random& random, Index n, Index m) {
  Dense x(n, m);
  for (Index e = 0; e < x.size(); ++e) x.data()[e] = random.normal();
  return x;
}

/// Samples whose columns have different scales and are correlated.
Dense calibration(Random& random, Index n, Index in) {
  Dense x = normal(random, n, in) * normal(random, in, in);
  for (Index i = 0; i < in; ++i) x.col(i) *= std::exp(random.normal());
  return x;
}

/// Keeps the entries of largest score among `candidates`, by sorting. Ties go to the first candidate.
void keep_largest(const std::vector<double>& scores, Index kept, std::vector<char>& keep) {
  std::vector<std::size_t> order(scores.size());
  std::iota(order.begin(), order.end(), std::size_t{0});
  std::stable_sort(order.begin(), order.end(), [&](auto a, auto b) { return scores[a] > scores[b]; });
  keep.assign(scores.size(), 0);
  for (std::size_t e = 0; e < static_cast<std::size_t>(kept); ++e) keep[order[e]] = 1;
}

fg::WeightMask expected_magnitude(const Dense& w, double fraction) {
  std::vector<double> scores;
  for (Index e = 0; e < w.size(); ++e) scores.push_back(std::abs(w.data()[e]));
  std::vector<char> keep;
  keep_largest(scores, w.size() - static_cast<Index>(std::floor(fraction * static_cast<double>(w.size()))), keep);
  fg::WeightMask mask(w.rows(), w.cols());
  for (Index e = 0; e < w.size(); ++e) mask.data()[e] = keep[static_cast<std::size_t>(e)] != 0;
  return mask;
}

/// Keeps `kept(count)` of each group of `group` inputs of each output.
template <class F>
fg::WeightMask expected_by_output(const Dense& scores, Index group, F&& kept) {
  fg::WeightMask mask(scores.rows(), scores.cols());
  for (Index j = 0; j < scores.cols(); ++j)
    for (Index begin = 0; begin < scores.rows(); begin += group) {
      const Index count = std::min(group, scores.rows() - begin);
      std::vector<double> of_group;
      for (Index i = begin; i < begin + count; ++i) of_group.push_back(std::abs(scores(i, j)));
      std::vector<char> keep;
      keep_largest(of_group, kept(count), keep);
      for (Index i = 0; i < count; ++i) mask(begin + i, j) = keep[static_cast<std::size_t>(i)] != 0;
    }
  return mask;
}

bool same(const fg::WeightMask& a, const fg::WeightMask& b) {
  return a.rows() == b.rows() && a.cols() == b.cols() && (a == b).all();
}

Dense masked(const Dense& w, const fg::WeightMask& mask) { return mask.select(w.array(), 0.0).matrix(); }

double error(const Dense& x, const Dense& w, const Dense& pruned) { return (x * (w - pruned)).squaredNorm(); }

}  // namespace

TEST_CASE("masks of pruning match their formulas") {
  Random random(711);
  for (const Index in : {1, 5, 8, 30})
    for (const Index out : {1, 6, 17})
      for (const double fraction : {0.0, 0.37, 0.5, 0.9, 1.0}) {
        CAPTURE(in, out, fraction);
        Dense w = normal(random, in, out);
        for (Index e = 0; e < w.size(); e += 3) w.data()[e] = std::round(w.data()[e]);  // ties and zeros
        CHECK(same(fg::magnitude_mask(w, fraction), expected_magnitude(w, fraction)));
        const auto all_but = [&](Index count) {
          return count - static_cast<Index>(std::floor(fraction * static_cast<double>(count)));
        };
        CHECK(same(fg::output_mask(w, fraction), expected_by_output(w, in, all_but)));
        for (const auto& [n, m] : {std::pair<Index, Index>{2, 4}, {1, 1}, {3, 7}}) {
          const Index kept = n;
          CHECK(same(fg::n_m_mask(w, n, m),
                     expected_by_output(w, m, [&](Index count) { return std::min(kept, count); })));
        }
        const Dense x = normal(random, 11, in);
        Dense scores(in, out);
        for (Index i = 0; i < in; ++i)
          for (Index j = 0; j < out; ++j) {
            double sum = 0;
            for (Index s = 0; s < 11; ++s) sum += x(s, i) * x(s, i);
            scores(i, j) = std::abs(w(i, j)) * std::sqrt(sum);
          }
        CHECK((fg::wanda_scores(w, x) - scores).cwiseAbs().maxCoeff() < 1e-13);
        const Eigen::SparseMatrix<double> sparse_x(x.sparseView());
        CHECK((fg::wanda_scores(w, sparse_x) - scores).cwiseAbs().maxCoeff() < 1e-13);
        CHECK(same(fg::output_mask(fg::wanda_scores(w, x), fraction), expected_by_output(scores, in, all_but)));
      }
  // By magnitude, the input of small weights is pruned; by Wanda, the input that is nearly always 0.
  const Dense w = (Dense(2, 1) << 1, 0.5).finished(), x = (Dense(2, 2) << 0, 1, 0.1, 1).finished();
  CHECK(same(fg::output_mask(w, 0.5), fg::WeightMask{{true}, {false}}));
  CHECK(same(fg::output_mask(fg::wanda_scores(w, x), 0.5), fg::WeightMask{{false}, {true}}));
  CHECK(fg::magnitude_mask(Dense(0, 3), 0.5).size() == 0);
  CHECK(fg::n_m_mask(Dense(3, 0), 2, 4).size() == 0);
  CHECK(fg::output_mask(Dense(0, 3), 0.5).size() == 0);
}

TEST_CASE("sparse_gpt applies the optimal brain surgeon's update to a pruned weight") {
  Random random(712);
  const Index in = 6;
  const Dense x = calibration(random, 40, in);
  for (Index p = 0; p < in; ++p) {  // the pruned weight: so small that it is the one of smallest saliency
    CAPTURE(p);
    Dense w = normal(random, in, 1).array() + 3;
    w(p, 0) = 1e-3;
    const auto pruned = fg::sparse_gpt(w, x, {.fraction = 1.0 / static_cast<double>(in), .damping = 0});
    CHECK(pruned.mask.count() == in - 1);
    REQUIRE(pruned.mask(p, 0) == false);
    // Inputs before p are fixed. Of the others F: w_F - w_p / [(H_F)^-1]_pp (H_F)^-1 e_p, with H = X' X.
    const Index rest = in - p;
    const Dense inverse = Dense(x.rightCols(rest).transpose() * x.rightCols(rest)).inverse();
    Dense expected = w;
    expected.bottomRows(rest) -= w(p, 0) / inverse(0, 0) * inverse.col(0);
    expected(p, 0) = 0;
    CHECK((pruned.weights - expected).cwiseAbs().maxCoeff() < 1e-11);
    // The outputs are those of least squares with the remaining inputs, which the update solves exactly.
    const Dense left = x.rightCols(rest - 1);
    if (rest > 1) {
      const Dense target = x.rightCols(rest) * w.bottomRows(rest);
      const Dense best = Dense(left.transpose() * left).inverse() * left.transpose() * target;
      CHECK((pruned.weights.bottomRows(rest - 1) - best).cwiseAbs().maxCoeff() < 1e-8);
    }
  }
}

TEST_CASE("sparse_gpt reconstructs outputs better than masks alone, in blocks as without") {
  Random random(713);
  for (const Index in : {20, 70}) {
    const Index out = 15;
    const Dense x = calibration(random, 200, in), w = normal(random, in, out);
    for (const double fraction : {0.3, 0.5, 0.8}) {
      CAPTURE(in, fraction);
      const auto whole = fg::sparse_gpt(w, x, {.fraction = fraction});
      CHECK(whole.mask.count() == w.size() - static_cast<Index>(std::floor(fraction * double(w.size()))));
      CHECK((whole.mask || whole.weights.array() == 0).all());
      CHECK(error(x, w, whole.weights) < 0.7 * error(x, w, masked(w, fg::magnitude_mask(w, fraction))));
      CHECK(error(x, w, whole.weights) < error(x, w, masked(w, whole.mask)));
      fg::ThreadPool pool(3);
      const auto blocks = fg::sparse_gpt(w, x, {.fraction = fraction, .block = 7, .executor = pool});
      CHECK(error(x, w, blocks.weights) < 0.7 * error(x, w, masked(w, fg::magnitude_mask(w, fraction))));
      CHECK(blocks.weights == fg::sparse_gpt(w, x, {.fraction = fraction, .block = 7}).weights);
    }
    const auto groups = fg::sparse_gpt(w, x, {.n = 2, .m = 4, .block = 10});
    for (Index j = 0; j < out; ++j)
      for (Index i = 0; i < in; i += 4)
        CHECK(groups.mask.block(i, j, std::min(Index{4}, in - i), 1).count() == std::min(Index{2}, in - i));
    CHECK(error(x, w, groups.weights) < 0.7 * error(x, w, masked(w, fg::n_m_mask(fg::wanda_scores(w, x), 2, 4))));
    // For n:m the blocks of the computation do not change what is selected.
    CHECK((groups.weights - fg::sparse_gpt(w, x, {.n = 2, .m = 4}).weights).cwiseAbs().maxCoeff() < 1e-9);
    const Eigen::SparseMatrix<double, Eigen::RowMajor> sparse_x(x.sparseView());
    CHECK(fg::sparse_gpt(w, sparse_x).weights == fg::sparse_gpt(w, x).weights);
    CHECK((fg::sparse_gpt(w, x, {.fraction = 0}).weights - w).cwiseAbs().maxCoeff() == 0);
    CHECK(fg::sparse_gpt(w, x, {.fraction = 1}).weights == Dense::Zero(in, out));
  }
  // An input that is always 0 does not matter.
  Dense x = calibration(random, 30, 4), w = normal(random, 4, 3);
  x.col(2).setZero();
  const auto pruned = fg::sparse_gpt(w, x, {.fraction = 0.25});
  CHECK(pruned.weights.row(2).cwiseAbs().maxCoeff() == 0);
  CHECK(error(x, w, pruned.weights) < 1e-12 * (x * w).squaredNorm());
  CHECK(fg::sparse_gpt(Dense(0, 2), Dense(3, 0)).weights.size() == 0);
  CHECK(fg::sparse_gpt(Eigen::MatrixXf(w.cast<float>()), Eigen::MatrixXf(x.cast<float>())).mask.count() == 6);
}

TEST_CASE("schedules of pruning match their formulas") {
  const auto f = fg::cubic(10, 30);
  CHECK(f(0) == 0);
  CHECK(f(10) == 0);
  CHECK(f(20) == 1 - 0.125);
  CHECK(f(25) == Approx(1 - std::pow(0.25, 3)).epsilon(1e-15));
  CHECK(f(30) == 1);
  CHECK(f(1000) == 1);
  CHECK(fg::one_shot(5)(4) == 0);
  CHECK(fg::one_shot(5)(5) == 1);
  CHECK_THROWS_WITH(fg::cubic(5, 5),
                    "filigree: cubic(begin, end): begin must be at least 0 and below end, got 5 and 5");
  CHECK_THROWS_AS(fg::cubic(-1, 5), fg::Error);
  CHECK_THROWS_WITH(fg::one_shot(0), "filigree: one_shot(at): at must be at least 1, got 0");
}

TEST_CASE("pruned weights stay 0 in training, and run as sparse matrices") {
  Random random(714);
  const Dense x = normal(random, 60, 8), y = normal(random, 60, 3);
  for (const bool global : {false, true}) {
    CAPTURE(global);
    auto net = fg::network(fg::linear<double>(8, 12) | fg::tanh() | fg::linear<double>(12, 3), 5);
    net.weights<2>() *= 0.9;
    std::vector<Index> left;
    fg::WeightMask before = fg::WeightMask::Constant(8, 12, true);
    auto prune = fg::pruning(net, fg::cubic(4, 20), {.fraction = 0.75, .initial = 0.25, .global = global, .every = 3});
    const auto after_step = [&](Index step) {
      prune(step);
      const fg::WeightMask mask = net.weights<0>().array() != 0;
      CHECK((before || !mask).all());  // what is pruned stays 0
      before = mask;
      left.push_back((net.weights<0>().array() != 0).count() + (net.weights<2>().array() != 0).count());
    };
    fg::fit(net, x, y, fg::squared_error(), fg::adam{.rate = 0.01},
            {.epochs = 8, .batch = 20, .after_step = after_step});
    REQUIRE(left.size() == 24);
    for (Index step = 1; step <= 24; ++step) {
      const Index changed = step >= 20 ? 20 : step >= 6 ? step / 3 * 3 : 0;  // last change of the masks
      const double rest = 1 - static_cast<double>(changed - 4) / 16;
      const double fraction = changed == 0 ? 0 : 0.25 + 0.5 * (1 - rest * rest * rest);
      const auto count = [&](double size) { return static_cast<Index>(size - std::floor(fraction * size)); };
      CHECK(left[static_cast<std::size_t>(step - 1)] == (global ? count(132) : count(96) + count(36)));
    }
    // Another training keeps the masks, also with momentum and a new optimizer.
    const fg::WeightMask mask = net.weights<0>().array() != 0;
    const Dense old = net.weights<0>();
    fg::fit(net, x, y, fg::squared_error(), fg::sgd{.rate = 0.01, .momentum = 0.9}, {.epochs = 5});
    CHECK(same(net.weights<0>().array() != 0, mask));
    CHECK((old - net.weights<0>()).cwiseAbs().maxCoeff() > 0);
    // The same results as sparse matrices.
    const auto w0 = fg::sparse_weights<0>(net), w2 = fg::sparse_weights<2>(net);
    CHECK(w0.nonZeros() == mask.count());
    Dense hidden = x * w0;
    hidden.rowwise() += net.biases<0>().transpose();
    Dense out = Dense(hidden.array().tanh()) * w2;
    out.rowwise() += net.biases<2>().transpose();
    CHECK((out - net(x)).cwiseAbs().maxCoeff() < 1e-13);
  }
}

TEST_CASE("prune and mask_weights set masks of a network") {
  Random random(715);
  auto net = fg::network(fg::linear(8, 12) | fg::tanh() | fg::linear(12, 4), 5);
  const auto original = net;
  fg::prune(net, {.fraction = 0.5, .stages = {2}});
  CHECK(net.weights<0>() == original.weights<0>());
  CHECK((net.weights<2>().array() == 0).count() == 24);
  CHECK(same(net.weights<2>().array() != 0, expected_magnitude(original.weights<2>().cast<double>(), 0.5)));
  net = original;
  fg::prune(net, {.n = 2, .m = 4});
  CHECK(same(net.weights<0>().array() != 0, fg::n_m_mask(original.weights<0>(), 2, 4)));
  CHECK(same(net.weights<2>().array() != 0, fg::n_m_mask(original.weights<2>(), 2, 4)));
  net = original;
  fg::prune(net, {.fraction = 0.8, .global = true});
  std::vector<double> magnitudes;
  for (const auto& weights : {original.weights<0>(), original.weights<2>()})
    for (Index e = 0; e < weights.size(); ++e) magnitudes.push_back(std::abs(weights.data()[e]));
  std::sort(magnitudes.begin(), magnitudes.end());
  const double bound = magnitudes[115];  // of 144 weights, floor(0.8 * 144) are dropped
  CHECK(same(net.weights<0>().array() != 0, original.weights<0>().cast<double>().array().abs() >= bound));
  CHECK(same(net.weights<2>().array() != 0, original.weights<2>().cast<double>().array().abs() >= bound));

  // n:m in training: once, when the schedule reaches 1. The masks of a layer can be replaced.
  net = original;
  const test::Matrix<float> x = normal(random, 20, 8).cast<float>(), y = normal(random, 20, 4).cast<float>();
  std::vector<Index> zeros;
  auto prune = fg::pruning(net, fg::one_shot(3), {.n = 1, .m = 4});
  fg::fit(net, x, y, fg::squared_error(), fg::adam{}, {.epochs = 5, .after_step = [&](Index step) {
                                                         prune(step);
                                                         zeros.push_back((net.weights<0>().array() == 0).count());
                                                       }});
  CHECK(zeros == std::vector<Index>{0, 0, 72, 72, 72});
  net.mask_weights<0>(fg::WeightMask::Constant(8, 12, true));
  fg::fit(net, x, y, fg::squared_error(), fg::adam{}, {.epochs = 1});
  CHECK((net.weights<0>().array() == 0).count() < 72);
  // SparseGPT of a layer, for the inputs that it gets.
  const auto pruned = fg::sparse_gpt(net.weights<2>(), net.before<2>(x), {.fraction = 0.5});
  net.weights<2>() = pruned.weights;
  net.mask_weights<2>(pruned.mask);
  CHECK(net.weights<2>() == pruned.weights);
}

TEST_CASE("invalid arguments of pruning are rejected") {
  const Dense w = Dense::Ones(4, 2), x = Dense::Ones(3, 4);
  Dense bad = w;
  bad(1, 1) = std::nan("");
  CHECK_THROWS_WITH(fg::magnitude_mask(w, 1.5),
                    "filigree: prune_magnitude(fraction): fraction must be between 0 and 1, got 1.5");
  CHECK_THROWS_WITH(fg::magnitude_mask(bad, 0.5), "filigree: magnitude_mask(W, fraction): W must be finite");
  CHECK_THROWS_WITH(fg::output_mask(w, -1),
                    "filigree: output_mask(scores, fraction): fraction must be between 0 and 1, got -1");
  CHECK_THROWS_AS(fg::output_mask(bad, 0.5), fg::Error);
  CHECK_THROWS_AS(fg::n_m_mask(bad, 2, 4), fg::Error);
  CHECK_THROWS_WITH(fg::wanda_scores(w, Dense(Dense::Ones(3, 5))),
                    "filigree: wanda_scores(W, X): X.cols() = 5 must equal W.rows() = 4");
  CHECK_THROWS_WITH(fg::wanda_scores(w, Dense(x * std::nan(""))), "filigree: wanda_scores(W, X): X must be finite");
  CHECK_THROWS_AS(fg::wanda_scores(bad, x), fg::Error);
  CHECK_THROWS_WITH(fg::sparse_gpt(w, Dense(Dense::Ones(3, 5))),
                    "filigree: sparse_gpt(W, X): X.cols() = 5 must equal W.rows() = 4");
  CHECK_THROWS_WITH(fg::sparse_gpt(w, x, {.fraction = std::nan("")}),
                    "filigree: sparse_gpt(W, X, {.fraction}): must be between 0 and 1, got nan");
  CHECK_THROWS_WITH(fg::sparse_gpt(w, x, {.n = 5, .m = 4}),
                    "filigree: sparse_gpt(W, X, {.n, .m}): n must be from 1 to m, got 5 and 4");
  CHECK_THROWS_WITH(fg::sparse_gpt(w, x, {.damping = -1}),
                    "filigree: sparse_gpt(W, X, {.damping}): must be at least 0 and finite, got -1");
  CHECK_THROWS_WITH(fg::sparse_gpt(w, x, {.block = 0}),
                    "filigree: sparse_gpt(W, X, {.block}): must be at least 1, got 0");
  CHECK_THROWS_WITH(fg::sparse_gpt(w, x, {.damping = 0}),
                    "filigree: sparse_gpt(W, X): X' X + damping must be positive definite; increase {.damping}");
  CHECK_THROWS_WITH(fg::sparse_gpt(bad, x), "filigree: sparse_gpt(W, X): W must be finite");
  CHECK_THROWS_WITH(fg::sparse_gpt(w, Dense(x * std::nan(""))), "filigree: sparse_gpt(W, X): X must be finite");

  auto net = fg::network(fg::linear(4, 3) | fg::tanh() | fg::linear(3, 2));
  const auto weights = net.parameters();
  CHECK_THROWS_WITH(fg::prune(net, {.fraction = 2}),
                    "filigree: prune(net, options): fraction must be between 0 and 1, got 2");
  const char* const stages =
      "filigree: pruning(net, schedule, options): the stages must be stages of the network with linear layers, "
      "each named once";
  CHECK_THROWS_WITH(fg::pruning(net, fg::cubic(0, 1), {.stages = {1}}), stages);
  CHECK_THROWS_WITH(fg::pruning(net, fg::cubic(0, 1), {.stages = {0, 0, 2}}), stages);
  CHECK_THROWS_AS(fg::pruning(net, fg::cubic(0, 1), {.fraction = 0.5, .initial = 0.6}), fg::Error);
  CHECK_THROWS_AS(fg::pruning(net, fg::cubic(0, 1), {.every = 0}), fg::Error);
  CHECK_THROWS_AS(fg::pruning(net, fg::cubic(0, 1), {.n = 3, .m = 2}), fg::Error);
  CHECK_THROWS_AS(fg::pruning(net, fg::cubic(0, 1), {.global = true, .n = 2, .m = 4}), fg::Error);
  auto out_of_range = fg::pruning(net, [](Index) { return 1.5; });
  CHECK_THROWS_WITH(out_of_range(7),
                    "filigree: pruning(net, schedule): the schedule must be from 0 to 1; schedule(7) is 1.5");
  CHECK_THROWS_WITH(net.mask_weights<0>(Dense(Dense::Ones(3, 4))),
                    "filigree: linear(4, 3).masked(mask): the mask must be 4 x 3, got 3 x 4");
  CHECK(net.parameters() == weights);
}
