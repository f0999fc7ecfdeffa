// SPDX-License-Identifier: MIT
#include <filigree/filigree.hpp>

#include "catch.hpp"
#include "parity/fixture.hpp"

namespace fg = filigree;
using parity::Fixture;
using parity::Index;
using parity::Matrix;
using parity::Vector;

namespace {

constexpr Index width = 6;

template <class S>
struct Inputs {
  Fixture folder{"flex_attention"};
  Matrix<S> q = folder.matrix<S>("query"), k = folder.matrix<S>("key"), v = folder.matrix<S>("value");
  Vector<S> table = folder.vector<S>("table"), slopes = folder.vector<S>("slopes");
  std::vector<Index> ids = folder.integers("ids");
};

/// Checks all heads together, and each head with its logsumexp.
template <class S, class Head>
void agrees(const std::string& name, const Inputs<S>& x, Index hkv, const Head& head) {
  CAPTURE(name);
  const Fixture reference("flex_attention/" + name);
  const Matrix<double> expected = reference.matrix<double>("output"), lse = reference.matrix<double>("lse");
  const Matrix<S> k = x.k.leftCols(hkv * width), v = x.v.leftCols(hkv * width);
  const Matrix<S> out = fg::multi_head(fg::heads{4, hkv}, x.q, k, v, head);
  CHECK(parity::deviation(out, expected) <= parity::tolerance<S>);
  for (Index h = 0; h < 4; ++h) {
    const auto head_of = [](const auto& matrix, Index at) { return matrix.middleCols(at * width, width); };
    const Index kv = h / (4 / hkv);
    const auto one = fg::attend(fg::scores(head_of(x.q, h), head_of(k, kv)) | head(h), head_of(v, kv));
    CHECK(parity::deviation(one.out, head_of(expected, h)) <= parity::tolerance<S>);
    CHECK(parity::deviation(one.lse, lse.col(h)) <= parity::tolerance<S>);
  }
}

}  // namespace

TEMPLATE_TEST_CASE("score maps agree with flex_attention", "", FILIGREE_TEST_SCALARS) {
  const Inputs<TestType> x;
  const auto alibi = [&](Index h) { return fg::alibi(static_cast<double>(x.slopes[h])); };
  const auto softcap = fg::softcap(5);
  const auto relative_bias = fg::relative_bias(x.table);
  agrees("alibi", x, 4, [&](Index h) { return alibi(h) | fg::softmax(); });
  agrees("softcap", x, 4, [&](Index) { return softcap | fg::softmax(); });
  agrees("relative_bias", x, 4, [&](Index) { return relative_bias | fg::softmax(); });
  agrees("all_maps", x, 4, [&](Index h) { return fg::causal() | alibi(h) | softcap | relative_bias | fg::softmax(); });
}

TEMPLATE_TEST_CASE("masks and grouped queries agree with flex_attention", "", FILIGREE_TEST_SCALARS) {
  const Inputs<TestType> x;
  const auto same = fg::documents(x.ids);
  agrees("documents", x, 4, [&](Index) { return same | fg::softmax(); });
  agrees("packed", x, 4, [&](Index) { return (same && fg::causal()) | fg::softmax(); });
  agrees("earlier", x, 4, [&](Index) { return (same && fg::causal() && !fg::window(0)) | fg::softmax(); });
  agrees("grouped", x, 2, [&](Index) { return fg::causal() | fg::softmax(); });
}
