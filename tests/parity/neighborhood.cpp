// SPDX-License-Identifier: MIT
#include <filigree/filigree.hpp>

#include "catch.hpp"
#include "parity/fixture.hpp"

namespace fg = filigree;
using parity::Fixture;
using parity::Matrix;

TEMPLATE_TEST_CASE("neighborhood agrees with NATTEN and with its formula", "", FILIGREE_TEST_SCALARS) {
  using S = TestType;
  const Fixture inputs("neighborhood");
  const Matrix<S> q = inputs.matrix<S>("query"), k = inputs.matrix<S>("key"), v = inputs.matrix<S>("value");
  for (const std::string name : {"width_2", "width_5", "width_6", "width_29"}) {
    CAPTURE(name);
    const Fixture reference("neighborhood/" + name);
    const auto pattern = fg::neighborhood(reference.integer("width"));
    const Matrix<S> out = fg::multi_head(fg::heads{2}, q, k, v, pattern | fg::softmax());
    CHECK(parity::deviation(out, reference.matrix<double>("output")) <= parity::tolerance<S>);
    CHECK(parity::deviation(out, reference.matrix<double>("output_natten")) <= parity::float_tolerance);
  }
}
