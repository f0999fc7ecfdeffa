// SPDX-License-Identifier: MIT
// Matrix stages keep the same entries of a batch in a network as of a matrix, for any distribution of the values and
// any number of threads. The estimated bounds, which avoid sorting most entries, may be far off.
#include <filigree/filigree.hpp>

#include "catch.hpp"
#include "inputs.hpp"

namespace fg = filigree;
using test::Index;
using test::Matrix;
using test::Random;

namespace {

/// Applies a stage as a layer.
template <class T, class S>
void forward(const T& stage, fg::detail::State<T, S>& state, fg::Activations<S>& in, fg::Activations<S>& out,
             const fg::detail::Session& session) {
  fg::Context<S> context{.parameters = nullptr,
                         .gradient = nullptr,
                         .in = in,
                         .out = out,
                         .dy = {},
                         .needs_input_gradient = false,
                         .accumulate = false,
                         .loss = nullptr,
                         .network = {},
                         .session = session,
                         .training = true,
                         .draw = 0};
  state.forward(stage, context);
}

template <class S>
bool same(const fg::Lists<S>& lists, const Eigen::SparseMatrix<S, Eigen::RowMajor>& expected) {
  bool same = lists.n == expected.rows() && lists.count() == expected.nonZeros();
  for (Index i = 0; same && i < lists.n; ++i) {
    Index e = 0;
    for (typename Eigen::SparseMatrix<S, Eigen::RowMajor>::InnerIterator it(expected, i); it; ++it, ++e) {
      const S value = lists.values[i * lists.stride + e];
      same = same && e < lists.counts[i] && lists.columns[i * lists.stride + e] == it.col() &&
             (value == it.value() || (value != value && it.value() != it.value()));
    }
  }
  return same;
}

template <class T, class S>
void check(const T& stage, const Matrix<S>& z) {
  INFO(z.rows() << " x " << z.cols());
  const Eigen::SparseMatrix<S, Eigen::RowMajor> expected = z | stage, of_positive = z | fg::relu() | stage;
  fg::ThreadPool pool(3);
  for (const fg::ExecutorRef executor : {fg::ExecutorRef(fg::serial()), fg::ExecutorRef(pool)}) {
    const fg::detail::Session session({.executor = executor});
    fg::Activations<S> in, out, positive, kept;
    in.set_view(z.rows(), z.cols(), z.data());
    fg::detail::State<T, S> state, next;
    fg::detail::State<decltype(fg::relu()), S> relu;
    for (int repeat = 0; repeat < 2; ++repeat) {
      forward(stage, state, in, out, session);
      REQUIRE(same(out.lists, expected));
      forward(fg::relu(), relu, in, positive, session);
      forward(stage, next, positive, kept, session);
      REQUIRE(same(kept.lists, of_positive));
    }
  }
}
template <class S>
void check(const Matrix<S>& z, Index k) {
  check(fg::batch_top_k(k), z);
}

}  // namespace

TEMPLATE_TEST_CASE("batch_top_k keeps the same entries of a large batch in a network as of a matrix", "",
                   FILIGREE_TEST_SCALARS) {
  using S = TestType;
  Random random(771);
  const Index n = 160, m = 512;
  Matrix<S> z = test::normal<S>(random, n, m);
  for (const Index k : {1, 3, 32, 500, 511, 512, 600}) check<S>(z, k);
  check<S>(Matrix<S>::Constant(n, m, S(2)), 5);                                      // all values tie
  check<S>((z.array() * 2).round().matrix(), 20);                                    // many values tie
  check<S>(Matrix<S>::Constant(n, m, -std::numeric_limits<S>::infinity()), 3);       // all entries are absent
  check<S>((z.array() > S(2.5)).select(std::numeric_limits<S>::quiet_NaN(), z), 3);  // NaN ranks highest
  check<S>(Matrix<S>::Constant(n, m, std::numeric_limits<S>::quiet_NaN()), 3);       // all values are NaN
  Matrix<S> hidden = -z.cwiseAbs();  // large values that the sample of the estimate misses
  for (Index e = 0; e < hidden.size(); ++e)
    if (e % 5 != 0) hidden.data()[e] = S(1) + static_cast<S>(e % 97);
  for (const Index k : {1, 10, 100}) check<S>(hidden, k);
  check<S>(-hidden, 10);  // large values only where the sample looks
  check<S>(z.topRows(1), 7);
  check<S>(z.topRows(0), 7);
  check(fg::prune_magnitude(0.9), z);
  check(fg::winner_take_all(0.05), z);
}
