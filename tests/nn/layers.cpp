// SPDX-License-Identifier: MIT
// Layers that consist of layers: sequences, sums and residuals; layers and normalizers of a user.
#include <cmath>
#include <filigree/filigree.hpp>

#include "catch.hpp"
#include "inputs.hpp"
#include "nn/differences.hpp"

namespace fg = filigree;
using test::Index;
using test::Random;
using Matrix = test::Matrix<double>;
using Vector = Eigen::VectorXd;

namespace {

/// x² times a learned factor for each column.
struct ScaledSquare {
  using Category = fg::Layer;
  Index width;

  Index inputs() const { return width; }
  Index outputs(Index columns) const {
    if (columns != width) throw fg::Error("filigree: scaled_square: wrong width");
    return width;
  }
  Index parameter_count() const { return width; }
  template <fg::Real S>
  void initialize(S* parameters, fg::Generator&) const {
    std::fill_n(parameters, width, S(0.5));
  }

  template <fg::Real S>
  struct State {
    void forward(const ScaledSquare&, fg::Context<S>& context) {
      const auto x = context.inputs();
      auto y = context.make_outputs(x.cols());
      context.for_each_rows([&](Index first, Index last) {
        for (Index i = first; i < last; ++i)
          for (Index j = 0; j < x.cols(); ++j) y(i, j) = context.parameters[j] * x(i, j) * x(i, j);
      });
    }
    fg::Gradient<S> backward(const ScaledSquare&, fg::Context<S>& context) {
      const auto x = context.inputs();
      auto d = context.writable_output_gradient();
      for (Index j = 0; j < x.cols(); ++j) {
        context.gradient[j] = 0;
        for (Index i = 0; i < x.rows(); ++i) {
          context.gradient[j] += d(i, j) * x(i, j) * x(i, j);
          d(i, j) *= 2 * context.parameters[j] * x(i, j);
        }
      }
      return {.dense = d.data()};
    }
  };
};

/// Shares of the squares, without the entries below `least`.
struct SquareShares {
  using Category = fg::Normalizer;
  double least = -100;

  template <fg::Real S>
  void apply(fg::Row<S>& row) const {
    row.filter([&](Index i) { return row.values[i] > static_cast<S>(least); });
    S sum = 0;
    for (Index i = 0; i < row.count; ++i) sum += row.values[i] * row.values[i];
    for (Index i = 0; i < row.count; ++i) row.values[i] *= row.values[i] / sum;
  }
  template <fg::Real S>
  void backward(const fg::Row<S>& in, const fg::Row<S>& out, S* d) const {
    S sum = 0, mean = 0;
    for (Index i = 0; i < out.count; ++i) sum += in.values[i] * in.values[i], mean += out.values[i] * d[i];
    for (Index i = 0; i < out.count; ++i) d[i] = 2 * in.values[i] / sum * (d[i] - mean);
  }
};

/// A selector that scales what it keeps.
struct KeepHalf {
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

template <class Net, class X, class Objective>
void check_gradient(Net net, const X& x, const Matrix& y, const Objective& objective, double h = 1e-3) {
  Random random(7);
  net.parameters() += 0.2 * test::normal<double>(random, net.parameters().size(), 1);
  const auto [loss, gradient] = fg::loss_and_gradient(net, x, y, objective);
  Net moved = net;
  fg::Pass pass(net);
  const auto value = [&](const Vector& parameters) {
    moved.parameters() = parameters;
    return pass.loss(moved, x, y, objective);
  };
  CHECK(value(net.parameters()) == Approx(loss).epsilon(1e-13));
  CHECK(test::relative(gradient, test::differences(value, net.parameters(), h)) < 1e-7);
  fg::thread_pool pool(3);
  fg::Pass other(net, fg::ExecutorRef(pool));
  Vector same;
  CHECK(other.gradient(net, x, y, objective, same) == loss);
  CHECK(test::same(same, gradient));
}

const auto objective = 0.5 * fg::squared_error() + 1e-2 * fg::weight_decay();

}  // namespace

TEST_CASE("a sequence is a layer: it does what its layers do one after another") {
  Random random(771);
  const Matrix x = test::normal<double>(random, 70, 6), y = test::normal<double>(random, 70, 3);
  const auto a = fg::linear<double>(6, 5), b = fg::linear<double>(5, 3);
  auto flat = fg::network(a | fg::tanh() | fg::penalize(0.1 * fg::l1()) | b);
  auto nested = fg::network(fg::sequence(a | fg::sequence(fg::tanh() | fg::penalize(0.1 * fg::l1())) | b));
  REQUIRE(nested.parameters().size() == flat.parameters().size());
  CHECK(nested.inputs() == 6);
  CHECK(nested.outputs() == 3);
  nested.parameters() = flat.parameters();
  const auto expected = fg::loss_and_gradient(flat, x, y, objective);
  const auto got = fg::loss_and_gradient(nested, x, y, objective);
  CHECK(got.loss == expected.loss);
  CHECK(test::same(got.gradient, expected.gradient));
  CHECK(test::same(nested(x), flat(x)));
  fg::fit(flat, x, y, objective, fg::adamw{}, {.epochs = 3, .batch = 16});
  fg::fit(nested, x, y, objective, fg::adamw{}, {.epochs = 3, .batch = 16});
  CHECK(test::same(nested.parameters(), flat.parameters()));
}

TEST_CASE("residual adds the input, sum adds branches") {
  Random random(772);
  const Matrix x = test::normal<double>(random, 70, 6);
  const auto f = fg::network(fg::linear<double>(6, 6) | fg::tanh(), 3);
  auto g = fg::network(fg::residual(fg::linear<double>(6, 6) | fg::tanh()), 3);
  g.parameters() = f.parameters();
  CHECK(test::same(g(x), Matrix(x + f(x))));
  auto h = fg::network(fg::sum(fg::linear<double>(6, 6) | fg::tanh(), fg::top_k(2), fg::linear<double>(6, 6)), 4);
  const auto last = fg::network(fg::linear<double>(6, 6), 9);
  h.parameters() << f.parameters(), last.parameters();
  CHECK((h(x) - (f(x) + Matrix(x | fg::top_k(2)) + last(x))).cwiseAbs().maxCoeff() < 1e-14);
}

TEST_CASE("gradients of composed layers match finite differences") {
  Random random(773);
  for (const Index n : {1, 70}) {
    const Matrix x = test::normal<double>(random, n, 6), y = test::normal<double>(random, n, 3);
    const auto check = [&](const auto& stages) { check_gradient(fg::network(stages, 5), x, y, objective); };
    const auto in = fg::linear<double>(6, 8), mid = fg::linear<double>(8, 8), out = fg::linear<double>(8, 3);
    const auto block = fg::residual(fg::layer_norm<double>(8) | mid | fg::gelu() | mid);
    check(in | block | fg::residual(fg::layer_norm<double>(8) | fg::tanh()) | out);
    check(fg::residual(fg::linear<double>(6, 6) | fg::tanh()) | fg::linear<double>(6, 3));
    check(in | fg::residual(fg::residual(mid | fg::tanh()) | fg::penalize(0.1 * fg::hoyer_square()) | mid) | out);
    check(in | fg::sum(mid, fg::tanh() | mid, fg::sigmoid()) | out);
    check(in | fg::tanh() | fg::residual(mid.skip_connection(6) | fg::sigmoid()) | out);
    check(in | ScaledSquare{8} | out);
    check(ScaledSquare{6} | in | fg::residual(ScaledSquare{8}) | out | ScaledSquare{3});
    check(in | SquareShares{} | out);
    check(in | fg::dropout(0.3, 4) | fg::residual(fg::dropout(0.3, 5) | mid) | out);
  }
}

TEST_CASE("gradients of composed layers with lists match finite differences") {
  Random random(777);
  // With few samples and small steps, no selection changes within a difference step.
  const Matrix x = test::normal<double>(random, 5, 6), y = test::normal<double>(random, 5, 3);
  const auto check = [&](const auto& stages) { check_gradient(fg::network(stages, 5), x, y, objective, 1e-5); };
  const auto in = fg::linear<double>(6, 8), mid = fg::linear<double>(8, 8), out = fg::linear<double>(8, 3);
  const auto wide = fg::linear<double>(6, 40), narrow = fg::linear<double>(40, 3);
  check(in | SquareShares{-0.5} | fg::residual(SquareShares{} | mid) | out);
  check(in | fg::top_k(3) | SquareShares{} | fg::sum(mid, mid | fg::tanh()) | out);
  check(wide | fg::top_k(2) | fg::sum(narrow, narrow | fg::tanh()));
  check(wide | fg::top_k(2) | fg::residual(fg::linear<double>(40, 40)) | narrow);
}

TEST_CASE("gradients of normalizers, maps and selectors as layers match finite differences") {
  Random random(778);
  const Matrix x = test::normal<double>(random, 9, 6), y = test::normal<double>(random, 9, 3);
  const auto in = fg::linear<double>(6, 8), out = fg::linear<double>(8, 3);
  const auto check = [&](const auto& stage) {
    check_gradient(fg::network(in | stage | out, 5), x, y, objective, 1e-4);
    check_gradient(fg::network(in | fg::relu() | stage | out, 5), x, y, objective, 1e-4);
  };
  check(fg::softmax());
  check(fg::softmax({.sink = 0.3}));
  check(fg::sparsemax());
  check(fg::entmax15());
  check(fg::entmax(1.3));
  check(fg::softcap(1.5));
  check(fg::alibi(0.2));
  check(fg::map([](double s, Index p, Index j) { return s * s * static_cast<double>(p + j); },
                [](double s, Index p, Index j) { return 2 * s * static_cast<double>(p + j); }));
  check(KeepHalf{});
}

TEST_CASE("pre_bias may precede any layer") {
  Random random(774);
  const Matrix x = test::normal<double>(random, 70, 6);
  const auto out = fg::linear<double>(8, 6);
  check_gradient(fg::network(fg::pre_bias() | fg::tanh() | fg::linear<double>(6, 8) | out), x, x, objective);
  check_gradient(fg::network(fg::residual(fg::pre_bias() | fg::linear<double>(6, 6)) | fg::linear<double>(6, 8) |
                             fg::sigmoid() | out),
                 x, x, objective);
  check_gradient(fg::network(fg::residual(fg::pre_bias() | fg::tanh()) | fg::linear<double>(6, 8) | out), x, x,
                 objective);
  const auto wide = fg::network(fg::linear<double>(6, 8) | fg::residual(fg::pre_bias()) | out);
  CHECK_THROWS_WITH(wide(x), "filigree: pre_bias(): the last layer's bias has 6 numbers, and the inputs have 8");
}

TEST_CASE("branches read the stored entries of sparse samples") {
  Random random(775);
  const Matrix x = test::normal<double>(random, 70, 40).unaryExpr([](double v) { return v > 2 ? v : 0.0; });
  const Matrix y = test::normal<double>(random, 70, 3);
  const Eigen::SparseMatrix<double, Eigen::RowMajor> stored = x.sparseView();
  const auto net = fg::network(fg::sum(fg::linear<double>(40, 5), fg::linear<double>(40, 5) | fg::tanh()) |
                               fg::sigmoid() | fg::linear<double>(5, 3));
  check_gradient(net, stored, y, objective);
  const auto sparse = fg::loss_and_gradient(net, stored, y, objective),
             dense = fg::loss_and_gradient(net, x, y, objective);
  CHECK(sparse.loss == Approx(dense.loss).epsilon(1e-13));
  CHECK(test::relative(sparse.gradient, dense.gradient) < 1e-12);
}

TEST_CASE("layers inside of layers are constrained, decay and resume from checkpoints as others") {
  Random random(776);
  const Matrix x = test::normal<double>(random, 70, 6);
  const auto stages = fg::residual(fg::linear<double>(6, 8) | fg::tanh() | fg::linear<double>(8, 6).non_negative());
  auto net = fg::network(stages, 2);
  CHECK(net.is_constrained());
  fg::fit(net, x, Matrix(-x), fg::squared_error(), fg::adam{.rate = 0.05}, {.epochs = 20});
  const auto second = net.parameters().segment(56, 48);
  CHECK(second.minCoeff() == 0);
  net.parameters()[60] = -1;
  CHECK_FALSE(net.is_constrained());
  net.constrain();
  CHECK(net.parameters()[60] == 0);
  const double without = fg::loss_and_gradient(net, x, x, fg::squared_error()).loss;
  const double squares = net.parameters().head(48).squaredNorm() + second.squaredNorm();
  CHECK(fg::loss_and_gradient(net, x, x, fg::squared_error() + fg::weight_decay()).loss ==
        Approx(without + squares / 2).epsilon(1e-13));
  CHECK(fg::detail::stage_text(net.stage<0>()) == "sum(sequence(), sequence(Linear<double> | Tanh | Linear<double>))");
}

TEST_CASE("composed layers reject wrong widths") {
  CHECK_THROWS_WITH(fg::network(fg::residual(fg::linear(6, 5))),
                    "filigree: sum(branches), residual(f): all branches must have as many outputs, got 6 and 5");
  CHECK_THROWS_WITH(fg::network(fg::sum(fg::linear(6, 5), fg::linear(6, 4) | fg::relu())),
                    "filigree: sum(branches), residual(f): all branches must have as many outputs, got 5 and 4");
  CHECK_THROWS_WITH(fg::network(fg::linear(6, 5) | fg::residual(fg::linear(6, 6))),
                    "filigree: linear(6, 6): gets 5 columns from the stage before it, not 6");
  CHECK_THROWS_WITH(fg::network(fg::linear(6, 5) | fg::residual(fg::linear(5, 5).skip_connection(4))),
                    "filigree: linear(5, 5).skip_connection(4): the network takes 6 columns");
}
