// SPDX-License-Identifier: MIT
// Routers: user-defined routers, their inputs, the number of calls, and the error messages of the built-in routers.
#include <filigree/filigree.hpp>
#include <string>

#include "catch.hpp"
#include "general.hpp"

namespace fg = filigree;
using test::Index;
using test::Matrix;
using filigree::operator|;

namespace {

using M = Matrix<float>;

/// Keeps only the nearest key of each query and lowers its score by 1. Returns a pattern and a map.
struct Nearest {
  using Category = fg::Router;
  int* calls;

  struct Chosen {
    using Category = fg::Pattern;
    std::vector<Index> key;
    bool keeps(Index p, Index j, const fg::Grid& grid) const {
      return key[static_cast<std::size_t>(grid.row(p))] == grid.column(j);
    }
  };
  struct Lower {
    using Category = fg::ScoreMap;
    template <class S>
    S map(S s, Index, Index, const fg::Grid&) const {
      return s - S(1);
    }
  };

  template <class Source>
  auto bind(const Source& source, const fg::detail::Session&) const {
    using S = typename Source::Scalar;
    ++*calls;
    Chosen chosen;
    Eigen::Matrix<S, Eigen::Dynamic, 1> query(source.d()), key(source.d());
    for (Index i = 0; i < source.grid.n; ++i) {
      source.queries.copy(i, query.data());
      Index best = 0;
      S min_distance = std::numeric_limits<S>::infinity();
      for (Index j = 0; j < source.grid.m; ++j) {
        source.keys.copy(j, key.data());
        const S distance = (query - key).squaredNorm();
        if (distance < min_distance) min_distance = distance, best = j;
      }
      chosen.key.push_back(best);
    }
    return std::tuple(chosen, Lower{});
  }
};

/// Counts the preceding stages.
struct CountsBefore {
  using Category = fg::Router;
  int* count;

  template <class Source, class Before>
  fg::Causal bind(const Source&, const fg::detail::Session&, const Before&) const {
    *count = static_cast<int>(std::tuple_size_v<Before>);
    return {};
  }
};

template <class F>
std::string message(F&& f) {
  try {
    f();
  } catch (const fg::Error& error) {
    return error.what();
  }
  return "nothing was thrown";
}

}  // namespace

TEST_CASE("a user-defined router runs once per evaluation and can be reused with route()") {
  test::Random random(421);
  const M q = test::normal<float>(random, 30, 5), k = test::normal<float>(random, 40, 5),
          v = test::normal<float>(random, 40, 3);
  int calls = 0;
  const auto a = fg::scores(q, k) | Nearest{&calls};
  CHECK(calls == 0);
  const M weights = a;
  CHECK(calls == 1);
  const M scores = fg::scores(q, k);
  const auto pipeline = fg::route(a);
  CHECK(calls == 2);
  const auto& chosen = std::get<0>(pipeline.stages);
  for (Index i = 0; i < 30; ++i)
    for (Index j = 0; j < 40; ++j)
      CHECK(weights(i, j) == (j == chosen.key[static_cast<std::size_t>(i)] ? scores(i, j) - 1 : 0));
  CHECK(test::same(M(fg::scores(q, k) | pipeline), weights));

  static_assert(fg::is_fused<decltype(a | fg::softmax())>);
  static_assert(fg::is_fused<decltype(a | fg::top_k(1))>);
  static_assert(fg::is_fused<decltype(a | fg::sparsemax())>);
  const M out = (a | fg::softmax()) * v;
  for (Index i = 0; i < 30; ++i) CHECK(test::same(M(out.row(i)), M(v.row(chosen.key[static_cast<std::size_t>(i)]))));
  // With middleRows, the router reads all queries, and only these rows are computed.
  CHECK(test::same(M((a | fg::softmax()).middleRows(4, 3) * v), M(out.middleRows(4, 3))));
}

TEST_CASE("routers receive the preceding stages after binding") {
  const M q = M::Ones(4, 2), k = M::Ones(5, 2);
  int before = -1, calls = 0;
  (void)fg::route(fg::scores(q, k) | CountsBefore{&before});
  CHECK(before == 0);
  (void)fg::route(fg::scores(q, k) | fg::window(1) | Nearest{&calls} | fg::softmax() | CountsBefore{&before});
  CHECK(before == 4);
  const auto [nearest, causal] = fg::route(fg::scores(q, k) | Nearest{&calls} | CountsBefore{&before});
  static_assert(std::is_same_v<std::remove_cvref_t<decltype(causal)>, fg::Causal>);
  CHECK(std::get<0>(nearest.stages).key.size() == 4);
}

TEST_CASE("routers name an invalid argument") {
  const M q = M::Ones(4, 2), k = M::Ones(5, 2), v = M::Ones(5, 3);
  const auto scores = fg::scores(q, k);
  using Sample = Matrix<Index>;
  CHECK(message([] { (void)fg::prob_sparse(0, 1); }) == "filigree: prob_sparse(c, seed): c must be at least 1, got 0");
  CHECK(message([] { (void)fg::prob_sparse(-1, Sample(Sample::Zero(4, 2))); }) ==
        "filigree: prob_sparse(c, sample): c must be at least 1, got -1");
  CHECK(message([] { (void)fg::prob_sparse(1, Sample(4, 0)); }) ==
        "filigree: prob_sparse(c, sample): sample must have at least 1 column, got 0");
  CHECK(message([] { (void)fg::prob_sparse(1, Sample(Sample::Constant(4, 2, -3))); }) ==
        "filigree: prob_sparse(c, sample): an index must be at least 0, got -3");
  CHECK(message([&] { (void)(scores | fg::prob_sparse(1, Sample(Sample::Constant(4, 2, 5)))); }) ==
        "filigree: prob_sparse(c, sample): an index must be below 5, the number of keys, got 5");
  CHECK(message([&] { (void)(scores | fg::prob_sparse(1, Sample(Sample::Zero(3, 2)))); }) ==
        "filigree: prob_sparse(c, sample): sample has 3 rows and must have one for each query, 4");
  CHECK(message([&] { (void)(fg::scores(k, q) | fg::route(scores | fg::prob_sparse(1, 2))); }) ==
        "filigree: route(A): its rows were chosen among 4 queries, but the scores have 5");
  CHECK(message([] { (void)fg::block_top_k(0, 1); }) == "filigree: block_top_k(b, k): b must be at least 1, got 0");
  CHECK(message([] { (void)fg::block_top_k(4, 0); }) == "filigree: block_top_k(b, k): k must be at least 1, got 0");
  CHECK(message([&] { (void)(fg::scores(k, q) | fg::route(scores | fg::block_top_k(2, 2))); }) ==
        "filigree: route(A): its blocks were chosen for 4x5 scores with key_at = 0, these are 5x4 with key_at = 0");
  CHECK(message([&] { (void)(scores | fg::block_top_k(2, 2).always(fg::given(M(M::Ones(2, 2)).sparseView()))); }) ==
        "filigree: given(S): S is 2x2 and must have the shape of the scores, 4x5");
}
