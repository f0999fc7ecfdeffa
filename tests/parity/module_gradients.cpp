// SPDX-License-Identifier: MIT
// Gradients through the self-attention modules of transformers, from the output to the hidden states and to the weight
// and bias of each projection. Those of attention are by gradients(), those of projections by plain formulas.
#include <cmath>
#include <filigree/filigree.hpp>
#include <string>

#include "catch.hpp"
#include "parity/fixture.hpp"

namespace fg = filigree;
using parity::Fixture;
using parity::Index;
using parity::Matrix;

namespace {

/// Compares the gradients of a linear layer y = x W' + b by W and b. Returns its gradient by x. The bias is compared as
/// a column next to the weight: the gradient by the bias of keys is 0 except for rounding, since softmax does not
/// change if a number is added to all scores of a row.
template <class S>
Matrix<S> linear_agrees(const Fixture& layer, const Fixture& reference, const std::string& name, const Matrix<S>& x,
                        const Matrix<S>& dy) {
  CAPTURE(name);
  const Matrix<S> weight = layer.matrix<S>(name + "_weight");
  Matrix<S> got(weight.rows(), weight.cols() + 1);
  got << dy.transpose() * x, dy.colwise().sum().transpose();
  Matrix<double> expected(got.rows(), got.cols());
  expected << reference.matrix<double>("d_" + name + "_weight"), reference.vector<double>("d_" + name + "_bias");
  CHECK(parity::deviation(got, expected) <= parity::tolerance<S>);
  return dy * weight;
}

}  // namespace

TEMPLATE_TEST_CASE("gradients agree with autograd through LongformerSelfAttention", "", FILIGREE_TEST_SCALARS) {
  using S = TestType;
  const Fixture layer("longformer");
  const Matrix<S> hidden = layer.matrix<S>("hidden"), d_out = layer.matrix<S>("d_output");
  const auto project = [&](const std::string& name) { return layer.linear<S>(name, hidden); };
  const Matrix<S> q = project("query"), k = project("key"), v = project("value");
  const Matrix<S> q_global = project("query_global"), k_global = project("key_global"),
                  v_global = project("value_global");
  const fg::heads heads{3};

  for (const std::string name : {"global", "padded"}) {
    CAPTURE(name);
    const Fixture reference("longformer/" + name);
    const std::vector<Index> ids = reference.integers("ids");
    const Index window = reference.integer("window"), length = reference.integer("length");
    const auto inside = fg::where([length](Index p, Index j) { return p < length && j < length; });
    const Matrix<S> rows = q_global(ids, Eigen::indexing::all);
    const auto local = fg::multi_head(heads, q, k, v, (fg::longformer(window, ids) && inside) | fg::softmax());
    const auto global = fg::multi_head(heads, rows, k_global, v_global, fg::first(length) | fg::softmax());

    // The rows of global tokens in the output of `local` are replaced by those of `global`.
    Matrix<S> out = local, d_local = d_out;
    out(ids, Eigen::indexing::all) = Matrix<S>(global);
    d_local(ids, Eigen::indexing::all).setZero();
    CHECK(parity::deviation(out, reference.matrix<double>("output")) <= parity::tolerance<S>);

    const auto of_local = fg::gradients(local, d_local);
    const auto of_global = fg::gradients(global, Matrix<S>(d_out(ids, Eigen::indexing::all)));
    Matrix<S> dq_global = Matrix<S>::Zero(hidden.rows(), hidden.cols());
    dq_global(ids, Eigen::indexing::all) = of_global.q;
    const auto through = [&](const std::string& linear, const Matrix<S>& dy) {
      return linear_agrees<S>(layer, reference, linear, hidden, dy);
    };
    Matrix<S> d_hidden = through("query", of_local.q);
    d_hidden += through("key", of_local.k);
    d_hidden += through("value", of_local.v);
    d_hidden += through("query_global", dq_global);
    d_hidden += through("key_global", of_global.k);
    d_hidden += through("value_global", of_global.v);
    CHECK(parity::deviation(d_hidden, reference.matrix<double>("d_hidden")) <= parity::tolerance<S>);
  }
}

TEMPLATE_TEST_CASE("gradients agree with autograd through BigBirdBlockSparseAttention", "", FILIGREE_TEST_SCALARS) {
  using S = TestType;
  using Blocks = Matrix<Index>;
  const Fixture layer("big_bird");
  for (const std::string name : {"short", "padded", "evaluation"}) {
    CAPTURE(name);
    const Fixture reference("big_bird/" + name);
    const Index b = reference.integer("block"), length = reference.integer("length");
    const auto draw = reference.array<Index>("draw");  // heads, blocks, r
    const Index blocks = draw.shape[1], r = draw.shape[2];
    const Matrix<S> hidden = layer.matrix<S>("hidden").topRows(blocks * b),
                    d_out = layer.matrix<S>("d_output").topRows(blocks * b);
    const Matrix<S> q = layer.linear<S>("query", hidden), k = layer.linear<S>("key", hidden),
                    v = layer.linear<S>("value", hidden);

    // A block of keys that the reference counts c times has log(c) added to its scores. In `evaluation` it draws only
    // block 0, which is global and so counts 1 + r times for each block of queries but the first and the last.
    const S repeated = name == "evaluation" ? std::log(S(1 + r)) : S(0);
    const auto count =
        fg::map([=](S s, Index p, Index j) { return j < b && p >= b && p < (blocks - 1) * b ? s + repeated : s; },
                [](S, Index, Index) { return S(1); });
    const auto inside = fg::where([length](Index p, Index j) { return p < length && j < length; });
    const auto attention = fg::multi_head(fg::heads{3}, q, k, v, [&](Index h) {
      const Blocks drawn = Eigen::Map<const Blocks>(draw.values.data() + h * blocks * r, blocks, r);
      return (fg::blocks(b, fg::window(1) || fg::global({0, -1}) || fg::random(drawn)) && inside) | count |
             fg::softmax();
    });
    CHECK(parity::deviation(Matrix<S>(attention), reference.matrix<double>("output")) <= parity::tolerance<S>);

    const auto d = fg::gradients(attention, d_out);
    Matrix<S> d_hidden = linear_agrees<S>(layer, reference, "query", hidden, d.q);
    d_hidden += linear_agrees<S>(layer, reference, "key", hidden, d.k);
    d_hidden += linear_agrees<S>(layer, reference, "value", hidden, d.v);
    CHECK(parity::deviation(d_hidden, reference.matrix<double>("d_hidden")) <= parity::tolerance<S>);
  }
}

namespace {

/// Compares the gradients through LSHSelfAttention. Its keys are k = x / sqrt(d (mean(x²) + 1e-6)), for the queries x.
template <class S>
void reformer_agrees(const std::string& name, bool causal) {
  CAPTURE(name);
  constexpr Index heads = 2, width = 4;
  const Fixture layer("reformer"), reference(name);
  const Matrix<S> hidden = layer.matrix<S>("hidden"), d_out = layer.matrix<S>("d_output"),
                  query_key_weight = layer.matrix<S>("query_key_weight"),
                  value_weight = layer.matrix<S>("value_weight");
  const Matrix<S> query_key = hidden * query_key_weight.transpose(), value = hidden * value_weight.transpose();
  const auto drawn = reference.array<double>("rotations");  // heads, d, rounds, buckets / 2
  const auto buckets = reference.array<Index>("buckets");   // heads, rounds, n
  const Index rounds = drawn.shape[2], half = drawn.shape[3], n = hidden.rows();
  Matrix<S> out(n, heads * width), d_query_key(n, heads * width), d_value(n, heads * width);
  for (Index h = 0; h < heads; ++h) {
    const Matrix<S> x = query_key.middleCols(h * width, width), v = value.middleCols(h * width, width),
                    d_head = d_out.middleCols(h * width, width);
    const parity::Vector<S> norm =
        ((x.rowwise().squaredNorm() / S(width)).array() + S(1e-6)).sqrt() * std::sqrt(S(width));
    const Matrix<S> k = norm.cwiseInverse().asDiagonal() * x;
    const Matrix<double> rotations =
        Eigen::Map<const Matrix<double>>(drawn.values.data() + h * width * rounds * half, width, rounds * half);
    const auto router = fg::lsh(rounds, 2 * half, 8, rotations).shared();
    const auto differentiate = [&](const auto& a) {
      const Matrix<Index> expected = Eigen::Map<const Matrix<Index>>(buckets.values.data() + h * rounds * n, rounds, n);
      const auto [keys, counts] = fg::route(a).stages;
      REQUIRE(keys.query_buckets() == expected.transpose());
      out.middleCols(h * width, width) = a * v;
      const auto d = fg::gradients(a * v, d_head);
      // By the chain rule for k: dk / norm, less k times the part of dk along k. The sum of k² is 1 except for the
      // 1e-6.
      const parity::Vector<S> along = (d.k.array() * k.array()).rowwise().sum().matrix().cwiseQuotient(norm);
      d_query_key.middleCols(h * width, width) =
          Matrix<S>(d.q) + norm.cwiseInverse().asDiagonal() * Matrix<S>(d.k) - along.asDiagonal() * k;
      d_value.middleCols(h * width, width) = d.v;
    };
    const auto scores = fg::scores(x, k, {.scale = 1.0});
    if (causal)
      differentiate(scores | fg::causal() | router | fg::softmax());
    else
      differentiate(scores | router | fg::softmax());
  }
  const Matrix<S> d_query_key_weight = d_query_key.transpose() * hidden, d_value_weight = d_value.transpose() * hidden,
                  d_hidden = d_query_key * query_key_weight + d_value * value_weight;
  CHECK(parity::deviation(out, reference.matrix<double>("output")) <= parity::tolerance<S>);
  CHECK(parity::deviation(d_query_key_weight, reference.matrix<double>("d_query_key_weight")) <= parity::tolerance<S>);
  CHECK(parity::deviation(d_value_weight, reference.matrix<double>("d_value_weight")) <= parity::tolerance<S>);
  CHECK(parity::deviation(d_hidden, reference.matrix<double>("d_hidden")) <= parity::tolerance<S>);
}

}  // namespace

TEMPLATE_TEST_CASE("gradients agree with autograd through LSHSelfAttention", "", FILIGREE_TEST_SCALARS) {
  for (const int rounds : {1, 4}) {
    reformer_agrees<TestType>("reformer/rounds_" + std::to_string(rounds), false);
    reformer_agrees<TestType>("reformer/rounds_" + std::to_string(rounds) + "_causal", true);
  }
}
