// SPDX-License-Identifier: MIT
// The gradients of every row stage and of their compositions, compared with differences of fourth order.
#include "filigree/run/row_tape.hpp"

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <tuple>
#include <vector>

#include "catch.hpp"
#include "filigree/attention/attention.hpp"
#include "filigree/normalize/normalize.hpp"
#include "filigree/pattern/pattern.hpp"
#include "filigree/score_map/score_map.hpp"
#include "filigree/select/select.hpp"
#include "one_row.hpp"

namespace fg = filigree;
using Eigen::Index;

namespace {

using Values = std::vector<double>;

/// The row of query p = 4, with keys at positions -2, -1, ...
fg::Grid grid_of(Index m) { return {.n = 3, .m = m, .query_at = 3, .key_at = -2}; }
constexpr Index row_index = 1;
constexpr auto padding = static_cast<std::size_t>(fg::Row<double>::padding);

/// A row after the stages: values of all columns, absent ones as -inf.
template <class... T>
Values forward(const std::tuple<T...>& stages, const Values& x) {
  OneRow<double> row(x, grid_of(static_cast<Index>(x.size())), row_index);
  std::apply([&](const auto&... stage) { (row.apply(stage), ...); }, stages);
  return row.dense();
}

struct Gradients {
  Values input;                    // of all columns
  std::vector<Values> parameters;  // of each stage
};

/// Computes the gradient of the sum of factors[c] * output[c] over the present columns c, by the tape.
template <class... T>
Gradients backward(const std::tuple<T...>& stages, const Values& x, const Values& factors) {
  const auto m = static_cast<Index>(x.size());
  const fg::Grid grid = grid_of(m);
  Values values;
  std::vector<fg::Column> columns;
  for (std::size_t c = 0; c < x.size(); ++c)
    if (x[c] != absent<double>) values.push_back(x[c]), columns.push_back(static_cast<fg::Column>(c));
  const auto count = static_cast<Index>(values.size());
  values.resize(values.size() + padding, nan_of<double>);
  columns.resize(columns.size() + padding, -7);
  const std::vector<fg::Column> before = columns;
  fg::RowScratch scratch;
  fg::Row<double> row{.grid = grid,
                      .index = row_index,
                      .values = values.data(),
                      .columns = columns.data(),
                      .count = count,
                      .scratch = scratch};
  fg::detail::RowTape<double> tape;
  tape.forward(stages, row);
  Values d;
  for (Index e = 0; e < row.count; ++e) d.push_back(factors[static_cast<std::size_t>(row.columns[e])]);
  Gradients result = {Values(x.size(), 0), std::vector<Values>(sizeof...(T))};
  const auto gradient = tape.backward(stages, d.data(), [&](Index stage, Index index, double value) {
    Values& of = result.parameters[static_cast<std::size_t>(stage)];
    if (of.size() <= static_cast<std::size_t>(index)) of.resize(static_cast<std::size_t>(index) + 1, 0);
    of[static_cast<std::size_t>(index)] += value;
  });
  REQUIRE(gradient.size() == count);
  for (Index e = 0; e < count; ++e)
    result.input[static_cast<std::size_t>(before[static_cast<std::size_t>(e)])] = gradient[e];
  return result;
}

double weighted(const Values& out, const Values& factors) {
  double sum = 0;
  for (std::size_t c = 0; c < out.size(); ++c)
    if (out[c] != absent<double>) sum += factors[c] * out[c];
  return sum;
}
bool same_support(const Values& a, const Values& b) {
  for (std::size_t c = 0; c < a.size(); ++c)
    if ((a[c] == absent<double>) != (b[c] == absent<double>)) return false;
  return true;
}

/// Returns the derivative of f at 0 by differences of fourth order; NaN if the support changes within the differences.
template <class F>
double difference(const F& f, const Values& factors) {
  constexpr double step = 1e-3;
  const Values center = f(0), a = f(-2 * step), b = f(-step), c = f(step), d = f(2 * step);
  for (const Values* other : {&a, &b, &c, &d})
    if (!same_support(center, *other)) return nan_of<double>;
  return (weighted(a, factors) - 8 * weighted(b, factors) + 8 * weighted(c, factors) - weighted(d, factors)) /
         (12 * step);
}

struct Counts {
  int compared = 0, skipped = 0;
};

Values random_values(fg::Generator& g, Index m) {
  Values x;
  const double scale = g.uniform() < 0.5 ? 0.4 : 2.0;
  for (Index c = 0; c < m; ++c) x.push_back(g.uniform() < 0.2 ? absent<double> : scale * g.normal());
  return x;
}

/// Compares the gradients of random rows of 0 to 12 entries with differences.
template <class... T>
Counts check_input(const T&... stage) {
  const std::tuple<T...> stages(stage...);
  fg::Generator g(4711);
  Counts counts;
  for (int trial = 0; trial < 60; ++trial) {
    const Values x = random_values(g, trial % 13);
    Values factors;
    for (std::size_t c = 0; c < x.size(); ++c) factors.push_back(g.normal());
    const Values gradient = backward(stages, x, factors).input;
    for (std::size_t c = 0; c < x.size(); ++c) {
      if (x[c] == absent<double>) continue;
      const double expected = difference(
          [&](double move) {
            Values moved = x;
            moved[c] += move;
            return forward(stages, moved);
          },
          factors);
      if (std::isnan(expected)) {
        ++counts.skipped;
        continue;
      }
      ++counts.compared;
      CAPTURE(trial, c, x);
      CHECK(gradient[c] == Approx(expected).margin(1e-7).epsilon(1e-7));
    }
  }
  CHECK(counts.compared > 4 * counts.skipped);
  return counts;
}

/// Compares the gradient of a parameter of stage `at` with differences. make(m, move) returns the stages with the
/// parameter moved, and index_of(m) is the index of the parameter, in a row of m columns.
template <class IndexOf, class Make>
void check_parameter(std::size_t at, const IndexOf& index_of, const Make& make) {
  fg::Generator g(815);
  int compared = 0;
  bool any = false;
  for (int trial = 0; trial < 60; ++trial) {
    const Values x = random_values(g, trial % 13);
    Values factors;
    for (std::size_t c = 0; c < x.size(); ++c) factors.push_back(g.normal());
    const double expected =
        difference([&](double move) { return forward(make(static_cast<Index>(x.size()), move), x); }, factors);
    if (std::isnan(expected)) continue;
    const std::vector<Values> parameters = backward(make(static_cast<Index>(x.size()), 0), x, factors).parameters;
    const auto i = static_cast<std::size_t>(index_of(static_cast<Index>(x.size())));
    const double gradient = i < parameters[at].size() ? parameters[at][i] : 0;
    CAPTURE(trial, x);
    CHECK(gradient == Approx(expected).margin(1e-7).epsilon(1e-7));
    ++compared;
    any |= expected != 0;
  }
  CHECK(compared > 40);
  CHECK(any);
}

/// A selector that changes values, with a gradient of its own.
struct Halve {
  using Category = fg::Selector;

  template <fg::Real S>
  void apply(fg::Row<S>& row) const {
    row.filter([&](Index i) { return !(row.values[i] <= 0); });
    for (Index i = 0; i < row.count; ++i) row.values[i] /= 2;
  }
  template <fg::Real S>
  void backward(const fg::Row<S>&, const fg::Row<S>& out, S* d) const {
    for (Index i = 0; i < out.count; ++i) d[i] /= 2;
  }
};

}  // namespace

TEST_CASE("the gradients of maps agree with differences") {
  check_input(fg::softcap(2.5));
  check_input(fg::softcap(0.3));
  check_input(fg::alibi(0.25));
  check_input(fg::sigmoid());
  check_input(fg::tanh());
  check_input(fg::gelu());
  check_input(fg::gelu_tanh());
  check_input(fg::map([](double s, Index p, Index j) { return s * s * static_cast<double>(p - 2 * j); },
                      [](double s, Index p, Index j) { return 2 * s * static_cast<double>(p - 2 * j); }));
  const Eigen::VectorXd table = Eigen::VectorXd::LinSpaced(5, -1, 2);
  check_input(fg::relative_bias(table));
}

TEST_CASE("the gradients of patterns and selectors agree with differences") {
  check_input(fg::causal() && !fg::window(0));
  check_input(fg::where([](Index p, Index j) { return (p + j) % 3 != 0; }));
  check_input(fg::top_k(3));
  check_input(fg::top_p(0.7));
  check_input(fg::threshold(0.1));
  check_input(fg::relu());
  check_input(fg::hard_threshold(0.3));
  check_input(fg::soft_threshold(0.3));
  check_input(fg::drop_lowest(0.4));
  check_input(fg::prune_n_m(2, 4));
  check_input(Halve{});
}

TEST_CASE("the gradients of normalizers agree with differences") {
  check_input(fg::softmax());
  check_input(fg::softmax({.sink = 0.5}));
  check_input(fg::softmax({.sink = -3}));
  check_input(fg::sparsemax());
  check_input(fg::entmax15());
  check_input(fg::entmax(1.2));
  check_input(fg::entmax(1.7));
  check_input(fg::entmax(2));
  check_input(fg::map([](double s, Index, Index) { return s * s + 0.5; }, [](double s, Index, Index) { return 2 * s; }),
              fg::normalize_sum());
  check_input(fg::softmax(), fg::dropout(0.3, 9));
}

TEST_CASE("the gradients of pipelines agree with differences") {
  check_input(fg::causal(), fg::alibi(0.2), fg::softcap(3), fg::softmax());
  check_input(fg::window(4), fg::softcap(1.5), fg::top_k(4), fg::softmax({.sink = 0.2}), fg::dropout(0.2, 3));
  check_input(fg::tanh(), fg::drop_lowest(0.3), fg::entmax15(),
              fg::map([](double w, Index, Index j) { return w * w * static_cast<double>(j); },
                      [](double w, Index, Index j) { return 2 * w * static_cast<double>(j); }));
  check_input(fg::softmax(), fg::threshold(0.1), fg::normalize_sum());
  check_input(fg::sparsemax(), fg::alibi(-0.1), fg::sparsemax());
  check_input(Halve{}, fg::softmax());
}

TEST_CASE("the gradients of the parameters of stages agree with differences") {
  const auto first = [](Index) -> Index { return 0; };
  check_parameter(0, first, [](Index, double move) { return std::tuple(fg::softcap(1.5 + move), fg::softmax()); });
  check_parameter(0, first, [](Index, double move) { return std::tuple(fg::alibi(0.3 + move), fg::softmax()); });
  check_parameter(1, first, [](Index, double move) {
    return std::tuple(fg::top_k(4), fg::softmax({.sink = 0.4 + move}), fg::dropout(0.2, 5));
  });
  for (const Index entry : {0, 1, 4})
    check_parameter(
        1, [&](Index) { return entry; },
        [&](Index, double move) {
          Eigen::VectorXd table = Eigen::VectorXd::LinSpaced(5, -1, 2);
          table[entry] += move;
          return std::tuple(fg::alibi(0.1), fg::relative_bias(Eigen::VectorXd(table)), fg::softmax());
        });
  for (const Index column : {0, 3})
    check_parameter(
        0, [&](Index m) { return row_index * m + column; },
        [&](Index m, double move) {
          Eigen::MatrixXd b = Eigen::MatrixXd::Constant(3, m, 0.2);
          if (column < m) b(row_index, column) += move;
          return std::tuple(fg::bias(Eigen::MatrixXd(b)), fg::softmax());
        });
}

TEST_CASE("entries that a stage made absent have gradient 0, whatever they hold") {
  const Values x{1, nan_of<double>, 2, infinity_of<double>, 0.5};
  const Values factors{1, 2, -1, 3, 4};
  const auto keep_even = fg::where([](Index, Index j) { return j % 2 == 0; });  // columns 0, 2 and 4
  const Values masked = backward(std::tuple(keep_even, fg::softmax()), x, factors).input;
  const Values alone = backward(std::tuple(fg::softmax()), {1, absent<double>, 2, absent<double>, 0.5}, factors).input;
  CHECK(masked[1] == 0);
  CHECK(masked[3] == 0);
  CHECK(same(masked, alone));
  CHECK(std::abs(masked[0]) > 0.01);
}

TEST_CASE("a NaN in a present score makes the gradient of its row NaN") {
  const Values x{1, nan_of<double>, 2};
  for (const double value : backward(std::tuple(fg::softmax()), x, {1, 2, 3}).input) CHECK(std::isnan(value));
}

TEST_CASE("the gradient through the saturated softcap of an infinite score is 0") {
  const Gradients gradients = backward(std::tuple(fg::softcap(2)), {infinity_of<double>, 1e300, 0}, {1, 1, 1});
  CHECK(gradients.input[0] == 0);
  CHECK(gradients.input[1] == 0);
  CHECK(gradients.input[2] == 1);
  CHECK(gradients.parameters[0][0] == 2);  // y = c there
}
