// SPDX-License-Identifier: MIT
// Does an encoder need attention of all queries to forecast a long series? A sequence has the hours of some weeks, and
// 24 hours of which only the place is known. Two transformer layers estimate those, either with full attention, or with
// ProbSparse attention, in which only the active queries attend, and the others get the mean of the values. The measure
// is the mean absolute error of the hours to forecast in 64 windows of the last year, which training does not see. It
// is compared with that of the same hours one week before.
//
// The series is synthetic: an hourly demand with daily and weekly cycles, and weather that persists for days.
//
//   informer [steps [weeks...]]
#include <algorithm>
#include <chrono>
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <filigree/filigree.hpp>
#include <numbers>
#include <vector>

namespace fg = filigree;
using Eigen::Index;
using Matrix = Eigen::Matrix<float, Eigen::Dynamic, Eigen::Dynamic, Eigen::RowMajor>;

namespace {

constexpr Index next = 24, d = 32, week = 7 * 24;

/// Returns the demand of some hours, with a mean near 0.
Eigen::VectorXf demand(Index hours) {
  fg::Generator generator(7, 0);
  Eigen::VectorXf noise(hours), series(hours);
  fg::fill_normal(noise, generator);
  double weather = 0;
  for (Index t = 0; t < hours; ++t) {
    const auto phase = [&](double period) { return 2 * std::numbers::pi * static_cast<double>(t) / period; };
    weather = 0.98 * weather + static_cast<double>(noise[t]);
    const double day = std::sin(phase(24) - 2) + 0.4 * std::sin(2 * phase(24));
    series[t] = static_cast<float>(((t / 24 % 7 >= 5 ? 8 : 20) * day + 2 * weather) / 20);
  }
  return series;
}

/// Sequences of tokens with 6 numbers: the demand or 0, whether it is known, and the hour of the day and of the week.
struct Windows {
  Matrix tokens, demand;
  std::vector<Index> lengths;
};
Windows windows_of(const Eigen::VectorXf& series, Index from, Index to, Index length, Index count) {
  const Index n = length + next;
  Windows w{.tokens = Matrix(count * n, 6),
            .demand = Matrix(count * n, 1),
            .lengths = std::vector<Index>(static_cast<std::size_t>(count), n)};
  for (Index s = 0; s < count; ++s)
    for (Index i = 0; i < n; ++i) {
      const Index t = from + (to - from - n) * s / count + i;
      const auto angle = [&](Index period) {
        return static_cast<float>(2 * std::numbers::pi * static_cast<double>(t % period) / static_cast<double>(period));
      };
      const bool known = i < length;
      w.tokens.row(s * n + i) << (known ? series[t] : 0.0F), (known ? 1.0F : 0.0F), std::sin(angle(24)),
          std::cos(angle(24)), std::sin(angle(week)), std::cos(angle(week));
      w.demand(s * n + i, 0) = series[t];
    }
  return w;
}

double milliseconds(std::chrono::steady_clock::time_point start) {
  return std::chrono::duration<double, std::milli>(std::chrono::steady_clock::now() - start).count();
}

/// Returns the mean absolute difference of the hours to forecast.
double error_of(const Matrix& forecast, const Matrix& demand, Index length) {
  const Index n = length + next, count = demand.rows() / n;
  double error = 0;
  for (Index s = 0; s < count; ++s)
    error += static_cast<double>((forecast - demand).middleRows(s * n + length, next).cwiseAbs().mean());
  return error / static_cast<double>(count);
}

/// Trains an encoder, and prints its error and times.
template <class Head>
void compare(const char* name, const Eigen::VectorXf& series, Index length, Index steps, const Head& head) {
  const Index n = length + next, split = series.size() * 3 / 4, per_step = 4;
  const Windows seen = windows_of(series, 0, split, length, per_step * steps),
                held_out = windows_of(series, split, series.size(), length, 64);
  const auto layer = fg::transformer_layer(d, fg::heads{4}, 2 * d, head, {.rotary = fg::rotary(8)});
  auto net = fg::network(fg::linear(6, d) | fg::repeat(2, layer) | fg::layer_norm(d) | fg::linear(d, 1), 1);
  fg::thread_pool pool(2);
  auto start = std::chrono::steady_clock::now();
  fg::fit(net, fg::Batch{seen.tokens, seen.lengths}, seen.demand, fg::squared_error(), fg::adamw{.rate = 0.003},
          {.epochs = 1,
           .batch = per_step * n,
           .clip = 1,
           .schedule = fg::cosine(steps, steps / 20),
           .executor = fg::ExecutorRef(pool)});
  const double training = milliseconds(start) / static_cast<double>(steps);
  const fg::Batch batch{held_out.tokens, held_out.lengths};
  fg::Predictor predict(net, fg::ExecutorRef(pool));
  start = std::chrono::steady_clock::now();
  const Matrix forecast = predict(batch);
  const double inference = milliseconds(start) / static_cast<double>(held_out.lengths.size());
  std::printf("%5td %-22s │ %6.3f %18.1f %16.2f\n", length, name, error_of(forecast, held_out.demand, length), training,
              inference);
  std::fflush(stdout);
}

}  // namespace

int main(int count, char** words) {
  const Index steps = count > 1 ? std::atoi(words[1]) : 150;
  std::vector<Index> weeks;
  for (int i = 2; i < count; ++i) weeks.push_back(std::atoi(words[i]));
  if (weeks.empty()) weeks = {1, 4};
  if (steps < 1 || std::any_of(weeks.begin(), weeks.end(), [](Index w) { return w < 1 || w > 40; })) {
    std::fprintf(stderr, "informer [steps [weeks...]], with 1 to 40 weeks\n");
    return 2;
  }
  const Eigen::VectorXf series = demand(4 * 365 * 24);
  std::printf("%5s %-22s │ %6s %18s %16s\n", "hours", "method", "error", "ms, training step", "ms, forecast");
  for (const Index w : weeks) {
    const Index length = w * week;
    const Windows test = windows_of(series, series.size() * 3 / 4, series.size(), length, 64);
    Matrix before = Matrix::Zero(test.demand.rows(), 1);
    before.bottomRows(before.rows() - week) = test.demand.topRows(before.rows() - week);
    std::printf("%5td %-22s │ %6.3f\n", length, "same hours last week", error_of(before, test.demand, length));
    compare("softmax()", series, length, steps, fg::softmax());
    compare("prob_sparse(5, 1)", series, length, steps, fg::prob_sparse(5, 1) | fg::softmax());
  }
}
