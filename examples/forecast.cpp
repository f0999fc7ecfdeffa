// SPDX-License-Identifier: MIT
// What will tomorrow be like? Attention as a nearest-history predictor: two days look for days before them that went
// alike, and the days that followed those are the forecast. ProbSparse lets the queries attend that promise most, and
// gives the mean of the past to the others.
//
// The series is synthetic: hours of a demand with a day, a week and a year in it, and weather that lasts some days.
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
    const auto turn = [&](double period) { return 2 * std::numbers::pi * static_cast<double>(t) / period; };
    weather = 0.98 * weather + static_cast<double>(noise[t]);
    const bool weekend = t / 24 % 7 >= 5;
    const double day = std::sin(turn(24) - 2) + 0.4 * std::sin(2 * turn(24)), summer = std::cos(turn(year));
    series[t] = static_cast<float>(100 + (weekend ? 8 : 20) * day * (1 + 0.3 * summer) + 10 * summer + 2 * weather);
  }
  return series;
}

int main() {
  const Eigen::VectorXf series = demand(3 * year);
  const Index m = series.size() - past - next + 1, n = year;

  // Row t of `before` is the shape of hours t ... t + 47, of unit length, and row t of `after` what follows, measured
  // by it.
  Matrix before(m, past), after(m, next);
  Eigen::VectorXf level(m), spread(m);
  for (Index t = 0; t < m; ++t) {
    const auto hours = series.segment(t, past);
    level[t] = hours.mean();
    spread[t] = (hours.array() - level[t]).matrix().norm();
    before.row(t) = (hours.array() - level[t]) / spread[t];
    after.row(t) = (series.segment(t + past, next).array() - level[t]) / spread[t];
  }
  // Of a key at t, all 24 hours that followed must be over: keys more than a day before the query.
  const auto scores = fg::scores(before.bottomRows(n), before, 300.0);
  const auto over = fg::causal() && !fg::window(next);

  std::printf("forecasts of a day for each hour of a year, from %d hours before\n\n", static_cast<int>(m));
  std::printf("%-22s %-10s %-12s %-18s %s\n", "method", "attending", "mean error", "of those attending", "│ time");
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
  const auto row = [&](const char* name, const auto& a, double share, const auto& attends) {
    const auto start = std::chrono::steady_clock::now();
    const Matrix forecast = a * after;
    const std::chrono::duration<double, std::milli> time = std::chrono::steady_clock::now() - start;
    std::printf("%-22s %5.1f %%    %6.2f       %6.2f             │ %.0f ms\n", name, 100 * share, error(forecast, all),
                error(forecast, attends), time.count());
  };
  row("attention", scores | over | fg::softmax(), 1, all);
  const auto sparse = [&](const char* name, const auto& router) {
    const auto a = scores | over | router | fg::softmax();
    const auto chosen = fg::route(a);
    row(name, a, static_cast<double>(chosen.active().size()) / static_cast<double>(n),
        [&](Index i) { return !chosen.is_lazy(i); });
  };
  sparse("prob_sparse(5, 1)", fg::prob_sparse(5, 1));
  sparse("prob_sparse(50, 1)", fg::prob_sparse(50, 1));
  sparse("prob_sparse(200, 1)", fg::prob_sparse(200, 1));
}
