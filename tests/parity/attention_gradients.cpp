// SPDX-License-Identifier: MIT
#include <Eigen/SparseCore>
#include <filigree/filigree.hpp>
#include <string>

#include "catch.hpp"
#include "parity/fixture.hpp"

namespace fg = filigree;
using parity::Fixture;
using parity::Index;
using parity::Matrix;

namespace {

constexpr Index heads = 4, d = 5, dv = 6;

/// Compares the gradients of scores(Q, K, {.query_at = 0}) | stages_of(head) in each head. Queries and keys are
/// numbered from 0. Returns the gradients of the heads.
template <class S, class StagesOf>
auto agrees(const std::string& name, const StagesOf& stages_of, Index hkv = heads) {
  CAPTURE(name);
  const Fixture inputs("attention_gradients"), reference("attention_gradients/" + name);
  const Matrix<double> dq = reference.matrix<double>("dq"), dk = reference.matrix<double>("dk"),
                       d_values = reference.matrix<double>("dv"), output = reference.matrix<double>("output");
  const Matrix<S> q = inputs.matrix<S>("query"), k = inputs.matrix<S>("key").topLeftCorner(dk.rows(), hkv * d),
                  v = inputs.matrix<S>("value").topLeftCorner(dk.rows(), hkv * dv),
                  d_out = inputs.matrix<S>("d_output");
  Matrix<S> all_q(q.rows(), q.cols()), all_k = Matrix<S>::Zero(k.rows(), k.cols()),
                                       all_v = Matrix<S>::Zero(v.rows(), v.cols()), all_out = d_out;
  const auto head = [&](Index h) {
    const Index j = h / (heads / hkv);
    const auto a = fg::scores(q.middleCols(h * d, d), k.middleCols(j * d, d), {.query_at = 0}) | stages_of(h);
    const auto g = fg::gradients(a * v.middleCols(j * dv, dv), d_out.middleCols(h * dv, dv));
    all_out.middleCols(h * dv, dv) = a * v.middleCols(j * dv, dv);
    all_q.middleCols(h * d, d) = g.q;
    all_k.middleCols(j * d, d) += g.k;
    all_v.middleCols(j * dv, dv) += g.v;
    return g;
  };
  std::vector<decltype(head(0))> gradients;
  for (Index h = 0; h < heads; ++h) gradients.push_back(head(h));
  CHECK(parity::deviation(all_out, output) <= parity::tolerance<S>);
  CHECK(parity::deviation(all_q, dq) <= parity::tolerance<S>);
  CHECK(parity::deviation(all_k, dk) <= parity::tolerance<S>);
  CHECK(parity::deviation(all_v, d_values) <= parity::tolerance<S>);
  return gradients;
}

}  // namespace

TEMPLATE_TEST_CASE("gradients agree with autograd through scaled_dot_product_attention", "", FILIGREE_TEST_SCALARS) {
  using S = TestType;
  const Fixture inputs("attention_gradients");
  agrees<S>("plain", [](Index) { return fg::softmax(); });
  agrees<S>("causal", [](Index) { return fg::causal() | fg::softmax(); });
  agrees<S>(
      "grouped", [](Index) { return fg::softmax(); }, 2);
  const Eigen::SparseMatrix<S, Eigen::RowMajor> mask = inputs.matrix<Index>("mask").cast<S>().sparseView();
  agrees<S>("masked", [&](Index) { return fg::given(mask) | fg::softmax(); });
  const Matrix<S> bias = inputs.matrix<S>("bias");
  const auto biased = agrees<S>("biased", [&](Index) { return fg::bias(bias) | fg::softmax(); });
  Matrix<S> d_bias = Matrix<S>::Zero(bias.rows(), bias.cols());
  for (const auto& g : biased) d_bias += g.template parameters<0>();
  CHECK(parity::deviation(d_bias, Fixture("attention_gradients/biased").matrix<double>("d_bias")) <=
        parity::tolerance<S>);
}

TEMPLATE_TEST_CASE("gradients agree with autograd through score modifications", "", FILIGREE_TEST_SCALARS) {
  using S = TestType;
  const Fixture inputs("attention_gradients");
  const auto slopes = inputs.vector<double>("slopes");
  const auto alibi = agrees<S>("alibi", [&](Index h) { return fg::alibi(slopes[h]) | fg::softmax(); });
  const auto d_slopes = Fixture("attention_gradients/alibi").vector<double>("d_slopes");
  for (Index h = 0; h < heads; ++h) {
    const Matrix<S> one = alibi[static_cast<std::size_t>(h)].template parameters<0>();
    CHECK(parity::deviation(one, d_slopes.segment(h, 1)) <= 10 * parity::tolerance<S>);
  }
  const auto softcap =
      agrees<S>("softcap", [&](Index) { return fg::softcap(inputs.vector<double>("cap")[0]) | fg::softmax(); });
  Matrix<S> d_cap = Matrix<S>::Zero(1, 1);
  for (const auto& g : softcap) d_cap += g.template parameters<0>();
  CHECK(parity::deviation(d_cap, Fixture("attention_gradients/softcap").vector<double>("d_cap")) <=
        10 * parity::tolerance<S>);
  const parity::Vector<S> table = inputs.vector<S>("table");
  const auto relative = agrees<S>("relative_bias", [&](Index) { return fg::relative_bias(table) | fg::softmax(); });
  parity::Vector<S> d_table = parity::Vector<S>::Zero(table.size());
  for (const auto& g : relative) d_table += g.template parameters<0>();
  CHECK(parity::deviation(d_table, Fixture("attention_gradients/relative_bias").vector<double>("d_table")) <=
        10 * parity::tolerance<S>);
  const std::vector<Index> ids = inputs.integers("ids");
  agrees<S>("documents", [&](Index) { return fg::documents(ids) | fg::softmax(); });
}

TEMPLATE_TEST_CASE("gradients agree with autograd through entmax", "", FILIGREE_TEST_SCALARS) {
  using S = TestType;
  agrees<S>("sparsemax", [](Index) { return fg::causal() | fg::sparsemax(); });
  agrees<S>("entmax15", [](Index) { return fg::causal() | fg::entmax15(); });
}
