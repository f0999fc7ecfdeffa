// SPDX-License-Identifier: MIT
// How well does attention forecast the next day? Each query is a window of two days. It attends to similar windows in
// the past, and the forecast is the weighted mean of the days that followed them. With ProbSparse, only the active
// queries attend. The others get the mean over the past.
//
// The series is synthetic: an hourly demand with daily, weekly and yearly cycles, and weather that persists for days.
#include <chrono>
#include <cmath>
#include <cstdio>
#include <filigree/filigree.hpp>
#include <numbers>

namespace fg = filigree;
using Eigen::Index;
using Matrix = Eigen::Matrix<float, Eigen::Dynamic, Eigen::Dynamic, Eigen::RowMajor>;

constexpr Index past = 48, next = 24, year = 365 * 24;

Eigen::VectorXf demand(Index hours) {
  fg::Generator generator(7, 0);
  Eigen::VectorXf noise(hours), series(hours);
  fg::fill_normal(noise, generator);
  double weather = 0;
  for (Index t = 0; t < hours; ++t) {
    const auto phase = [&](double period) { return 2 * std::numbers::pi * static_cast<double>(t) / period; };
    weather = 0.98 * weather + static_cast<double>(noise[t]);
    const bool weekend = t / 24 % 7 >= 5;
    const double day = std::sin(phase(24) - 2) + 0.4 * std::sin(2 * phase(24)), summer = std::cos(phase(year));
    series[t] = static_cast<float>(100 + (weekend ? 8 : 20) * day * (1 + 0.3 * summer) + 10 * summer + 2 * weather);
  }
  return series;
}

int main() {
  const Eigen::VectorXf series = demand(3 * year);
  const Index m = series.size() - past - next + 1, n = year;

  // Row t of `before` holds hours t, ..., t + 47, centered and scaled to unit length. Row t of `after` holds the next
  // 24 hours with the same offset and scale.
  Matrix before(m, past), after(m, next);
  Eigen::VectorXf level(m), spread(m);
  for (Index t = 0; t < m; ++t) {
    const auto hours = series.segment(t, past);
    level[t] = hours.mean();
    spread[t] = (hours.array() - level[t]).matrix().norm();
    before.row(t) = (hours.array() - level[t]) / spread[t];
    after.row(t) = (series.segment(t + past, next).array() - level[t]) / spread[t];
  }
  // The 24 hours that follow a key must be in the past: keys are more than a day before the query.
  const auto scores = fg::scores(before.bottomRows(n), before, 300.0);
  const auto completed = fg::causal() && !fg::window(next);

  std::printf("24-hour forecasts for each hour of a year, with %d windows of 48 hours as keys\n\n",
              static_cast<int>(m));
  std::printf("%-22s %-10s %-12s %-18s %s\n", "method", "active", "mean error", "of active queries", "│ time");
  const auto error = [&](const Matrix& forecast, const auto& counts) {
    double sum = 0;
    Index rows = 0;
    for (Index i = 0; i < n; ++i) {
      if (!counts(i)) continue;
      const Index t = m - n + i;
      sum += static_cast<double>((forecast.row(i) - after.row(t)).cwiseAbs().mean() * spread[t]);
      ++rows;
    }
    return sum / static_cast<double>(rows);
  };
  const auto all = [](Index) { return true; };
  std::printf("%-22s %-10s %6.2f\n", "same hours last week", "",
              error(Matrix::NullaryExpr(n, next,
                                        [&](Index i, Index h) {
                                          const Index t = m - n + i;
                                          return (series[t + past + h - 7 * 24] - level[t]) / spread[t];
                                        }),
                    all));
  const auto row = [&](const char* name, const auto& a, double fraction, const auto& attends) {
    const auto start = std::chrono::steady_clock::now();
    const Matrix forecast = a * after;
    const std::chrono::duration<double, std::milli> time = std::chrono::steady_clock::now() - start;
    std::printf("%-22s %5.1f %%    %6.2f       %6.2f             │ %.0f ms\n", name, 100 * fraction,
                error(forecast, all), error(forecast, attends), time.count());
  };
  row("attention", scores | completed | fg::softmax(), 1, all);
  const auto sparse = [&](const char* name, const auto& router) {
    const auto a = scores | completed | router | fg::softmax();
    const auto chosen = fg::route(a);
    row(name, a, static_cast<double>(chosen.active().size()) / static_cast<double>(n),
        [&](Index i) { return !chosen.is_lazy(i); });
  };
  sparse("prob_sparse(5, 1)", fg::prob_sparse(5, 1));
  sparse("prob_sparse(50, 1)", fg::prob_sparse(50, 1));
  sparse("prob_sparse(200, 1)", fg::prob_sparse(200, 1));
}
