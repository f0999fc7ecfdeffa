// SPDX-License-Identifier: MIT
#include <Eigen/SparseCore>
#include <filigree/filigree.hpp>

#include "catch.hpp"
#include "parity/fixture.hpp"

namespace fg = filigree;
using parity::Fixture;
using parity::Index;
using parity::Matrix;

namespace {

template <class S, class Stages>
void agrees(const std::string& name, const fg::score_options& options, const Stages& stages) {
  CAPTURE(name);
  const Fixture inputs("scaled_dot_product"), reference("scaled_dot_product/" + name);
  const Matrix<S> q = inputs.matrix<S>("query"), k = inputs.matrix<S>("key"), v = inputs.matrix<S>("value");
  Matrix<S> out(q.rows(), v.cols());
  for (Index h = 0; h < 2; ++h)
    out.middleCols(7 * h, 7) =
        (fg::scores(q.middleCols(5 * h, 5), k.middleCols(5 * h, 5), options) | stages) * v.middleCols(7 * h, 7);
  CHECK(parity::deviation(out, reference.matrix<double>("output")) <= parity::tolerance<S>);
}

}  // namespace

TEMPLATE_TEST_CASE("attention agrees with scaled_dot_product_attention of PyTorch", "", FILIGREE_TEST_SCALARS) {
  using S = TestType;
  agrees<S>("plain", {}, fg::softmax());
  agrees<S>("scaled", {.scale = 0.3}, fg::softmax());
  // PyTorch's causal mask aligns the first query with the first key. Filigree aligns the last ones by default.
  agrees<S>("causal", {.query_at = 0}, fg::causal() | fg::softmax());

  const Matrix<Index> stored = Fixture("scaled_dot_product/masked").matrix<Index>("mask");
  const Eigen::SparseMatrix<S, Eigen::RowMajor> mask = stored.cast<S>().sparseView();
  agrees<S>("masked", {}, fg::given(mask) | fg::softmax());

  const Matrix<S> bias = Fixture("scaled_dot_product/biased").matrix<S>("bias");
  agrees<S>("biased", {}, fg::bias(bias) | fg::softmax());
}
