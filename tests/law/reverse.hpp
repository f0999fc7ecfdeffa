// SPDX-License-Identifier: MIT
// The law in reverse, checked for one type of pipeline and many random cases: the gradients of A * V agree with the row
// tape over all pairs of each row, and these with differences of fourth order of the general evaluator.
#pragma once

#include <algorithm>
#include <cmath>
#include <filigree/attention/gradients.hpp>
#include <vector>

#include "law/law.hpp"
#include "reverse_sums.hpp"

namespace test {

/// Statistics of a test program, printed at its end.
struct ReverseCount {
  long compositions = 0, compared = 0, skipped = 0;
  ~ReverseCount() {
    std::printf("%ld compositions, %ld differences of fourth order, %ld others at points without derivative\n",
                compositions, compared, skipped);
  }
};
inline ReverseCount reverse_count;

/// Computes the gradients of a product by the row tape over all scores of each row, and sums them in long double.
template <class S, class Stages>
ReverseSums reverse_sums(const Stages& stages, const fg::Grid& grid, ReverseReference<S>& reference, Random& random) {
  fg::detail::RowTape<S> tape;
  fg::RowScratch scratch;
  const auto size = static_cast<std::size_t>(grid.m + fg::Row<S>::padding);
  std::vector<S> values(size), dw(size), signs(size);
  std::vector<fg::Column> columns(size);
  for (Index i = 0; i < grid.n; ++i) {
    fg::Row<S> row{
        .grid = grid, .index = i, .values = values.data(), .columns = columns.data(), .count = 0, .scratch = scratch};
    row.count = reference.scores(i, values.data(), columns.data());
    tape.forward(stages, row);
    // How much errors of scores and of dW are magnified, by random signs.
    oracle::Real gain = 1;
    for (int trial = 0; trial < 3; ++trial) {
      for (Index e = 0; e < row.count; ++e) signs[static_cast<std::size_t>(e)] = random.chance(0.5) ? S(1) : S(-1);
      for (const S ds : tape.backward(stages, signs.data())) gain = std::max(gain, std::abs(oracle::Real(ds)));
    }
    reference.add_weights(row.values, row.columns, row.count, gain, dw.data());
    const auto gradient = tape.backward(stages, dw.data());
    reference.add_scores(gradient.first, tape.columns().first, gradient.size());
  }
  return reference.sums();
}

/// Returns the columns that a sparse matrix stores, row by row.
template <class Sparse>
std::vector<std::vector<Index>> stored_columns(const Sparse& w) {
  std::vector<std::vector<Index>> columns(static_cast<std::size_t>(w.rows()));
  for (Index i = 0; i < w.rows(); ++i)
    for (typename Sparse::InnerIterator e(w, i); e; ++e) columns[static_cast<std::size_t>(i)].push_back(e.col());
  return columns;
}

/// Compares some entries of the gradient by x, which loss() and kept() read, with differences of fourth order. An entry
/// is skipped where the kept pairs change, or where differences of two steps disagree: there the function has no
/// derivative or changes too fast.
template <class G, class Loss, class Kept>
void check_differences(const char* name, Matrix<double>& x, const G& gradient, const Loss& loss, const Kept& kept,
                       Random& random) {
  const double largest = gradient.size() > 0 ? gradient.cwiseAbs().maxCoeff() : 0;
  for (int trial = 0; trial < 2 && x.size() > 0; ++trial) {
    const Index i = random.between(0, x.rows() - 1), f = random.between(0, x.cols() - 1);
    const double before = x(i, f);
    bool same_pairs = true;
    const auto pairs = kept();
    const auto difference = [&](double step) {
      const auto at = [&](double by) {
        x(i, f) = before + by;
        same_pairs = same_pairs && kept() == pairs;
        return loss();
      };
      const double result = (at(-2 * step) - 8 * at(-step) + 8 * at(step) - at(2 * step)) / (12 * step);
      x(i, f) = before;
      return result;
    };
    const double step = 2e-3 * std::min(1.0, 1 / std::max(largest, 1e-3)), a = difference(step),
                 b = difference(step / 2), margin = 1e-7 * std::max({largest, std::abs(a), 1e-2});
    if (!same_pairs || !(std::abs(a - b) < margin / 2)) {
      ++reverse_count.skipped;
      continue;
    }
    ++reverse_count.compared;
    INFO("d" << name << "(" << i << ", " << f << ") is " << gradient(i, f) << ", differences " << a << " and " << b);
    REQUIRE(std::abs(gradient(i, f) - b) <= margin);
  }
}

/// Checks the gradients of (scores(Q, K) | twin) * V.
template <class S, class Twin>
void check_gradients(const Twin& twin, const Matrix<S>& queries, const Matrix<S>& keys, const Shape& shape,
                     double scale, Random& random) {
  static fg::thread_pool pool(3);
  static fg::Workspace reused;
  fg::Workspace fresh;
  const Placed<S> q(random, queries), k(random, keys);
  const Matrix<S> numbers_of_v = numbers<S>(random, shape.m, shape.dv, any_kind(random));
  const Placed<S> v(random, numbers_of_v);
  const Matrix<S> numbers_of_d = numbers<S>(random, shape.n, shape.dv, any_kind(random));
  const Placed<S> d_out(random, numbers_of_d);
  const EitherExecutor executor{random.chance(0.3) ? &pool : nullptr};
  const fg::score_options options{.scale = scale, .query_at = shape.query_at, .key_at = shape.key_at};
  const auto queries_map = q.map(), keys_map = k.map(), values = v.map(), d = d_out.map();
  const auto a =
      (fg::scores(queries_map, keys_map, options) | twin.word).with(random.chance(0.3) ? reused : fresh).on(executor);
  const auto g = fg::gradients(a * values, d);

  auto problem = a.source().bind();
  const fg::Grid grid = problem.grid;
  fg::Workspace other;
  const fg::detail::Session session({fg::serial(), &other});
  ReverseSums sums;
  fg::detail::with_routed_stages(a, problem, session, [&](const auto& stages) {
    ReverseReference<S> reference(queries, keys, numbers_of_v, numbers_of_d, static_cast<S>(scale));
    sums = reverse_sums(stages, grid, reference, random);
  });
  const auto check = [](const auto& wrong) {
    if (wrong) FAIL(*wrong);
  };
  check(gradient_differs("dQ", g.q, sums.q, sums.q_bound));
  check(gradient_differs("dK", g.k, sums.k, sums.k_bound));
  check(gradient_differs("dV", g.v, sums.v, sums.v_bound));
  if (random.chance(0.3)) {
    const auto saved = fg::forward(a * values);
    REQUIRE(same(saved.out, Matrix<S>(a * values)));
    const auto again = fg::backward(saved, d);
    check(gradient_differs("dQ of backward()", again.q, sums.q, sums.q_bound));
    check(gradient_differs("dK of backward()", again.k, sums.k, sums.k_bound));
    check(gradient_differs("dV of backward()", again.v, sums.v, sums.v_bound));
  }
  if constexpr (std::is_same_v<S, double>) {
    if (shape.n * shape.m <= 1500) {
      Matrix<double> x = queries, y = keys, z = values;
      const Matrix<double> weight = d;
      const auto loss = [&] {
        return (general_product(fg::scores(x, y, options) | twin.word, z).array() * weight.array()).sum();
      };
      const auto kept = [&] { return stored_columns(general_sparse(fg::scores(x, y, options) | twin.word)); };
      check_differences("Q", x, g.q, loss, kept, random);
      check_differences("K", y, g.k, loss, kept, random);
      check_differences("V", z, g.v, loss, kept, random);
    }
  }
  ++reverse_count.compositions;
}

/// Checks the gradients of `cases` random cases of (scores(Q, K) | make(words)) * V.
template <class S, class Make>
void reverse_law(std::uint64_t stream, int cases, Make make) {
  for (int number = 0; number < case_count(cases); ++number) {
    Random random(stream * 1'000'000 + static_cast<std::uint64_t>(number) + (std::is_same_v<S, float> ? 0 : 500'000));
    Shape shape = any_shape(random);
    if (random.chance(0.05)) shape.m = random.between(380, 450);  // more than one block of keys
    const double scale = any_scale(random, shape);
    const auto twin = as_twin(make(Words<S>{random, shape}));
    INFO("stream " << stream << ", case " << number << ", " << (sizeof(S) == 4 ? "float" : "double") << ", n "
                   << shape.n << ", m " << shape.m << ", d " << shape.d << ", dv " << shape.dv << ", query_at "
                   << shape.query_at << ", key_at " << shape.key_at << ", scale " << scale << ": " << twin.text);
    check_gradients<S>(twin, numbers<S>(random, shape.n, shape.d, any_kind(random)),
                       numbers<S>(random, shape.m, shape.d, any_kind(random)), shape, scale, random);
  }
}
template <class Make>
void reverse_law_of_both(std::uint64_t stream, int cases, Make make) {
  reverse_law<float>(stream, cases, make);
  reverse_law<double>(stream, cases, make);
}

}  // namespace test
