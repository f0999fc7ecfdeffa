// SPDX-License-Identifier: MIT
#include <filigree/filigree.hpp>

#include "catch.hpp"
#include "parity/fixture.hpp"

namespace fg = filigree;
using parity::Fixture;
using parity::Matrix;

namespace {

template <class S, class P>
void agrees(const std::string& name, const P& pattern) {
  CAPTURE(name);
  const Fixture inputs("sparse_transformer"), reference("sparse_transformer/" + name);
  const Matrix<S> q = inputs.matrix<S>("query"), k = inputs.matrix<S>("key"), v = inputs.matrix<S>("value");
  const auto attention = fg::scores(q, k) | pattern | fg::softmax();
  const Matrix<S> weights = attention, out = attention * v;
  const Matrix<double> expected = reference.matrix<double>("weights");
  CHECK(((weights.array() == 0) == (expected.array() == 0)).all());
  CHECK(parity::deviation(weights, expected) <= parity::tolerance<S>);
  CHECK(parity::deviation(out, reference.matrix<double>("output")) <= parity::tolerance<S>);
}

}  // namespace

TEMPLATE_TEST_CASE("Sparse Transformer patterns agree with the sets of the paper", "", FILIGREE_TEST_SCALARS) {
  using S = TestType;
  agrees<S>("strided_1", fg::sparse_transformer_strided(1));
  agrees<S>("strided_7", fg::sparse_transformer_strided(7));
  agrees<S>("strided_64", fg::sparse_transformer_strided(64));
  agrees<S>("fixed_7_2", fg::sparse_transformer_fixed(7, 2));
  agrees<S>("fixed_8_8", fg::sparse_transformer_fixed(8, 8));
  agrees<S>("fixed_16_0", fg::sparse_transformer_fixed(16, 0));
}
