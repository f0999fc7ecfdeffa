// SPDX-License-Identifier: MIT
#include <filigree/filigree.hpp>

#include "catch.hpp"
#include "parity/fixture.hpp"

namespace fg = filigree;
using parity::Fixture;
using parity::Matrix;

TEMPLATE_TEST_CASE("sparsemax, entmax15 and entmax agree with the package entmax", "", FILIGREE_TEST_SCALARS) {
  using S = TestType;
  for (const std::string name : {"normal", "ties", "negative", "large", "sharp", "long", "pair", "single"}) {
    CAPTURE(name);
    const Fixture reference("simplex/" + name);
    const Matrix<S> rows = reference.matrix<S>("rows");
    const Matrix<S> sparsemax = rows | fg::sparsemax(), entmax15 = rows | fg::entmax15();
    CHECK(parity::deviation(sparsemax, reference.matrix<double>("sparsemax")) <= parity::tolerance<S>);
    CHECK(parity::deviation(entmax15, reference.matrix<double>("entmax15")) <= parity::tolerance<S>);
    for (const int hundredths : {105, 125, 150, 175, 200}) {
      CAPTURE(hundredths);
      const Matrix<S> entmax = rows | fg::entmax(hundredths / 100.0);
      CHECK(parity::deviation(entmax, reference.matrix<double>("entmax_" + std::to_string(hundredths))) <=
            parity::tolerance<S>);
    }
  }
}
