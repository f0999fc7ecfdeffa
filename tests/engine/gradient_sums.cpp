// SPDX-License-Identifier: MIT
// The sums of gradients: the same bits for any number of threads, and their accuracy.
#include <cmath>
#include <filigree/filigree.hpp>
#include <limits>

#include "catch.hpp"
#include "inputs.hpp"
#include "row_gradients.hpp"

namespace fg = filigree;
using test::distance;
using test::Index;
using test::Matrix;
using test::Random;
using test::same_bits;

TEST_CASE(
    "gradients of many blocks agree with the row tape, and have the same bits in 30 runs by any number of threads") {
  Random random(1715);
  const auto check = [&](Index n, Index m, const auto& pipeline, const auto& reference) {
    const Index d = 8, dv = 5;
    const Matrix<float> q = test::normal<float>(random, n, d), k = test::normal<float>(random, m, d),
                        v = test::normal<float>(random, m, dv), d_out = test::normal<float>(random, n, dv);
    const auto a = fg::scores(q, k) | pipeline;
    const auto g = fg::gradients(a * v, d_out);
    const Matrix<double> wide_q = q.cast<double>(), wide_k = k.cast<double>(), wide_v = v.cast<double>(),
                         wide_d = d_out.cast<double>();
    const auto expected = reference(wide_q, wide_k, wide_v, wide_d);
    CHECK(distance(g.q, expected.q) < 3e-5);
    CHECK(distance(g.k, expected.k) < 3e-5);
    CHECK(distance(g.v, expected.v) < 3e-5);
    for (const Index threads : {1, 2, 3, 5, 8}) {
      fg::thread_pool pool(threads);
      int different = 0;
      for (int run = 0; run < 30; ++run) {
        const auto shared = fg::gradients(a.on(pool) * v, d_out);
        different += same_bits(shared.q, g.q) && same_bits(shared.k, g.k) && same_bits(shared.v, g.v) ? 0 : 1;
      }
      INFO("threads = " << threads);
      CHECK(different == 0);
    }
  };
  const auto agrees = [&](Index n, const auto& pipeline) {
    check(n, 1000, pipeline, [&](const auto& q, const auto& k, const auto& v, const auto& d_out) {
      return test::row_gradients(fg::scores(q, k) | pipeline, v, d_out);
    });
  };
  agrees(900, (fg::window(100) || fg::global({0, 500})) | fg::softmax());
  agrees(900, fg::bigbird(64, 2, 3) | fg::softmax());
  agrees(900, fg::causal() | fg::alibi(0.1) | fg::softmax({.sink = 1}));
  agrees(900, fg::sparse_transformer_strided(40) | fg::softmax());
  agrees(900, fg::dilated_window(30, 2) | fg::softmax());
  agrees(900, fg::softmax());
  // Many blocks of rows attend to the same block of keys. A selection that keeps all pairs is computed by rows.
  const auto global = fg::window(20) || fg::global({0, 3000});
  check(6000, 6000, global | fg::softmax(), [&](const auto& q, const auto& k, const auto& v, const auto& d_out) {
    return fg::gradients((fg::scores(q, k) | global | fg::top_k(6000) | fg::softmax()) * v, d_out);
  });
}

namespace {

/// The gradients of softmax attention over some pairs, by matrix products in T. This is the plain implementation.
template <class T>
struct PlainGradients {
  using M = Matrix<T>;
  template <class Kept>
  PlainGradients(const M& queries, const M& keys, const M& v, const M& d_out, const Kept& kept) {
    const T scale = 1 / std::sqrt(T(queries.cols()));
    M w = queries * keys.transpose() * scale;
    for (Index i = 0; i < w.rows(); ++i) {
      for (Index c = 0; c < w.cols(); ++c)
        if (!kept(i, c)) w(i, c) = -std::numeric_limits<T>::infinity();
      w.row(i) = (w.row(i).array() - w.row(i).maxCoeff()).exp().matrix().eval();
      w.row(i) /= w.row(i).sum();
    }
    const M out = w * v, mean = d_out.cwiseProduct(out).rowwise().sum();
    M ds = d_out * v.transpose();
    for (Index i = 0; i < w.rows(); ++i) ds.row(i) = (ds.row(i).array() - mean(i, 0)) * w.row(i).array() * scale;
    all[0] = ds * keys;
    all[1] = ds.transpose() * queries;
    all[2] = w.transpose() * d_out;
  }
  M all[3];  // by Q, K and V
};

}  // namespace

TEST_CASE("gradients in float are as accurate as those of the plain implementation") {
  Random random(1716);
  const Index n = 200, m = 300, d = 64, dv = 48;
  const auto check = [&](const auto& pipeline, float spread) {
    const Matrix<float> q = spread * test::normal<float>(random, n, d), k = test::normal<float>(random, m, d),
                        v = test::normal<float>(random, m, dv), d_out = test::normal<float>(random, n, dv);
    const auto a = fg::scores(q, k) | pipeline;
    const Eigen::SparseMatrix<float, Eigen::RowMajor> weights = a;
    Matrix<char> mask = Matrix<char>::Zero(n, m);
    for (Index i = 0; i < n; ++i)
      for (decltype(weights)::InnerIterator e(weights, i); e; ++e) mask(i, e.col()) = 1;
    const auto kept = [&](Index i, Index c) { return mask(i, c) != 0; };
    const PlainGradients<long double> exact(q.cast<long double>(), k.cast<long double>(), v.cast<long double>(),
                                            d_out.cast<long double>(), kept);
    const PlainGradients<float> plain(q, k, v, d_out, kept);
    const auto g = fg::gradients(a * v, d_out), again = fg::backward(fg::forward(a * v), d_out);
    const Matrix<float>* const found[] = {&g.q, &g.k, &g.v};
    const Matrix<float>* const found_again[] = {&again.q, &again.k, &again.v};
    for (int i = 0; i < 3; ++i) {
      const long double bound = 2 * (plain.all[i].template cast<long double>() - exact.all[i]).norm();
      CHECK((found[i]->template cast<long double>() - exact.all[i]).norm() <= bound);
      CHECK((found_again[i]->template cast<long double>() - exact.all[i]).norm() <= bound);
    }
  };
  for (const float spread : {1.0F, 5.0F}) {
    check(fg::softmax(), spread);
    check(fg::causal() | fg::softmax(), spread);
    check((fg::window(30) || fg::global({0})) | fg::softmax(), spread);
    check(fg::top_k(20) | fg::softmax(), spread);
  }
}
