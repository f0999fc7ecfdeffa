// SPDX-License-Identifier: MIT
// The chosen blocks: scorers, masked blocks, forced blocks, ties and NaN.
#include "routers.hpp"

namespace fg = filigree;
using test::Index;
using test::Matrix;
using test::Random;

namespace {

using M = Matrix<float>;
using Blocks = Matrix<Index>;

template <class Stages>
inline constexpr bool fused =
    fg::is_fused<decltype(fg::scores(std::declval<const M&>(), std::declval<const M&>()) | std::declval<Stages>())>;
using Router = fg::BlockTopK<>;
static_assert(fused<decltype(Router() | fg::softmax())>);
static_assert(fused<decltype(fg::causal() | Router() | fg::softmax())>);
static_assert(fused<decltype(Router() | fg::causal() | fg::softmax())>);
static_assert(fused<decltype(fg::causal() | Router().always(fg::same_block(4)) | fg::alibi(1) | fg::softmax())>);
static_assert(
    fused<decltype(fg::causal() | fg::block_top_k(4, 2, fg::min_max_bound()) | fg::top_k(3) | fg::softmax())>);
static_assert(fused<decltype(Router() | fg::sparsemax() | fg::dropout(0.1, 1))>);

Blocks blocks(std::initializer_list<std::initializer_list<Index>> rows) {
  Blocks result(static_cast<Index>(rows.size()), static_cast<Index>(rows.begin()->size()));
  Index i = 0;
  for (const auto& row : rows) {
    Index e = 0;
    for (const Index block : row) result(i, e++) = block;
    ++i;
  }
  return result;
}

}  // namespace

TEMPLATE_TEST_CASE("block_top_k agrees with its definition", "", FILIGREE_TEST_SCALARS) {
  using S = TestType;
  Random random(431);
  for (int number = 0; number < 60; ++number) {
    const Index n = random.between(1, 60), m = random.between(1, 200), d = random.between(1, 20);
    const Index b = random.between(1, 40), k = random.between(1, 6), key_at = random.between(-50, 50);
    const Matrix<S> q = test::numbers<S>(random, n, d, test::any_kind(random)),
                    keys = test::numbers<S>(random, m, d, test::any_kind(random));
    const auto scores = fg::scores(q, keys, {.scale = -2.0, .key_at = key_at});
    CAPTURE(number, n, m, d, b, k, key_at);
    const oracle::Table table(n, m, key_at + m - n, key_at, sizeof(S) == 4);
    const auto check = [&](const fg::ChosenBlocks& chosen, bool bound, const oracle::Predicate& visible,
                           const oracle::Predicate& forced) {
      const Blocks got = chosen.blocks();
      for (Index i = 0; i < n; ++i) {
        const auto expected = test::chosen_blocks(q, keys, i, table, b, k, bound, visible, forced);
        REQUIRE(std::vector<Index>(got.row(i).begin(), got.row(i).begin() + chosen.count(i)) == expected);
      }
    };
    check(fg::route(scores | fg::block_top_k(b, k)), false, test::everything(), test::nothing());
    check(fg::route(scores | fg::block_top_k(b, k, fg::min_max_bound())), true, test::everything(), test::nothing());
    check(fg::route(scores | fg::causal() | fg::block_top_k(b, k) | fg::softmax()), false, oracle::causal(),
          test::nothing());
    check(fg::route(scores | fg::causal() | fg::alibi(1) | fg::block_top_k(b, k).always(fg::same_block(b))), false,
          oracle::causal(), oracle::same_block(b));
    check(fg::route(scores | fg::block_top_k(b, k).always(fg::strided(7))), false, test::everything(),
          oracle::strided(7));
  }
}

TEST_CASE("block_top_k keeps no future block, always keeps forced blocks and breaks ties by index") {
  const M q = M::Ones(6, 1);
  M k(6, 1);
  k << 1, 1, 5, 5, 9, 9;
  const auto scores = fg::scores(q, k);
  CHECK(fg::route(scores | fg::block_top_k(2, 1)).blocks() == Blocks(Blocks::Constant(6, 1, 2)));
  CHECK(fg::route(scores | fg::causal() | fg::block_top_k(2, 1)).blocks() == blocks({{0}, {0}, {1}, {1}, {2}, {2}}));
  k << 9, 9, 5, 5, 1, 1;
  CHECK(fg::route(scores | fg::causal() | fg::block_top_k(2, 2).always(fg::same_block(2))).blocks() ==
        blocks({{0, -1}, {0, -1}, {0, 1}, {0, 1}, {0, 2}, {0, 2}}));
  // Forced blocks count toward k, and are kept even if there are more than k.
  CHECK(fg::route(scores | fg::block_top_k(2, 1).always(fg::same_block(2) || fg::first(1))).blocks() ==
        blocks({{0, -1}, {0, -1}, {0, 1}, {0, 1}, {0, 2}, {0, 2}}));
  k.setOnes();
  CHECK(fg::route(scores | fg::block_top_k(2, 2)).blocks() == Blocks(blocks({{0, 1}}).replicate(6, 1)));
  CHECK(fg::route(scores | fg::block_top_k(2, 9)).blocks() == Blocks(blocks({{0, 1, 2}}).replicate(6, 1)));
}

TEST_CASE("min_max_bound is an upper bound of the scores of a block") {
  Random random(432);
  const M q = test::normal<float>(random, 20, 6), k = test::normal<float>(random, 64, 6);
  const auto chosen = fg::route(fg::scores(q, k) | fg::block_top_k(8, 1, fg::min_max_bound())).blocks();
  for (Index i = 0; i < 20; ++i) {
    std::vector<double> bounds;
    for (Index c = 0; c < 8; ++c) {
      double sum = 0;
      for (Index f = 0; f < 6; ++f) {
        const auto column = k.block(8 * c, f, 8, 1).cast<double>();
        sum += std::max(q(i, f) * column.minCoeff(), q(i, f) * column.maxCoeff());
      }
      bounds.push_back(sum);
      CHECK(sum >= (k.middleRows(8 * c, 8) * q.row(i).transpose()).cast<double>().maxCoeff() - 1e-5);
    }
    CHECK(chosen(i, 0) == std::max_element(bounds.begin(), bounds.end()) - bounds.begin());
  }
}

TEST_CASE("a block with NaN ranks first and makes the rows that attend to it NaN") {
  Random random(433);
  const M q = test::normal<float>(random, 12, 4), v = test::normal<float>(random, 40, 3);
  M k = test::normal<float>(random, 40, 4);
  k(21, 2) = std::numeric_limits<float>::quiet_NaN();
  const auto check = [&](const auto& router) {
    const auto a = fg::scores(q, k) | router | fg::softmax();
    const Blocks chosen = fg::route(a).blocks();
    const M out = a * v;
    for (Index i = 0; i < 12; ++i) {
      CHECK((chosen.row(i).array() == 4).any());
      CHECK((out.row(i).array() != out.row(i).array()).all());
    }
  };
  check(fg::block_top_k(5, 2));
  check(fg::block_top_k(5, 2, fg::min_max_bound()));
  const auto a =
      fg::scores(q, k) | !fg::first(20) | fg::block_top_k(5, 1).always(fg::first(32) && !fg::first(30)) | fg::softmax();
  const M out = a * v;
  CHECK((out.array() == out.array()).all());  // only the forced block is kept
  k(21, 2) = std::numeric_limits<float>::infinity();
  const Blocks first = fg::route(fg::scores(q, k) | fg::block_top_k(5, 1, fg::min_max_bound())).blocks();
  CHECK((first.array() == 4).all());
}

TEMPLATE_TEST_CASE("middleRows, threads, heads and packed keys give the same bits", "", FILIGREE_TEST_SCALARS) {
  using S = TestType;
  Random random(434);
  const Matrix<S> q = test::normal<S>(random, 300, 16), k = test::normal<S>(random, 400, 16),
                  v = test::normal<S>(random, 400, 10);
  const auto head = fg::causal() | fg::block_top_k(16, 3).always(fg::same_block(16)) | fg::softmax();
  const auto a = fg::scores(q, k) | head;
  const Matrix<S> whole = a * v;
  for (const int threads : {2, 5}) {
    fg::thread_pool pool(threads);
    REQUIRE(test::same(Matrix<S>(a.on(pool) * v), whole));
  }
  for (const auto& [first, count] : {std::pair<Index, Index>{0, 1}, {120, 5}, {200, 100}})
    REQUIRE(test::same(Matrix<S>(a.middleRows(first, count) * v), Matrix<S>(whole.middleRows(first, count))));
  REQUIRE(test::same(Matrix<S>((fg::scores(q, fg::pack(k)) | head) * v), whole));
  const Matrix<S> all = fg::multi_head(fg::heads{2}, q, k, v, head);
  for (Index h = 0; h < 2; ++h) {
    const auto part = [&](const auto& x) { return x.middleCols(h * x.cols() / 2, x.cols() / 2); };
    REQUIRE(test::same(Matrix<S>((fg::scores(part(q), part(k)) | head) * part(v)), Matrix<S>(part(all))));
  }
}

TEST_CASE("block_top_k works without queries and without keys") {
  for (const auto& [n, m] : {std::pair<Index, Index>{0, 5}, {5, 0}, {0, 0}, {1, 1}}) {
    const M q = M::Ones(n, 3), k = M::Ones(m, 3), v = M::Ones(m, 2);
    const M out = (fg::scores(q, k) | fg::block_top_k(4, 2).always(fg::same_block(4)) | fg::softmax()) * v;
    CHECK(test::same(out, M(M::Constant(n, 2, m > 0 ? 1.0F : 0.0F))));
  }
}
