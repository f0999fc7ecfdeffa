// SPDX-License-Identifier: MIT
// The keys that match each query by hashing, against a slow reference, and the resulting attention.
#include <filigree/filigree.hpp>
#include <numeric>

#include "catch.hpp"
#include "general.hpp"
#include "inputs.hpp"

namespace fg = filigree;
using test::Index;
using test::Matrix;
using test::Random;

namespace {

/// Returns the number of times that query i matches key c, computed from the buckets only.
Matrix<Index> match_counts(const Matrix<Index>& queries, const Matrix<Index>& keys, Index chunk) {
  const Index n = queries.rows(), rounds = queries.cols(), chunks = (n + chunk - 1) / chunk;
  const auto chunk_of = [&](const Matrix<Index>& buckets, Index i, Index h) {
    Index before = 0;
    for (Index o = 0; o < n; ++o)
      before += buckets(o, h) < buckets(i, h) || (buckets(o, h) == buckets(i, h) && o < i) ? 1 : 0;
    return h * chunks + before / chunk;
  };
  Matrix<Index> count = Matrix<Index>::Zero(n, n);
  for (Index i = 0; i < n; ++i)
    for (Index h = 0; h < rounds; ++h) {
      const Index own = chunk_of(queries, i, h), before = (own + rounds * chunks - 1) % (rounds * chunks);
      for (Index c = 0; c < n; ++c)
        for (Index g = 0; g < rounds; ++g) {
          const Index other = chunk_of(keys, c, g);
          count(i, c) += other == own || other == before ? 1 : 0;
        }
    }
  return count;
}

template <class S>
Matrix<S> reference_attention(const Matrix<S>& q, const Matrix<S>& k, const Matrix<S>& v,
                              const Matrix<double>& weight) {
  const Matrix<double> s = q.template cast<double>() * k.template cast<double>().transpose() /
                           std::sqrt(static_cast<double>(std::max<Index>(q.cols(), 1)));
  Matrix<double> w = (s.array() - (s.size() > 0 ? s.maxCoeff() : 0)).exp() * weight.array();
  for (Index i = 0; i < w.rows(); ++i)
    if (w.row(i).sum() > 0) w.row(i) /= w.row(i).sum();
  return (w * v.template cast<double>()).template cast<S>();
}

template <class S>
constexpr double tolerance = sizeof(S) == 4 ? 1e-5 : 1e-13;

}  // namespace

TEMPLATE_TEST_CASE("lsh agrees with its definition for chunks of sorted buckets", "", FILIGREE_TEST_SCALARS) {
  using S = TestType;
  Random random(941);
  fg::thread_pool pool(3);
  for (int number = 0; number < 60; ++number) {
    const Index n = random.between(1, 90), d = random.between(1, 9), rounds = random.between(1, 4);
    const Index buckets = 2 * random.between(1, 6), chunk = random.between(1, 20);
    const auto seed = static_cast<std::uint64_t>(number);
    const Matrix<S> q = test::normal<S>(random, n, d), k = test::normal<S>(random, n, d),
                    v = test::normal<S>(random, n, 5);
    CAPTURE(n, d, rounds, buckets, chunk);
    const auto router = fg::lsh(rounds, buckets, chunk, seed);
    const auto a = fg::scores(q, k) | router | fg::softmax();
    static_assert(fg::is_fused<decltype(a)>);
    const auto [keys, counts] = fg::route(a).stages;
    const Matrix<Index> expected = match_counts(keys.query_buckets(), keys.key_buckets(), chunk);
    for (Index i = 0; i < n; ++i)
      for (Index c = 0; c < n; ++c) {
        REQUIRE(keys.count(i, c) == expected(i, c));
        REQUIRE(keys.keeps(i, c, fg::Grid{.n = n, .m = n}) == (expected(i, c) > 0));
      }
    const Matrix<S> out = a * v;
    REQUIRE((out - reference_attention<S>(q, k, v, expected.template cast<double>())).cwiseAbs().maxCoeff() <
            tolerance<S>);
    REQUIRE(test::same(Matrix<S>(a.on(pool) * v), out));
    REQUIRE(test::same(Matrix<S>(a.middleRows(n / 2, n - n / 2) * v), Matrix<S>(out.bottomRows(n - n / 2))));
    const auto again = fg::scores(q, k) | fg::route(a) | fg::softmax();
    REQUIRE(test::same(Matrix<S>(again * v), out));

    const Matrix<double> once = (expected.array() > 0).template cast<double>();
    const auto distinct = fg::scores(q, k) | router.distinct() | fg::softmax();
    static_assert(fg::is_fused<decltype(distinct)>);
    REQUIRE((Matrix<S>(distinct * v) - reference_attention<S>(q, k, v, once)).cwiseAbs().maxCoeff() < tolerance<S>);

    Matrix<double> causal = expected.template cast<double>();
    for (Index i = 0; i < n; ++i) causal.row(i).tail(n - 1 - i).setZero();
    const Matrix<S> late = (fg::scores(q, k) | router | fg::causal() | fg::softmax()) * v;
    const Matrix<S> early = (fg::scores(q, k) | fg::causal() | router | fg::softmax()) * v;
    REQUIRE((late - reference_attention<S>(q, k, v, causal)).cwiseAbs().maxCoeff() < tolerance<S>);
    REQUIRE((early - late).cwiseAbs().maxCoeff() < tolerance<S>);

    const auto shared = fg::route(fg::scores(q, q) | fg::causal() | router.shared() | fg::softmax()).stages;
    const Matrix<Index> own = match_counts(keys.query_buckets(), keys.query_buckets(), chunk);
    for (Index i = 0; i < n; ++i) {
      Index others = own.row(i).head(i).sum();
      REQUIRE(std::get<0>(shared).count(i, i) == (others > 0 ? 0 : own(i, i)));
      for (Index c = 0; c < i; ++c) REQUIRE(std::get<0>(shared).count(i, c) == own(i, c));
    }

    // A token attends to itself only if no preceding key matches.
    Matrix<double> weight = own.template cast<double>();
    for (Index i = 0; i < n; ++i) {
      weight.row(i).tail(n - 1 - i).setZero();
      if (weight.row(i).head(i).sum() > 0) weight(i, i) = 0;
    }
    const Matrix<S> tokens = (fg::scores(q, q) | fg::causal() | router.shared() | fg::softmax()) * v;
    REQUIRE((tokens - reference_attention<S>(q, q, v, weight)).cwiseAbs().maxCoeff() < tolerance<S>);
    const Matrix<S> tokens_once = (fg::scores(q, q) | fg::causal() | router.shared().distinct() | fg::softmax()) * v;
    weight = weight.cwiseMin(1);
    REQUIRE((tokens_once - reference_attention<S>(q, q, v, weight)).cwiseAbs().maxCoeff() < tolerance<S>);
  }
}

// Maps after the router are applied to scores to which the counts are already added.
TEMPLATE_TEST_CASE("maps and patterns before and after lsh agree with the general evaluator", "",
                   FILIGREE_TEST_SCALARS) {
  using S = TestType;
  Random random(944);
  const Index n = 333;
  const Matrix<S> q = test::normal<S>(random, n, 8), k = test::normal<S>(random, n, 8),
                  v = test::normal<S>(random, n, 5);
  const auto agrees = [&](const auto& pipeline) {
    const auto a = fg::scores(q, k) | pipeline;
    static_assert(fg::is_fused<decltype(a)>);
    const Matrix<S> out = a * v;
    REQUIRE((out - test::general_product(a, v)).cwiseAbs().maxCoeff() < tolerance<S>);
    fg::thread_pool pool(3);
    REQUIRE(test::same(Matrix<S>(a.on(pool) * v), out));
    for (const Index i : {0, 170, 332}) REQUIRE(test::same(Matrix<S>(a.middleRows(i, 1) * v), Matrix<S>(out.row(i))));
    const auto attended = fg::attend(a, v);
    REQUIRE(test::same(attended.out, out));
  };
  const auto router = fg::lsh(3, 6, 40, 9);
  agrees(fg::softcap(2) | fg::alibi(0.01) | router | fg::softmax({.sink = 1}));
  agrees(router | fg::softcap(2) | fg::softmax());
  agrees(fg::causal() | router | fg::window(100) | fg::alibi(0.01) | fg::softmax());
  agrees(router.distinct() | fg::causal() | fg::softcap(2) | fg::softmax());
  agrees(fg::random(200, 1) | router | fg::softmax());  // an expensive pattern
  agrees(fg::window(150) | router.shared().distinct() | fg::alibi(0.01) | fg::softmax());
}

TEMPLATE_TEST_CASE("a bucket is the argmax over the rotated features", "", FILIGREE_TEST_SCALARS) {
  using S = TestType;
  Random random(942);
  const Index n = 200, d = 6, rounds = 3, half = 4;
  const Matrix<S> q = test::normal<S>(random, n, d), k = test::normal<S>(random, n, d);
  const Matrix<double> rotations = test::normal<double>(random, d, rounds * half);
  const auto keys = fg::route(fg::scores(q, k) | fg::lsh(rounds, 2 * half, 16, rotations).distinct() | fg::softmax());
  const auto check = [&](const Matrix<S>& x, const Matrix<Index>& buckets) {
    for (Index i = 0; i < n; ++i)
      for (Index h = 0; h < rounds; ++h) {
        const Eigen::RowVectorXd rotated = x.row(i).template cast<double>() * rotations.middleCols(h * half, half);
        const Index b = buckets(i, h);
        const double value = b < half ? rotated[b] : -rotated[b - half];
        REQUIRE(value >= rotated.cwiseAbs().maxCoeff() - 1e-5);
      }
  };
  check(q, keys.query_buckets());
  check(k, keys.key_buckets());
}

TEST_CASE("lsh: non-finite values affect only their own row and the rows that attend to them") {
  Random random(943);
  Matrix<float> q = test::normal<float>(random, 40, 4), k = q, v = test::normal<float>(random, 40, 3);
  q(7, 2) = std::numeric_limits<float>::quiet_NaN();
  v.row(11).setConstant(std::numeric_limits<float>::infinity());
  const auto a = fg::scores(q, k) | fg::lsh(2, 4, 5, 1) | fg::softmax();
  const auto [keys, counts] = fg::route(a).stages;
  const Matrix<float> out = a * v;
  for (Index i = 0; i < 40; ++i) {
    INFO(i);
    CHECK(out.row(i).hasNaN() == (i == 7));
    CHECK(out.row(i).allFinite() == (i != 7 && keys.count(i, 11) == 0));
  }
}

TEST_CASE("lsh accepts a chunk longer than the sequence, and count() any index") {
  Random random(945);
  const Matrix<float> q = test::normal<float>(random, 20, 4), v = test::normal<float>(random, 20, 3);
  const auto a = fg::scores(q, q) | fg::lsh(1, 4, (std::numeric_limits<Index>::max)(), 1) | fg::softmax();
  const auto all = fg::scores(q, q) | fg::softmax();
  CHECK((Matrix<float>(a * v) - Matrix<float>(all * v)).cwiseAbs().maxCoeff() < 1e-6F);
  const auto keys = std::get<0>(fg::route(a).stages);
  for (const Index c : {Index(-1), Index(20), (std::numeric_limits<Index>::max)()}) {
    CHECK(keys.count(3, c) == 0);
    CHECK(keys.count(c, 3) == 0);
    CHECK(!keys.keeps(3, c, fg::Grid{.n = 20, .m = 20}));
  }
}

TEST_CASE("lsh names an invalid argument") {
  const Matrix<float> q = Matrix<float>::Ones(4, 3), k = Matrix<float>::Ones(5, 3);
  CHECK_THROWS_WITH(fg::lsh(0, 2, 1, 1), contains("rounds must be at least 1, got 0"));
  CHECK_THROWS_WITH(fg::lsh(1, 3, 1, 1), contains("buckets must be even and positive, got 3"));
  CHECK_THROWS_WITH(fg::lsh(1, 2, 0, 1), contains("chunk must be at least 1, got 0"));
  CHECK_THROWS_WITH(fg::lsh(2, 4, 1, Matrix<float>::Ones(3, 3)), contains("has 3 columns and must have"));
  CHECK_THROWS_WITH(fg::scores(q, k) | fg::lsh(1, 2, 1, 1) | fg::softmax(),
                    contains("as many queries as keys, got 4 and 5"));
  const auto a = fg::scores(q, q) | fg::lsh(1, 4, 1, Matrix<float>::Ones(2, 2)) | fg::softmax();
  CHECK_THROWS_WITH(Matrix<float>(a * q), contains("rotations has 2 rows and must have d = 3"));
}
