// SPDX-License-Identifier: MIT
// A few queries of several heads, as in decoding: the query heads of a key head are computed together.
#include <cmath>
#include <cstring>
#include <filigree/filigree.hpp>
#include <limits>

#include "allocations.hpp"
#include "catch.hpp"
#include "inputs.hpp"

namespace fg = filigree;
using test::ColMatrix;
using test::Index;
using test::Matrix;
using test::Random;

namespace {

template <class S>
bool same_bits(const Matrix<S>& a, const Matrix<S>& b) {
  return a.rows() == b.rows() && a.cols() == b.cols() &&
         (a.size() == 0 || std::memcmp(a.data(), b.data(), static_cast<std::size_t>(a.size()) * sizeof(S)) == 0);
}

/// Returns the results of all heads, each computed alone.
template <class S, class Head>
Matrix<S> heads_alone(const fg::heads& count, const Matrix<S>& q, const Matrix<S>& k, const Matrix<S>& v, Head head) {
  const Index d = q.cols() / count.h, dv = v.cols() / count.hkv;
  Matrix<S> all(q.rows(), count.h * dv);
  for (Index i = 0; i < count.h; ++i) {
    const Index j = i / (count.h / count.hkv);
    all.middleCols(i * dv, dv) =
        (fg::scores(q.middleCols(i * d, d), k.middleCols(j * d, d)) | head(i)) * v.middleCols(j * dv, dv);
  }
  return all;
}

/// A random shape of a decoding step.
struct Shape {
  explicit Shape(Random& random) {
    const Index group = random.between(1, 9);
    count.hkv = random.between(1, 3);
    count.h = group * count.hkv;
    n = random.pick<Index>({1, 1, 1, 2, 3, 4, 7, 16});
    m = random.pick<Index>({1, 2, 15, 16, 17, 63, 64, 65, 200, 511, 512, 513, 1000, 1600});
    d = random.pick<Index>({1, 3, 15, 16, 17, 20, 32});
    dv = random.pick<Index>({1, 5, 16, 17, 32, 64, 80});
  }
  fg::heads count{1, 1};
  Index n = 1, m = 1, d = 1, dv = 1;
};

}  // namespace

TEMPLATE_TEST_CASE("few queries of several heads have the bits of each head alone", "", FILIGREE_TEST_SCALARS) {
  using S = TestType;
  Random random(1601);
  fg::thread_pool two(2), five(5);
  fg::Workspace workspace;
  const auto agrees = [&](const auto& head, int rounds) {
    for (int round = 0; round < rounds; ++round) {
      const Shape s(random);
      INFO("heads{" << s.count.h << ", " << s.count.hkv << "}, n = " << s.n << ", m = " << s.m << ", d = " << s.d
                    << ", dv = " << s.dv);
      const Matrix<S> q = test::normal<S>(random, s.n, s.count.h * s.d),
                      k = test::normal<S>(random, s.m, s.count.hkv * s.d),
                      v = test::normal<S>(random, s.m, s.count.hkv * s.dv);
      const Matrix<S> expected = heads_alone<S>(s.count, q, k, v, [&](Index) { return head; });
      const auto lazy = fg::multi_head(s.count, q, k, v, head);
      CHECK(same_bits<S>(lazy, expected));
      CHECK(same_bits<S>(lazy.on(two), expected));
      CHECK(same_bits<S>(lazy.on(five).with(workspace), expected));
      // Matrices stored by columns, and blocks of wider ones.
      const ColMatrix<S> columns = k;
      Matrix<S> wide = test::normal<S>(random, s.m, v.cols() + 5);
      wide.middleCols(3, v.cols()) = v;
      ColMatrix<S> target = ColMatrix<S>::Constant(s.n, expected.cols(), S(1));
      target += fg::multi_head(s.count, ColMatrix<S>(q), columns, wide.middleCols(3, v.cols()), head);
      CHECK(same_bits<S>(Matrix<S>(target), Matrix<S>(expected.array() + S(1))));
    }
  };
  agrees(fg::softmax(), 30);
  agrees(fg::causal() | fg::softcap(3) | fg::top_k(9) | fg::softmax(), 30);
  agrees((fg::first(3) || fg::window(40, 0)) | fg::alibi(0.01) | fg::softmax({.sink = 0.5}), 30);
  if constexpr (sizeof(S) == 4) {
    agrees(fg::causal() | fg::softmax(), 10);
    agrees(fg::streaming(2, 50) | fg::top_k(20) | fg::softmax(), 10);
    agrees(fg::top_k(600) | fg::normalize_sum(), 10);
    agrees(fg::where([](Index p, Index j) { return (p + j) % 3 != 0; }) | fg::softmax(), 10);
    agrees(fg::threshold(0.3) | fg::softmax(), 10);
    agrees(fg::causal() | fg::sparsemax(), 10);
    agrees(fg::top_p(0.7) | fg::softmax(), 10);
    agrees(fg::streaming(2, 70) | fg::entmax15(), 10);
    agrees(fg::hard_threshold(0.5), 10);
    agrees((fg::causal() && fg::random(5, 3)) | fg::softmax(), 6);
    agrees((fg::window(4) || fg::strided(9)) | fg::softmax(), 6);
    agrees(fg::causal() | fg::softmax() | fg::dropout(0.3, 5), 6);
    agrees(fg::block_top_k(16, 2) | fg::softmax(), 6);
  }
}

TEST_CASE("few queries of heads with pipelines of their own") {
  using S = float;
  Random random(1602);
  fg::thread_pool three(3);
  const auto agrees = [&](const auto& head) {
    for (int round = 0; round < 12; ++round) {
      const Shape s(random);
      const Matrix<S> q = test::normal<S>(random, s.n, s.count.h * s.d),
                      k = test::normal<S>(random, s.m, s.count.hkv * s.d),
                      v = test::normal<S>(random, s.m, s.count.hkv * s.dv);
      const Matrix<S> expected = heads_alone<S>(s.count, q, k, v, head);
      CHECK(same_bits<S>(fg::multi_head(s.count, q, k, v, head), expected));
      CHECK(same_bits<S>(fg::multi_head(s.count, q, k, v, head).on(three), expected));
    }
  };
  agrees([](Index i) { return fg::causal() | fg::alibi(1.0 / double(1 + i)) | fg::softmax(); });
  agrees([](Index i) { return fg::streaming(1, 30 * (i + 1)) | fg::softmax({.sink = double(i)}); });
  agrees([](Index i) { return fg::alibi(0.01 * double(i)) | fg::top_k(3 * i + 1) | fg::softmax(); });
}

TEMPLATE_TEST_CASE("few queries agree with the formula in double precision", "", FILIGREE_TEST_SCALARS) {
  using S = TestType;
  Random random(1603);
  for (int round = 0; round < 10; ++round) {
    const Shape s(random);
    const Matrix<S> q = test::normal<S>(random, s.n, s.count.h * s.d),
                    k = test::normal<S>(random, s.m, s.count.hkv * s.d),
                    v = test::normal<S>(random, s.m, s.count.hkv * s.dv);
    const Matrix<S> out = fg::multi_head(s.count, q, k, v, fg::causal() | fg::softmax());
    for (Index h = 0; h < s.count.h; ++h)
      for (Index i = 0; i < s.n; ++i) {
        const Index j = h / (s.count.h / s.count.hkv), seen = std::max<Index>(s.m - s.n + i + 1, 0);
        Eigen::VectorXd sum = Eigen::VectorXd::Zero(s.dv);
        double total = 0;
        for (Index c = 0; c < seen; ++c) {
          const double score = q.block(i, h * s.d, 1, s.d)
                                   .template cast<double>()
                                   .row(0)
                                   .dot(k.block(c, j * s.d, 1, s.d).template cast<double>().row(0));
          const double w = std::exp(score / std::sqrt(double(s.d)));
          total += w;
          sum += w * v.block(c, j * s.dv, 1, s.dv).template cast<double>().row(0).transpose();
        }
        if (seen > 0) sum /= total;
        const auto row = out.block(i, h * s.dv, 1, s.dv).template cast<double>();
        CHECK((row.transpose() - sum).cwiseAbs().maxCoeff() < (sizeof(S) == 4 ? 1e-5 : 1e-13));
      }
  }
}

TEMPLATE_TEST_CASE("few queries: NaN, infinity and ties", "", FILIGREE_TEST_SCALARS) {
  using S = TestType;
  constexpr S nan = std::numeric_limits<S>::quiet_NaN(), inf = std::numeric_limits<S>::infinity();
  Random random(1604);
  fg::thread_pool two(2);
  const fg::heads count{6, 2};
  for (const Index n : {1, 3, 9}) {
    const Index m = 1300, d = 16, dv = 32;
    const Matrix<S> q = test::normal<S>(random, n, 6 * d), k = test::normal<S>(random, m, 2 * d),
                    v = test::normal<S>(random, m, 2 * dv);
    // Rows that no query attends to.
    const auto seen = fg::streaming(4, 300);
    Matrix<S> bad_k = k, bad_v = v;
    for (Index j = 4; j < m - n - 300; ++j) {
      bad_k.row(j).setConstant(j % 2 == 0 ? nan : inf);
      bad_v.row(j).setConstant(j % 2 == 0 ? inf : nan);
    }
    const auto ignores = [&](const auto& head) {
      const Matrix<S> expected = fg::multi_head(count, q, k, v, head);
      CHECK(same_bits<S>(fg::multi_head(count, q, bad_k, bad_v, head), expected));
      CHECK(same_bits<S>(fg::multi_head(count, q, bad_k, bad_v, head).on(two), expected));
    };
    ignores(seen | fg::softmax());
    ignores(seen | fg::top_k(5) | fg::softmax());
    ignores(seen | fg::sparsemax());
    // Rows that only some of the queries attend to, and scores that are NaN or infinite.
    Matrix<S> some_k = k, some_v = v;
    some_v.row(m - 1).setConstant(inf);
    some_v.row(m - 2).setConstant(nan);
    some_k.row(m - 1).setConstant(nan);
    some_k(700, 3) = inf;
    some_v(20, 5) = -inf;
    const auto agrees = [&](const auto& head) {
      const Matrix<S> expected = heads_alone<S>(count, q, some_k, some_v, [&](Index) { return head; });
      CHECK(test::same(Matrix<S>(fg::multi_head(count, q, some_k, some_v, head)), expected));
      CHECK(test::same(Matrix<S>(fg::multi_head(count, q, some_k, some_v, head).on(two)), expected));
    };
    agrees(fg::causal() | fg::softmax());
    agrees(fg::causal() | fg::top_k(7) | fg::softmax());
    agrees((fg::causal() && !fg::first(100)) | fg::softmax());
    // Equal keys: the lowest columns are kept, whatever the chunks.
    Matrix<S> equal = k;
    for (Index j = 0; j < m; ++j) equal.row(j) = k.row(j % 3);
    const auto tied = fg::top_k(100) | fg::softmax();
    const Matrix<S> ties = heads_alone<S>(count, q, equal, v, [&](Index) { return tied; });
    CHECK(same_bits<S>(fg::multi_head(count, q, equal, v, tied), ties));
    CHECK(same_bits<S>(fg::multi_head(count, q, equal, v, tied).on(two), ties));
    // No key at all for some rows.
    const auto none = (fg::causal() && fg::first(0)) | fg::softmax();
    CHECK((Matrix<S>(fg::multi_head(count, q, k, v, none)).array() == S(0)).all());
    CHECK(!std::signbit(Matrix<S>(fg::multi_head(count, q, k, v, none))(0, 0)));
  }
}

TEST_CASE("few queries read K and V of half and bfloat16") {
  Random random(1605);
  const fg::heads count{8, 2};
  using Half = Eigen::Matrix<Eigen::half, Eigen::Dynamic, Eigen::Dynamic, Eigen::RowMajor>;
  using Bfloat = Eigen::Matrix<Eigen::bfloat16, Eigen::Dynamic, Eigen::Dynamic, Eigen::RowMajor>;
  const Matrix<float> q = test::normal<float>(random, 2, 8 * 20);
  const Half k = test::normal<float>(random, 700, 2 * 20).cast<Eigen::half>();
  const Bfloat v = test::normal<float>(random, 700, 2 * 24).cast<Eigen::bfloat16>();
  const Matrix<float> wide_k = k.cast<float>(), wide_v = v.cast<float>();
  const auto agrees = [&](const auto& head) {
    CHECK(same_bits<float>(fg::multi_head(count, q, k, v, head), fg::multi_head(count, q, wide_k, wide_v, head)));
  };
  agrees(fg::causal() | fg::softmax());
  agrees(fg::top_k(30) | fg::softmax());
}

#if FILIGREE_COUNTS_ALLOCATIONS
TEST_CASE("few queries allocate nothing in the second evaluation") {
  Random random(1606);
  const fg::heads count{8, 2};
  const Matrix<float> q = test::normal<float>(random, 2, 8 * 16), k = test::normal<float>(random, 3000, 2 * 16),
                      v = test::normal<float>(random, 3000, 2 * 32), odd = test::normal<float>(random, 3000, 2 * 5);
  fg::thread_pool two(2);
  const auto check = [&](const auto& head) {
    Matrix<float> out(2, 8 * 32), narrow(2, 8 * 5);
    fg::Workspace workspace, shared;
    const auto a = fg::multi_head(count, q, k, v, head).with(workspace);
    const auto b = fg::multi_head(count, q, k, odd, head).with(workspace);
    const auto c = fg::multi_head(count, q, k, v, head).on(two).with(shared);
    out = a;
    narrow = b;
    CHECK(test::allocated_by([&] { out = a; }) == 0);
    CHECK(test::allocated_by([&] { narrow = b; }) == 0);
    for (int i = 0; i < 10; ++i) out = c;
    long least = 1000;
    for (int i = 0; i < 10 && least > 0; ++i) least = std::min(least, test::allocated_by([&] { out = c; }));
    CHECK(least == 0);
  };
  check(fg::softmax());
  check(fg::streaming(4, 1000) | fg::softmax());
  check(fg::top_k(32) | fg::softmax());
  check(fg::threshold(0.5) | fg::softmax());
}
#endif
