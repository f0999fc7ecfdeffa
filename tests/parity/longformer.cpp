// SPDX-License-Identifier: MIT
// A Longformer layer with separate projections for global tokens is two attentions. The first computes all rows. The
// second computes the rows of the global tokens, over all keys, and replaces these rows.
#include <filigree/filigree.hpp>

#include "catch.hpp"
#include "parity/fixture.hpp"

namespace fg = filigree;
using parity::Fixture;
using parity::Index;
using parity::Matrix;

TEMPLATE_TEST_CASE("Longformer agrees with transformers, with global projections", "", FILIGREE_TEST_SCALARS) {
  using S = TestType;
  const Fixture layer("longformer");
  const Matrix<S> hidden = layer.matrix<S>("hidden");
  const auto project = [&](const std::string& name) { return layer.linear<S>(name, hidden); };
  const Matrix<S> q = project("query"), k = project("key"), v = project("value");
  const Matrix<S> q_global = project("query_global"), k_global = project("key_global"),
                  v_global = project("value_global");
  const fg::heads heads{3};

  for (const std::string name : {"local", "global", "wide", "padded"}) {
    CAPTURE(name);
    const Fixture reference("longformer/" + name);
    const std::vector<Index> ids = reference.integers("ids");
    const Index window = reference.integer("window"), length = reference.integer("length");
    const auto inside = fg::where([length](Index p, Index j) { return p < length && j < length; });

    Matrix<S> out = fg::multi_head(heads, q, k, v, (fg::longformer(window, ids) && inside) | fg::softmax());
    const Matrix<S> rows = q_global(ids, Eigen::indexing::all);
    const Matrix<S> global = fg::multi_head(heads, rows, k_global, v_global, fg::first(length) | fg::softmax());
    for (std::size_t i = 0; i < ids.size(); ++i) out.row(ids[i]) = global.row(static_cast<Index>(i));

    CHECK(parity::deviation(out, reference.matrix<double>("output")) <= parity::tolerance<S>);
    CHECK(parity::deviation(out, reference.matrix<double>("output_as_it_is")) <= parity::float_tolerance);
  }
}
