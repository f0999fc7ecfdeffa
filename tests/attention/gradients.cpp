// SPDX-License-Identifier: MIT
// Gradients of attention, compared with differences of fourth order of the general evaluator and with formulas.
#include <cmath>
#include <cstring>
#include <filigree/filigree.hpp>
#include <limits>
#include <vector>

#include "catch.hpp"
#include "general.hpp"
#include "inputs.hpp"

namespace fg = filigree;
using test::Index;
using test::Matrix;
using test::Random;

namespace {

using Doubles = Matrix<double>;

template <class A>
Eigen::SparseMatrix<double, Eigen::RowMajor> support(const A& a) {
  return test::general_sparse(a);
}
template <class X, class Y>
bool same_support(const X& x, const Y& y) {
  if (x.nonZeros() != y.nonZeros()) return false;
  for (Index i = 0; i < x.rows(); ++i) {
    if (x.outerIndexPtr()[i + 1] != y.outerIndexPtr()[i + 1]) return false;
    for (Index e = x.outerIndexPtr()[i]; e < x.outerIndexPtr()[i + 1]; ++e)
      if (x.innerIndexPtr()[e] != y.innerIndexPtr()[e]) return false;
  }
  return true;
}

/// Compares the gradient by the entries of x, which expression(f) reads, with differences. make() returns the weights.
struct Differences {
  int compared = 0, skipped = 0;

  template <class Make, class V>
  void check(const char* what, double* x, Index size, const Doubles& gradient, const Make& make, const V& v,
             const Doubles& d_out) {
    constexpr double step = 2e-3;
    REQUIRE(gradient.size() == size);
    const auto center = support(make());
    for (Index e = 0; e < size; ++e) {
      const double before = x[e];
      double values[4];
      bool same = true;
      for (int i = 0; i < 4; ++i) {
        x[e] = before + (i < 2 ? i - 2 : i - 1) * step;
        same = same && same_support(center, support(make()));
        values[i] = (test::general_product(make(), v).array() * d_out.array()).sum();
      }
      x[e] = before;
      if (!same) {
        ++skipped;
        continue;
      }
      ++compared;
      const double expected = (values[0] - 8 * values[1] + 8 * values[2] - values[3]) / (12 * step);
      INFO(what << " entry " << e);
      CHECK(gradient.data()[e] == Approx(expected).margin(2e-8).epsilon(1e-7));
    }
  }
};

struct Shape {
  Index n, m, d, dv;
};

/// Checks the gradients of scores(Q, K, options) | pipeline.
template <class Pipeline>
void check(const Pipeline& pipeline, const fg::score_options& options = {},
           const std::vector<Shape>& shapes = {{5, 9, 3, 2}, {1, 20, 2, 3}, {7, 7, 1, 1}, {4, 3, 5, 4}}) {
  Random random(1701);
  Differences differences;
  for (const Shape& s : shapes) {
    INFO("n = " << s.n << ", m = " << s.m << ", d = " << s.d << ", dv = " << s.dv);
    Doubles q = test::normal<double>(random, s.n, s.d), k = test::normal<double>(random, s.m, s.d),
            v = test::normal<double>(random, s.m, s.dv);
    const Doubles d_out = test::normal<double>(random, s.n, s.dv);
    const auto make = [&] { return fg::scores(q, k, options) | pipeline; };
    const auto [dq, dk, dv] = fg::gradients(make() * v, d_out);
    differences.check("Q", q.data(), q.size(), dq, make, v, d_out);
    differences.check("K", k.data(), k.size(), dk, make, v, d_out);
    differences.check("V", v.data(), v.size(), dv, make, v, d_out);
  }
  CHECK(differences.compared > 3 * differences.skipped);
}

}  // namespace

TEST_CASE("gradients of all stages agree with differences") {
  check(fg::softmax());
  check(fg::softmax({.sink = 0.7}));
  check(fg::causal() | fg::softmax());
  check(fg::normalize_sum(), {}, {{3, 4, 2, 2}});
  check(fg::hard_threshold(0.2));
  check(fg::sparsemax());
  check(fg::entmax15());
  check(fg::top_k(3) | fg::softmax());
  check(fg::causal() | fg::softcap(1.5) | fg::top_k(4) | fg::softmax());
  check(fg::threshold(0.1) | fg::softmax({.sink = -1}));
  check(fg::window(2) | fg::alibi(0.3) | fg::softmax() | fg::dropout(0.4, 7));
  check(fg::top_p(0.8) | fg::softmax());
  check(fg::drop_lowest(0.4) | fg::softmax());
  check(fg::causal() | fg::softmax() | fg::threshold(0.1));
  check(fg::top_k(5) | fg::top_p(0.7) | fg::entmax15());
  check((fg::window(1) || fg::strided(3)) | fg::softmax());
  check(fg::streaming(1, 3) | fg::sparsemax());
  check(fg::softcap(2) | fg::sparsemax() | fg::dropout(0.2, 3));
}

TEST_CASE("gradients depend on positions and the scale") {
  check(fg::causal() | fg::alibi(0.2) | fg::softmax(), {.scale = 0.3, .query_at = 5, .key_at = 2});
  check(fg::causal() | fg::top_k(2) | fg::softmax(), {.query_at = -3, .key_at = -5});
}

TEST_CASE("gradients of routed pipelines agree with differences") {
  const std::vector<Shape> square = {{8, 8, 3, 2}, {12, 12, 2, 3}};
  check(fg::block_top_k(3, 2) | fg::softmax(), {}, square);
  check(fg::causal() | fg::block_top_k(2, 2) | fg::top_k(2) | fg::softmax(), {}, square);
  check(fg::prob_sparse(1, 3) | fg::softmax(), {}, square);
  check(fg::lsh(2, 2, 3, 5) | fg::softmax(), {}, square);
}

TEST_CASE("gradients of full attention are those of the formula") {
  Random random(1702);
  const Index n = 33, m = 70, d = 16, dv = 20;
  const Doubles q = test::normal<double>(random, n, d), k = test::normal<double>(random, m, d),
                v = test::normal<double>(random, m, dv), d_out = test::normal<double>(random, n, dv);
  Doubles w = q * k.transpose() / 4.0;
  w = w.array().exp();
  w.array().colwise() /= w.rowwise().sum().eval().array();
  const Doubles dw = d_out * v.transpose();
  Doubles ds = dw;
  ds.array().colwise() -= (dw.array() * w.array()).rowwise().sum().eval();
  ds.array() *= w.array() / 4.0;
  const auto g = fg::gradients((fg::scores(q, k) | fg::softmax()) * v, d_out);
  CHECK((g.q - ds * k).cwiseAbs().maxCoeff() < 1e-13);
  CHECK((g.k - ds.transpose() * q).cwiseAbs().maxCoeff() < 1e-13);
  CHECK((g.v - w.transpose() * d_out).cwiseAbs().maxCoeff() < 1e-13);
}

TEST_CASE("gradients by the parameters of stages agree with differences") {
  Random random(1703);
  const Index n = 6, m = 8, d = 3, dv = 2;
  const Doubles q = test::normal<double>(random, n, d), k = test::normal<double>(random, m, d),
                v = test::normal<double>(random, m, dv), d_out = test::normal<double>(random, n, dv);
  const auto loss = [&](const auto& pipeline) {
    return (test::general_product(fg::scores(q, k) | pipeline, v).array() * d_out.array()).sum();
  };
  const auto difference = [&](const auto& f) {
    constexpr double step = 2e-3;
    return (f(-2 * step) - 8 * f(-step) + 8 * f(step) - f(2 * step)) / (12 * step);
  };
  Eigen::VectorXd table = Eigen::VectorXd::LinSpaced(7, -1, 1);
  Doubles b = test::normal<double>(random, n, m);
  const auto make = [&](double slope, double cap, double sink) {
    return fg::causal() | fg::alibi(slope) | fg::relative_bias(table) | fg::softcap(cap) | fg::bias(b) |
           fg::softmax({.sink = sink});
  };
  const auto g = fg::gradients((fg::scores(q, k) | make(0.2, 1.5, 0.3)) * v, d_out);
  const auto near = [](double x) { return Approx(x).margin(1e-8).epsilon(1e-7); };
  CHECK(g.parameters<1>()[0] == near(difference([&](double e) { return loss(make(0.2 + e, 1.5, 0.3)); })));
  CHECK(g.parameters<3>()[0] == near(difference([&](double e) { return loss(make(0.2, 1.5 + e, 0.3)); })));
  CHECK(g.parameters<5>()[0] == near(difference([&](double e) { return loss(make(0.2, 1.5, 0.3 + e)); })));
  REQUIRE(g.parameters<2>().size() == table.size());
  for (Index i = 0; i < table.size(); ++i) {
    const double before = table[i];
    const double expected = difference([&](double e) {
      table[i] = before + e;
      return loss(make(0.2, 1.5, 0.3));
    });
    table[i] = before;
    CHECK(g.parameters<2>()[i] == near(expected));
  }
  const auto& pairs = g.parameters<4>();
  REQUIRE((pairs.rows() == n && pairs.cols() == m));
  CHECK(pairs.nonZeros() == 6 * 3 + 15);  // the pairs that causal() keeps: the first query sees 3 keys
  for (Index i = 0; i < n; ++i)
    for (Index c = 0; c < m; ++c) {
      const double before = b(i, c);
      const double expected = difference([&](double e) {
        b(i, c) = before + e;
        return loss(make(0.2, 1.5, 0.3));
      });
      b(i, c) = before;
      CHECK(pairs.coeff(i, c) == near(expected));
    }
}

TEST_CASE("masked numbers that are not finite do not reach the gradients, and empty rows have none") {
  Random random(1704);
  const Index n = 9, m = 12, d = 4, dv = 3;
  const Doubles q = test::normal<double>(random, n, d), k = test::normal<double>(random, m, d),
                v = test::normal<double>(random, m, dv), d_out = test::normal<double>(random, n, dv);
  constexpr double nan = std::numeric_limits<double>::quiet_NaN(), inf = std::numeric_limits<double>::infinity();
  const auto agrees = [&](const auto& pipeline) {
    Doubles bad_q = q, bad_k = k, bad_v = v, bad_out = d_out;
    // No query attends to keys 0 and 1, and query 0 to no key.
    bad_k.row(0).setConstant(nan);
    bad_v.row(0).setConstant(inf);
    bad_k.row(1).setConstant(inf);
    bad_v.row(1).setConstant(nan);
    bad_q.row(0).setConstant(nan);
    bad_out.row(0).setConstant(inf);
    const auto expected = fg::gradients((fg::scores(q, k) | pipeline) * v, d_out);
    const auto g = fg::gradients((fg::scores(bad_q, bad_k) | pipeline) * bad_v, bad_out);
    // Tiles of finite operands and pairs of others are summed in different orders.
    CHECK(g.q.isApprox(expected.q, 1e-13));
    CHECK(g.k.isApprox(expected.k, 1e-13));
    CHECK(g.v.isApprox(expected.v, 1e-13));
    CHECK((g.q.row(0).array() == 0).all());
    CHECK((g.k.topRows(2).array() == 0).all());
    CHECK((g.v.topRows(2).array() == 0).all());
    CHECK(g.q.row(3).norm() > 0);
  };
  const auto seen = fg::where([](Index p, Index j) { return p > 3 && j > 1 && j <= p; });
  agrees(seen | fg::softmax());
  agrees(seen | fg::top_k(3) | fg::softmax());
  agrees(seen | fg::softcap(2) | fg::entmax15());
  agrees(seen | fg::softmax() | fg::dropout(0.3, 1));
}

TEMPLATE_TEST_CASE("gradients have the same bits for any number of threads", "", FILIGREE_TEST_SCALARS) {
  using S = TestType;
  Random random(1705);
  const Index n = 700, m = 333, d = 20, dv = 17;
  const Matrix<S> q = test::normal<S>(random, n, d), k = test::normal<S>(random, m, d),
                  v = test::normal<S>(random, m, dv), d_out = test::normal<S>(random, n, dv);
  const auto check_threads = [&](const auto& pipeline) {
    const auto a = fg::scores(q, k) | pipeline;
    const auto one = fg::gradients(a * v, d_out);
    for (const Index threads : {2, 3, 5}) {
      fg::thread_pool pool(threads);
      fg::Workspace workspace;
      for (int i = 0; i < 2; ++i) {
        const auto g = fg::gradients(a.on(pool).with(workspace) * v, d_out);
        CHECK(std::memcmp(g.q.data(), one.q.data(), sizeof(S) * std::size_t(q.size())) == 0);
        CHECK(std::memcmp(g.k.data(), one.k.data(), sizeof(S) * std::size_t(k.size())) == 0);
        CHECK(std::memcmp(g.v.data(), one.v.data(), sizeof(S) * std::size_t(v.size())) == 0);
      }
    }
  };
  check_threads(fg::softmax());
  check_threads(fg::top_k(7) | fg::softmax());
  check_threads((fg::causal() && fg::window(30)) | fg::alibi(0.1) | fg::softmax());
}

TEST_CASE("gradients of each engine of rows have the same bits in 30 runs by any number of threads") {
  Random random(1718);
  const Index n = 200, d = 8;
  const Matrix<float> q = test::normal<float>(random, n, d), k = test::normal<float>(random, n, d),
                      v = test::normal<float>(random, n, d), d_out = test::normal<float>(random, n, d);
  const auto check = [&](const auto& gradients) {
    const auto one = gradients(1);
    for (const Index threads : {1, 2, 3, 5, 8}) {
      int different = 0;
      for (int run = 0; run < 30; ++run) {
        const auto g = gradients(threads);
        different += test::same(g.q, one.q) && test::same(g.k, one.k) && test::same(g.v, one.v) ? 0 : 1;
      }
      INFO("threads = " << threads);
      CHECK(different == 0);
    }
  };
  const auto check_pipeline = [&](const auto& pipeline) {
    check([&](Index threads) {
      fg::thread_pool pool(threads);
      return fg::gradients((fg::scores(q, k) | pipeline).on(pool) * v, d_out);
    });
  };
  check_pipeline(fg::top_k(9) | fg::softmax());
  check_pipeline(fg::causal() | fg::sparsemax());
  check_pipeline(fg::threshold(0.5) | fg::normalize_sum());
  check_pipeline(fg::lsh(2, 4, 8, 1) | fg::softmax());
  check_pipeline(fg::causal() | fg::block_top_k(16, 3) | fg::softmax());
  check_pipeline(fg::prob_sparse(1, 2) | fg::softmax());
  check_pipeline(fg::sparse_transformer_strided(9) | fg::softmax());
  check([&](Index threads) {
    fg::thread_pool pool(threads);
    return fg::gradients(fg::multi_head(fg::heads{4, 2}, q, Matrix<float>(k.leftCols(4)), Matrix<float>(v.leftCols(4)),
                                        fg::top_k(9) | fg::softmax())
                             .on(pool),
                         d_out);
  });
}

TEMPLATE_TEST_CASE("gradients by keys and values in 16 bits, and in a cache", "", Eigen::half, Eigen::bfloat16) {
  using T = TestType;
  Random random(1719);
  const Index n = 30, m = 1200, dropped = 600, d = 11, dv = 17;
  const Matrix<float> q = test::normal<float>(random, n, 2 * d), d_out = test::normal<float>(random, n, 2 * dv);
  const Matrix<T> k = test::normal<float>(random, m, 2 * d).cast<T>(),
                  v = test::normal<float>(random, m, 2 * dv).cast<T>();
  const Matrix<float> wide_k = k.template cast<float>(), wide_v = v.template cast<float>();
  auto cache = fg::key_value_cache<T>(2, d, dv);
  cache.append(wide_k, wide_v);
  auto slid = cache;
  slid.slide(dropped);
  const auto remains = fg::where([](Index, Index j) { return j >= dropped; });
  const auto agree = [](const auto& g, const auto& expected) {
    CHECK(g.q.isApprox(expected.q, 1e-5F));
    CHECK(g.k.isApprox(expected.k, 1e-5F));
    CHECK(g.v.isApprox(expected.v, 1e-5F));
  };
  const auto check = [&](const auto& rest) {
    const auto pipeline = fg::causal() | rest;
    agree(fg::gradients(fg::multi_head(fg::heads{2}, q, k, v, pipeline), d_out),
          fg::gradients(fg::multi_head(fg::heads{2}, q, wide_k, wide_v, pipeline), d_out));
    for (const Index h : {0, 1}) {
      const Matrix<float> q_h = q.middleCols(h * d, d), d_h = d_out.middleCols(h * dv, dv),
                          k_h = wide_k.middleCols(h * d, d), v_h = wide_v.middleCols(h * dv, dv);
      const auto a = fg::scores(q_h, k_h) | pipeline;
      const auto cached = fg::scores(q_h, cache.head(h)) | pipeline;
      agree(fg::gradients(cached * cache.values(h), d_h), fg::gradients(a * v_h, d_h));
      agree(fg::backward(fg::forward(cached * cache.values(h)), d_h), fg::gradients(a * v_h, d_h));
      const auto expected = fg::gradients((fg::scores(q_h, k_h) | (remains && fg::causal()) | rest) * v_h, d_h);
      const auto g = fg::gradients((fg::scores(q_h, slid.head(h)) | pipeline) * slid.values(h), d_h);
      agree(g, expected);
      CHECK((g.k.topRows(dropped).array() == 0).all());
      CHECK((g.v.topRows(dropped).array() == 0).all());
    }
  };
  check(fg::softmax());
  check(fg::top_k(20) | fg::softmax());
}

TEST_CASE("gradients of rows, of other storage and of expressions") {
  Random random(1706);
  const Index n = 11, m = 14, d = 5, dv = 4;
  const Doubles q = test::normal<double>(random, n, d), k = test::normal<double>(random, m, d),
                v = test::normal<double>(random, m, dv), d_out = test::normal<double>(random, n, dv);
  const auto pipeline = fg::causal() | fg::top_k(4) | fg::softmax();
  const auto g = fg::gradients((fg::scores(q, k) | pipeline) * v, d_out);
  const test::ColMatrix<double> columns = k;
  const auto other = fg::gradients((fg::scores(q + Doubles::Zero(n, d), columns) | pipeline) * (v * 1.0), 1.0 * d_out);
  CHECK(test::same(other.q, g.q));
  CHECK(test::same(other.k, g.k));
  CHECK(test::same(other.v, g.v));
  const auto packed = fg::pack(k);
  CHECK(test::same(fg::gradients((fg::scores(q, packed) | pipeline) * v, d_out).k, g.k));
  // Two parts of the rows have the sum of their gradients.
  const auto a = fg::scores(q, k) | pipeline;
  const auto top = fg::gradients(a.middleRows(0, 4) * v, d_out.topRows(4)),
             rest = fg::gradients(a.middleRows(4, 7) * v, d_out.bottomRows(7));
  CHECK((top.q + rest.q).isApprox(g.q, 1e-14));
  CHECK((top.k + rest.k).isApprox(g.k, 1e-14));
  CHECK((top.v + rest.v).isApprox(g.v, 1e-14));
  CHECK((top.q.bottomRows(7).array() == 0).all());
}

TEST_CASE("gradients of empty shapes are zero, and wrong shapes are errors") {
  Random random(1707);
  const Doubles q = test::normal<double>(random, 3, 2), k = test::normal<double>(random, 4, 2),
                v = test::normal<double>(random, 4, 5);
  const auto a = fg::scores(q, k) | fg::softmax();
  CHECK_THROWS_WITH(fg::gradients(a * v, Doubles::Zero(3, 4)),
                    contains("gradients(A * V, dO): dO is 3x4, it must be 3x5 like A * V"));
  const Doubles none(0, 2), no_values(4, 0);
  CHECK(fg::gradients((fg::scores(none, k) | fg::softmax()) * v, Doubles(0, 5)).v.isZero(0));
  CHECK(fg::gradients((fg::scores(q, none) | fg::softmax()) * Doubles(0, 5), Doubles::Ones(3, 5)).q.isZero(0));
  CHECK(fg::gradients((fg::scores(q, k) | fg::softmax()) * no_values, Doubles(3, 0)).k.isZero(0));
  const Doubles q0(3, 0), k0(4, 0);
  const auto g = fg::gradients((fg::scores(q0, k0) | fg::softmax()) * v, Doubles::Ones(3, 5));
  CHECK(g.q.cols() == 0);
  CHECK(g.v.isApproxToConstant(0.75));
}

TEST_CASE("gradients of several heads are those of each head, summed over the heads of a group") {
  Random random(1708);
  const Index n = 9, m = 12, d = 3, dv = 4;
  for (const fg::heads count : {fg::heads{1}, fg::heads{4, 2}, fg::heads{3}, fg::heads{4, 1}}) {
    const Index h = count.h, hkv = count.hkv == 0 ? h : count.hkv;
    const Doubles q = test::normal<double>(random, n, h * d), k = test::normal<double>(random, m, hkv * d),
                  v = test::normal<double>(random, m, hkv * dv), d_out = test::normal<double>(random, n, h * dv);
    const auto agrees = [&](const auto& head, const auto& stages_of) {
      const auto g = fg::gradients(fg::multi_head(count, q, k, v, head), d_out);
      Doubles dk = Doubles::Zero(m, hkv * d), dv_sum = Doubles::Zero(m, hkv * dv);
      for (Index i = 0; i < h; ++i) {
        const Index j = i / (h / hkv);
        const Doubles qi = q.middleCols(i * d, d), kj = k.middleCols(j * d, d), vj = v.middleCols(j * dv, dv);
        const auto one = fg::gradients((fg::scores(qi, kj) | stages_of(i)) * vj, d_out.middleCols(i * dv, dv));
        CHECK(test::same(Doubles(g.q.middleCols(i * d, d)), one.q));
        dk.middleCols(j * d, d) += one.k;
        dv_sum.middleCols(j * dv, dv) += one.v;
        CHECK(g.template parameters<1>(i)[0] == one.template parameters<1>()[0]);
      }
      CHECK(test::same(g.k, dk));
      CHECK(test::same(g.v, dv_sum));
      CHECK_THROWS_WITH(g.template parameters<1>(h), contains("head must be between 0 and"));
    };
    const auto common = fg::causal() | fg::alibi(0.1) | fg::softmax({.sink = 1});
    agrees(common, [&](Index) { return common; });
    const auto each = [](Index i) {
      return fg::causal() | fg::alibi(0.1 * double(i)) | fg::top_k(i + 2) | fg::softmax();
    };
    agrees(each, each);
  }
}

TEST_CASE("gradients by the output and the logsumexp, and of merged parts, agree with the whole") {
  Random random(1709);
  const Index n = 7, m = 12, d = 3, dv = 4;
  const Doubles q = test::normal<double>(random, n, d), k = test::normal<double>(random, m, d),
                v = test::normal<double>(random, m, dv);
  fg::Attended<double> d_whole{test::normal<double>(random, n, dv), test::normal<double>(random, n, 1)};
  const auto whole_at = [&](double sink) {
    return fg::scores(q, k) | fg::causal() | fg::alibi(0.2) | fg::softmax({.sink = sink});
  };
  const auto whole = fg::gradients(whole_at(0.3) * v, d_whole.out, d_whole.lse);
  // By differences of the sum of both.
  const auto loss = [&](double sink) {
    const auto attended = fg::attend(whole_at(sink), v);
    return (attended.out.array() * d_whole.out.array()).sum() + attended.lse.dot(d_whole.lse);
  };
  constexpr double step = 2e-3;
  CHECK(
      whole.parameters<2>()[0] ==
      Approx((loss(0.3 - 2 * step) - 8 * loss(0.3 - step) + 8 * loss(0.3 + step) - loss(0.3 + 2 * step)) / (12 * step))
          .margin(1e-8)
          .epsilon(1e-7));
  // Three parts of the keys: one has the sink, and the last has no key for the first queries.
  const auto part = [&](Index first, Index count, double sink) {
    return fg::scores(q, k.middleRows(first, count), {.query_at = m - n, .key_at = first}) | fg::causal() |
           fg::alibi(0.2) | fg::softmax({.sink = sink});
  };
  constexpr double none = -std::numeric_limits<double>::infinity();
  const auto a = part(0, 5, none), b = part(5, 3, 0.3), c = part(8, 4, none);
  const auto [da, db, dc] = fg::merge_gradients(d_whole, fg::attend(a, v.middleRows(0, 5)),
                                                fg::attend(b, v.middleRows(5, 3)), fg::attend(c, v.middleRows(8, 4)));
  const auto ga = fg::gradients(a * v.middleRows(0, 5), da.out, da.lse),
             gb = fg::gradients(b * v.middleRows(5, 3), db.out, db.lse),
             gc = fg::gradients(c * v.middleRows(8, 4), dc.out, dc.lse);
  CHECK((ga.q + gb.q + gc.q).isApprox(whole.q, 1e-12));
  Doubles dk(m, d), dv_all(m, dv);
  dk << ga.k, gb.k, gc.k;
  dv_all << ga.v, gb.v, gc.v;
  CHECK(dk.isApprox(whole.k, 1e-12));
  CHECK(dv_all.isApprox(whole.v, 1e-12));
  CHECK(gb.parameters<2>()[0] == Approx(whole.parameters<2>()[0]).epsilon(1e-12));
  CHECK_THROWS_WITH(fg::gradients(whole_at(0) * v, d_whole.out, Eigen::VectorXd::Zero(3)), contains("dlse is 3x1"));
}

TEST_CASE("gradients by the weights are those of the product that they weigh") {
  Random random(1710);
  const Index n = 8, m = 10, d = 3, dv = 4;
  const Doubles q = test::normal<double>(random, n, d), k = test::normal<double>(random, m, d),
                v = test::normal<double>(random, m, dv), d_out = test::normal<double>(random, n, dv);
  const Eigen::SparseMatrix<double> d_weights = Doubles(d_out * v.transpose()).sparseView();
  const auto agrees = [&](const auto& pipeline) {
    const auto a = fg::scores(q, k) | pipeline;
    const auto g = fg::gradients(a * v, d_out);
    const auto [dq, dk] = fg::gradients(a, d_weights);
    CHECK(dq.isApprox(g.q, 1e-13));
    CHECK(dk.isApprox(g.k, 1e-13));
  };
  agrees(fg::softmax());
  agrees(fg::causal() | fg::top_k(3) | fg::softmax());
  agrees(fg::window(2) | fg::sparsemax());
  const auto a = fg::scores(q, k) | fg::softmax();
  CHECK_THROWS_WITH(fg::gradients(a, Eigen::SparseMatrix<double>(n, 3)), contains("dW is 8x3, it must be 8x10 like A"));
}
