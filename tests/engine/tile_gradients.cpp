// SPDX-License-Identifier: MIT
// Gradients of softmax attention by tiles, compared with the row tape in double precision.
#include <cmath>
#include <cstring>
#include <filigree/filigree.hpp>
#include <limits>

#include "catch.hpp"
#include "inputs.hpp"
#include "row_gradients.hpp"

namespace fg = filigree;
using test::Index;
using test::Matrix;
using test::Random;

namespace {

template <class S>
bool same_bits(const Matrix<S>& a, const Matrix<S>& b) {
  return a.rows() == b.rows() && a.cols() == b.cols() &&
         (a.size() == 0 || std::memcmp(a.data(), b.data(), static_cast<std::size_t>(a.size()) * sizeof(S)) == 0);
}

template <class S>
double distance(const Matrix<S>& a, const Matrix<double>& b) {
  if (a.size() == 0) return 0;
  return (a.template cast<double>() - b).cwiseAbs().maxCoeff() / std::max(1.0, b.cwiseAbs().maxCoeff());
}

/// A shape of some blocks of rows and keys.
struct Shape {
  explicit Shape(Random& random) {
    n = random.pick<Index>({1, 5, 17, 96, 97, 200, 385, 500});
    m = random.pick<Index>({1, 7, 64, 65, 130, 384, 400, 900});
    d = random.pick<Index>({1, 3, 16, 20, 64, 70});
    dv = random.pick<Index>({1, 5, 16, 33, 64, 80});
  }
  Index n, m, d, dv;
};

}  // namespace

TEMPLATE_TEST_CASE("gradients by tiles agree with the row tape", "", FILIGREE_TEST_SCALARS) {
  using S = TestType;
  Random random(1711);
  fg::thread_pool three(3);
  const auto agrees = [&](const auto& pipeline, int rounds) {
    for (int round = 0; round < rounds; ++round) {
      const Shape s(random);
      INFO("n = " << s.n << ", m = " << s.m << ", d = " << s.d << ", dv = " << s.dv);
      const Matrix<S> q = test::normal<S>(random, s.n, s.d), k = test::normal<S>(random, s.m, s.d),
                      v = test::normal<S>(random, s.m, s.dv), d_out = test::normal<S>(random, s.n, s.dv);
      const fg::score_options options =
          random.chance(0.5) ? fg::score_options{} : fg::score_options{.scale = 0.3, .query_at = 7, .key_at = -2};
      const auto a = fg::scores(q, k, options) | pipeline;
      const auto g = fg::gradients(a * v, d_out);
      const Matrix<double> wide_q = q.template cast<double>(), wide_k = k.template cast<double>();
      const auto expected =
          test::row_gradients(fg::scores(wide_q, wide_k, options) | pipeline, Matrix<double>(v.template cast<double>()),
                              Matrix<double>(d_out.template cast<double>()));
      const double bound = sizeof(S) == 4 ? 3e-5 : 1e-13;
      CHECK(distance(g.q, expected.q) < bound);
      CHECK(distance(g.k, expected.k) < bound);
      CHECK(distance(g.v, expected.v) < bound);
      const auto shared = fg::gradients(a.on(three) * v, d_out);
      CHECK(same_bits(shared.q, g.q));
      CHECK(same_bits(shared.k, g.k));
      CHECK(same_bits(shared.v, g.v));
      const auto saved = fg::forward(a * v);
      CHECK(same_bits(saved.out, Matrix<S>(a * v)));
      const auto again = fg::backward(saved, d_out);
      CHECK(distance(again.q, expected.q) < bound);
      CHECK(distance(again.k, expected.k) < bound);
      CHECK(same_bits(again.v, g.v));
    }
  };
  agrees(fg::softmax(), 12);
  agrees(fg::causal() | fg::softmax({.sink = 0.5}), 12);
  agrees(fg::window(20) | fg::alibi(0.05) | fg::softmax(), 8);
  agrees((fg::causal() && (fg::window(70) || fg::first(2))) | fg::softcap(3) | fg::softmax(), 8);
  agrees(fg::dilated_window(9, 3) | fg::softmax(), 6);
  agrees((fg::causal() && (fg::strided(5) || fg::window(20))) | fg::alibi(0.05) | fg::softmax({.sink = 0.2}), 6);
  if constexpr (sizeof(S) == 4) {
    agrees(fg::causal() | fg::softmax() | fg::dropout(0.3, 9), 6);
    agrees(fg::bigbird(16, 2, 3) | fg::softmax(), 6);
    agrees(fg::where([](Index p, Index j) { return (p + 2 * j) % 3 != 0; }) | fg::softmax(), 6);
    agrees(fg::map([](double x, Index p, Index j) { return x + 0.01 * x * x * static_cast<double>(p - j); },
                   [](double x, Index p, Index j) { return 1 + 0.02 * x * static_cast<double>(p - j); }) |
               fg::softmax(),
           3);
  }
}

TEST_CASE(
    "gradients of many blocks agree with the row tape, and have the same bits in 30 runs by any number of threads") {
  Random random(1715);
  const Index n = 1300, m = 1700, d = 8, dv = 5;
  const Matrix<float> q = test::normal<float>(random, n, d), k = test::normal<float>(random, m, d),
                      v = test::normal<float>(random, m, dv), d_out = test::normal<float>(random, n, dv);
  const auto agrees = [&](const auto& pipeline) {
    const auto a = fg::scores(q, k) | pipeline;
    const auto g = fg::gradients(a * v, d_out);
    const Matrix<double> wide_q = q.cast<double>(), wide_k = k.cast<double>(), wide_v = v.cast<double>(),
                         wide_d = d_out.cast<double>();
    const auto expected = test::row_gradients(fg::scores(wide_q, wide_k) | pipeline, wide_v, wide_d);
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
  agrees((fg::window(100) || fg::global({0, 900})) | fg::softmax());
  agrees(fg::bigbird(64, 2, 3) | fg::softmax());
  agrees(fg::causal() | fg::alibi(0.1) | fg::softmax({.sink = 1}));
  agrees(fg::sparse_transformer_strided(40) | fg::softmax());
  agrees(fg::dilated_window(30, 2) | fg::softmax());
  agrees(fg::softmax());
}

TEST_CASE("gradients of hashed attention by parts agree with the row tape") {
  Random random(1717);
  const auto agrees = [&](Index n, const auto& rest, const auto& router) {
    const Matrix<float> q = test::normal<float>(random, n, 12), k = test::normal<float>(random, n, 12),
                        v = test::normal<float>(random, n, 7), d_out = test::normal<float>(random, n, 7);
    const auto chosen = fg::route(fg::scores(q, k) | router);
    const auto a = fg::scores(q, k) | chosen | rest;
    const auto g = fg::gradients(a * v, d_out), again = fg::backward(fg::forward(a * v), d_out);
    const auto routed = fg::gradients((fg::scores(q, k) | router | rest) * v, d_out);
    const Matrix<double> wide_q = q.cast<double>(), wide_k = k.cast<double>(), wide_v = v.cast<double>(),
                         wide_d = d_out.cast<double>();
    const auto expected = test::row_gradients(fg::scores(wide_q, wide_k) | chosen | rest, wide_v, wide_d);
    for (const auto* found : {&g, &again}) {
      CHECK(distance(found->q, expected.q) < 3e-5);
      CHECK(distance(found->k, expected.k) < 3e-5);
      CHECK(distance(found->v, expected.v) < 3e-5);
    }
    CHECK(same_bits(routed.k, g.k));
  };
  for (const Index n : {40, 333, 1200}) {
    agrees(n, fg::softmax(), fg::lsh(2, 8, 16, 1));
    agrees(n, fg::softmax({.sink = 1}), fg::lsh(3, 4, 20, 2).distinct());
    agrees(n, fg::softmax(), fg::lsh(2, 8, 16, 3).shared());
    agrees(n, fg::softcap(2) | fg::softmax(), fg::lsh(2, 8, 16, 4));
  }
}

TEST_CASE("gradients of parameters by tiles agree with the row tape") {
  Random random(1712);
  const Index n = 450, m = 500;
  const Matrix<double> q = test::normal<double>(random, n, 8), k = test::normal<double>(random, m, 8),
                       v = test::normal<double>(random, m, 5), d_out = test::normal<double>(random, n, 5);
  const Eigen::VectorXd table = Eigen::VectorXd::LinSpaced(31, -1, 1);
  const auto a = fg::scores(q, k) | fg::causal() | fg::relative_bias(table) | fg::alibi(0.02) | fg::softcap(4) |
                 fg::softmax({.sink = 1.5});
  const auto g = fg::gradients(a * v, d_out);
  const auto expected = test::row_gradients(a, v, d_out).parameters;
  REQUIRE(expected.stages.size() == 4);
  const auto agrees = [](const Eigen::VectorXd& x, const auto& sums) {
    REQUIRE(x.size() == sums.size());
    for (Index i = 0; i < x.size(); ++i) CHECK(x[i] == Approx(sums[i]).epsilon(1e-11).margin(1e-11));
  };
  agrees(g.parameters<1>(), expected.stages[0].sums);
  agrees(g.parameters<2>(), expected.stages[1].sums);
  agrees(g.parameters<3>(), expected.stages[2].sums);
  agrees(g.parameters<4>(), expected.stages[3].sums);
  const auto strided = fg::scores(q, k) | (fg::strided(7) || fg::window(20)) | fg::relative_bias(table) |
                       fg::alibi(0.02) | fg::softcap(4) | fg::softmax({.sink = 1.5});
  const auto by_parts = fg::gradients(strided * v, d_out);
  const auto of_strided = test::row_gradients(strided, v, d_out).parameters;
  agrees(by_parts.parameters<1>(), of_strided.stages[0].sums);
  agrees(by_parts.parameters<2>(), of_strided.stages[1].sums);
  agrees(by_parts.parameters<3>(), of_strided.stages[2].sums);
  agrees(by_parts.parameters<4>(), of_strided.stages[3].sums);
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

TEST_CASE("gradients by tiles do not read what is masked") {
  Random random(1713);
  const Index n = 150, m = 200, d = 16, dv = 16;
  Matrix<float> q = test::normal<float>(random, n, d), k = test::normal<float>(random, m, d),
                v = test::normal<float>(random, m, dv), d_out = test::normal<float>(random, n, dv);
  const auto seen = fg::causal() && !fg::first(70);
  const auto pipeline = seen | fg::softmax();
  const auto expected = fg::gradients((fg::scores(q, k) | pipeline) * v, d_out);
  k.topRows(70).setConstant(std::numeric_limits<float>::quiet_NaN());
  v.topRows(70).setConstant(std::numeric_limits<float>::infinity());
  const auto g = fg::gradients((fg::scores(q, k) | pipeline) * v, d_out);
  CHECK(distance(g.q, Matrix<double>(expected.q.cast<double>())) < 1e-5);
  CHECK(distance(g.k, Matrix<double>(expected.k.cast<double>())) < 1e-5);
  CHECK(distance(g.v, Matrix<double>(expected.v.cast<double>())) < 1e-5);
  CHECK((g.k.topRows(70).array() == 0).all());
  CHECK((g.v.topRows(70).array() == 0).all());
}

TEST_CASE("saved forward passes of selections, routers and other normalizers have the gradients of the product") {
  Random random(1714);
  const Index n = 40, d = 6, dv = 7;
  const Matrix<double> q = test::normal<double>(random, n, d), k = test::normal<double>(random, n, d),
                       v = test::normal<double>(random, n, dv), d_out = test::normal<double>(random, n, dv);
  const auto agrees = [&](const auto& pipeline) {
    const auto a = fg::scores(q, k) | pipeline;
    const auto saved = fg::forward(a * v);
    CHECK(test::same(saved.out, Matrix<double>(a * v)));
    const auto g = fg::gradients(a * v, d_out), again = fg::backward(saved, d_out);
    CHECK(again.q.isApprox(g.q, 1e-13));
    CHECK(again.k.isApprox(g.k, 1e-13));
    CHECK(again.v.isApprox(g.v, 1e-13));
    const auto part = fg::forward(a.middleRows(5, 20) * v);
    CHECK(fg::backward(part, d_out.middleRows(5, 20))
              .k.isApprox(fg::gradients(a.middleRows(5, 20) * v, d_out.middleRows(5, 20)).k, 1e-13));
  };
  agrees(fg::top_k(5) | fg::softmax());
  agrees(fg::causal() | fg::softcap(2) | fg::top_k(5) | fg::entmax15());
  agrees(fg::sparsemax());
  agrees(fg::causal() | fg::block_top_k(4, 2) | fg::softmax());
  agrees(fg::lsh(2, 4, 8, 1) | fg::softmax());
  agrees(fg::prob_sparse(1, 2) | fg::softmax());
  agrees(fg::window(3) | fg::normalize_sum());
  const auto a = fg::scores(q, k) | fg::causal() | fg::softmax();
  const auto saved = fg::forward(a * v);
  const Eigen::VectorXd d_lse = test::normal<double>(random, n, 1);
  CHECK(fg::backward(saved, d_out, d_lse).q.isApprox(fg::gradients(a * v, d_out, d_lse).q, 1e-13));
  CHECK_THROWS_WITH(fg::backward(saved, Matrix<double>(n, 3)), contains("dO is 40x3, it must be 40x7"));
}
