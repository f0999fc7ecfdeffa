// SPDX-License-Identifier: MIT
// ProbSparse with the keys that the references sampled. The references are the formulas of the paper as implemented in
// Informer2020, and transformers, which samples one list of keys for all queries.
#include <algorithm>
#include <filigree/filigree.hpp>

#include "catch.hpp"
#include "parity/fixture.hpp"

namespace fg = filigree;
using parity::Fixture;
using parity::Index;
using parity::Matrix;

namespace {

constexpr Index heads = 2, width = 4;

template <class S>
struct Layer {
  Fixture folder;
  Matrix<S> q = folder.matrix<S>("query"), k = folder.matrix<S>("key"), v = folder.matrix<S>("value");
  Index c = folder.integer("c");
  Matrix<Index> sample;

  explicit Layer(const std::string& name) : folder(name) {
    const auto drawn = folder.array<Index>("sample");
    if (drawn.shape.size() == 1)  // one list for all queries
      sample = Eigen::Map<const Matrix<Index>>(drawn.values.data(), 1, drawn.shape[0]).replicate(q.rows(), 1);
    else
      sample = folder.matrix<Index>("sample");
  }

  [[nodiscard]] auto router() const { return fg::prob_sparse(c, sample); }

  /// Computes all heads together and checks that each head alone gives the same.
  template <class Head>
  Matrix<S> attend(const Head& head) const {
    const Matrix<S> all = fg::multi_head(fg::heads{heads}, q, k, v, head);
    for (Index h = 0; h < heads; ++h) {
      const auto head_of = [&](const auto& x) { return x.middleCols(h * width, width); };
      const auto one = fg::attend(fg::scores(head_of(q), head_of(k)) | head, head_of(v));
      CHECK(parity::deviation(one.out, head_of(all)) <= parity::tolerance<S>);
    }
    return all;
  }

  /// Checks the measure M, times `factor`, and the active rows of both heads.
  void check_choice(double factor) const {
    const Matrix<double> measure = folder.matrix<double>("measure") * factor;
    const Matrix<Index> active = folder.matrix<Index>("active");
    for (Index h = 0; h < heads; ++h) {
      const auto head_of = [&](const auto& x) { return x.middleCols(h * width, width); };
      const auto chosen = fg::route(fg::scores(head_of(q), head_of(k)) | router());
      CHECK(parity::deviation(chosen.measure(), measure.row(h).transpose()) <= parity::tolerance<S>);
      std::vector<Index> expected(active.row(h).begin(), active.row(h).end());
      std::sort(expected.begin(), expected.end());
      CHECK(chosen.active() == expected);
      CHECK(chosen.sample() == sample);
    }
  }
};

}  // namespace

TEMPLATE_TEST_CASE("ProbSparse agrees with Informer2020", "", FILIGREE_TEST_SCALARS) {
  for (const std::string name : {"plain", "cross", "everything"}) {
    CAPTURE(name);
    const Layer<TestType> layer("informer_original/" + name);
    layer.check_choice(1);
    CHECK(parity::deviation(layer.attend(layer.router() | fg::softmax()),
                            layer.folder.template matrix<double>("output")) <= parity::tolerance<TestType>);
  }
}

TEMPLATE_TEST_CASE("causal ProbSparse agrees with Informer2020, with means and with its sums", "",
                   FILIGREE_TEST_SCALARS) {
  const Layer<TestType> layer("informer_original/causal");
  layer.check_choice(1);
  const Matrix<double> sums = layer.folder.template matrix<double>("output"),
                       means = layer.folder.template matrix<double>("output_mean");
  CHECK(parity::deviation(layer.attend(fg::causal() | layer.router() | fg::softmax() | fg::lazy_sum()), sums) <=
        parity::tolerance<TestType>);
  CHECK(parity::deviation(layer.attend(fg::causal() | layer.router() | fg::softmax()), means) <=
        parity::tolerance<TestType>);
  CHECK(parity::deviation(layer.attend(layer.router() | fg::causal() | fg::softmax()), means) <=
        parity::tolerance<TestType>);
}

// transformers computes U and u from ln(1 + n). For this n both formulas give the same u, and a sample may have any
// size. Its M includes the scale 1/2.
TEMPLATE_TEST_CASE("ProbSparse agrees with transformers", "", FILIGREE_TEST_SCALARS) {
  const Layer<TestType> encoder("informer_huggingface/encoder"), decoder("informer_huggingface/decoder");
  encoder.check_choice(2);
  decoder.check_choice(2);
  CHECK(parity::deviation(encoder.attend(encoder.router() | fg::softmax()),
                          encoder.folder.template matrix<double>("output")) <= parity::tolerance<TestType>);
  CHECK(parity::deviation(decoder.attend(fg::causal() | decoder.router() | fg::softmax() | fg::lazy_sum()),
                          decoder.folder.template matrix<double>("output")) <= parity::float_tolerance);
}
