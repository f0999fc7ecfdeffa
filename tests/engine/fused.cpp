// SPDX-License-Identifier: MIT
// All pipelines that the documentation promises to be fused are computed by a fused engine, and each form of pipeline
// by the engine that is written for it.
#include <filigree/filigree.hpp>
#include <sstream>

#include "catch.hpp"
#include "inputs.hpp"

namespace fg = filigree;

namespace {

using M = test::Matrix<float>;

template <class Stages>
using OnScores = decltype(fg::scores(std::declval<const M&>(), std::declval<const M&>()) | std::declval<Stages>());
template <class Stages>
using Product = decltype(std::declval<OnScores<Stages>>() * std::declval<const M&>());
template <class Stages>
inline constexpr bool fused =
    fg::is_fused<OnScores<Stages>>&& fg::is_fused<Product<Stages>>&& fg::is_fused<const OnScores<Stages>&>;

template <class Before, class After>
constexpr bool with_both_selectors() {
  using B = Before;
  using A = After;
  return fused<decltype(std::declval<B>() | fg::top_k(2) | std::declval<A>())> &&
         fused<decltype(std::declval<B>() | fg::threshold(2) | std::declval<A>())> &&
         fused<decltype(std::declval<B>() | fg::relu() | std::declval<A>())> &&
         fused<decltype(std::declval<B>() | fg::top_k(2) | std::declval<A>() | fg::dropout(0.1, 1))>;
}
template <class Before>
constexpr bool with_every_normalizer() {
  using B = Before;
  return fused<decltype(std::declval<B>() | fg::top_k(2))> && fused<decltype(std::declval<B>() | fg::threshold(2))> &&
         with_both_selectors<B, decltype(fg::softmax())>() &&
         with_both_selectors<B, decltype(fg::softmax({.sink = 1}))>() &&
         with_both_selectors<B, decltype(fg::sparsemax())>() && with_both_selectors<B, decltype(fg::entmax15())>() &&
         with_both_selectors<B, decltype(fg::normalize_sum())>();
}

using Bias = decltype(fg::bias(std::declval<const M&>()));
using Relative = decltype(fg::relative_bias(std::declval<const Eigen::VectorXf&>()));
using Square = decltype(fg::map([](float s, fg::Index, fg::Index) { return s * s; }));
using Parity = decltype(fg::where([](fg::Index p, fg::Index j) { return (p + j) % 2 == 0; }));
using Given = decltype(fg::given(std::declval<const Eigen::SparseMatrix<float>&>()));
using Documents = decltype(fg::documents(std::declval<const std::vector<int>&>()));

// No pattern and no map.
static_assert(fused<decltype(fg::top_k(2))>);
static_assert(fused<decltype(fg::threshold(0.5))>);
static_assert(fused<decltype(fg::relu())>);
static_assert(fused<decltype(fg::top_k(2) | fg::softmax())>);
static_assert(fused<decltype(fg::top_k(2) | fg::softmax() | fg::dropout(0.1, 1))>);
static_assert(fused<decltype(fg::threshold(2) | fg::normalize_sum() | fg::dropout(0.1, 1))>);

// Every pattern.
static_assert(with_every_normalizer<decltype(fg::causal())>());
static_assert(with_every_normalizer<decltype(fg::window(2, 3))>());
static_assert(fused<decltype(fg::first(3) | fg::top_k(2) | fg::softmax())>);
static_assert(fused<decltype(fg::global({0}) | fg::top_k(2) | fg::softmax())>);
static_assert(fused<decltype(fg::same_block(3) | fg::top_k(2) | fg::softmax())>);
static_assert(fused<decltype(std::declval<Documents>() | fg::top_k(2) | fg::softmax())>);
static_assert(fused<decltype(std::declval<Parity>() | fg::top_k(2) | fg::softmax())>);
static_assert(fused<decltype(std::declval<Given>() | fg::threshold(2) | fg::softmax())>);
static_assert(with_every_normalizer<decltype(fg::causal() && (fg::window(2) || !fg::global({0})))>());

// Every map.
static_assert(with_every_normalizer<decltype(fg::softcap(2))>());
static_assert(fused<decltype(fg::alibi(2) | fg::top_k(2) | fg::softmax())>);
static_assert(fused<decltype(std::declval<Bias>() | fg::top_k(2) | fg::softmax())>);
static_assert(fused<decltype(std::declval<Relative>() | fg::top_k(2) | fg::softmax())>);
static_assert(fused<decltype(std::declval<Square>() | fg::threshold(2) | fg::softmax())>);

// Patterns and maps together, in any order.
static_assert(with_every_normalizer<decltype(fg::causal() | fg::softcap(2) | fg::alibi(1))>());
static_assert(with_every_normalizer<decltype(fg::alibi(1) | fg::causal() | fg::softcap(2) | fg::window(3))>());

// Packed keys and expressions as operands.
static_assert(fg::is_fused<decltype(fg::scores(std::declval<M&>(), fg::pack(std::declval<M&>())) | fg::top_k(2))>);
static_assert(fg::is_fused<decltype(fg::scores(std::declval<M&>() * 2, std::declval<M&>().topRows(2), 0.5) |
                                    fg::top_k(2) | fg::softmax())>);
static_assert(
    fg::is_fused<decltype(fg::scores(std::declval<Eigen::MatrixXd&>(), std::declval<Eigen::MatrixXd&>(), {.scale = 2}) |
                          fg::top_k(2))>);

// A normalizer that weighs only scores close to the maximum of a row.
static_assert(fused<decltype(fg::sparsemax())>);
static_assert(fused<decltype(fg::entmax15() | fg::dropout(0.1, 1))>);
static_assert(fused<decltype(fg::causal() | fg::softcap(2) | fg::entmax(1.5))>);

// No selector: softmax after patterns and maps, times values.
static_assert(fused<decltype(fg::softmax())>);
static_assert(fused<decltype(fg::softmax({.sink = 1}))>);
static_assert(fg::is_fused<Product<decltype(fg::softmax() | fg::dropout(0.1, 1))>>);
static_assert(fused<decltype(fg::causal() | fg::softmax())>);
static_assert(fused<decltype(fg::alibi(2) | fg::causal() | fg::softcap(3) | fg::softmax())>);
static_assert(fused<decltype(std::declval<Bias>() | std::declval<Given>() | fg::softmax())>);
static_assert(fused<decltype(fg::longformer(8, {0}) | fg::softmax())>);
static_assert(fused<decltype(fg::bigbird(8, 2, 1) | fg::softmax())>);
static_assert(fused<decltype(fg::sparse_transformer_strided(8) | fg::softmax())>);
static_assert(fused<decltype(fg::sparse_transformer_fixed(8, 1) | fg::softmax())>);
static_assert(fused<decltype(fg::streaming(4, 8) | fg::softmax())>);
static_assert(fused<decltype(fg::neighborhood(8) | fg::softmax())>);
static_assert(fused<decltype(fg::dilated_window(8, 2) | fg::softmax())>);
static_assert(fused<decltype(fg::random(8, 2) | fg::softmax())>);

// Not fused: another normalizer, a stage after softmax, another kind of selector first, a dense source.
static_assert(!fused<decltype(fg::normalize_sum())>);
static_assert(!fused<decltype(fg::softmax() | fg::dropout(0.1, 1) | fg::dropout(0.1, 2))>);
static_assert(!fused<decltype(fg::top_p(0.5) | fg::top_k(2))>);
static_assert(!fg::is_fused<decltype(std::declval<M&>() | fg::top_k(2))>);
static_assert(!fg::is_fused<decltype(fg::scores(std::declval<M&>(), std::declval<M&>()))>);

// Which engine computes A and which computes A * V.
using Kind = fg::EngineKind;
template <class Stages>
constexpr bool runs(Kind rows, Kind product) {
  return fg::engine_of<OnScores<Stages>> == rows && fg::engine_of<Product<Stages>> == product;
}
template <class Stages>
constexpr bool runs(Kind both) {
  return runs<Stages>(both, both);
}

static_assert(runs<decltype(fg::softmax())>(Kind::general, Kind::online_softmax));
static_assert(runs<decltype(fg::softcap(3) | fg::softmax())>(Kind::general, Kind::online_softmax));
static_assert(runs<decltype(fg::softcap(3))>(Kind::general));
static_assert(runs<decltype(fg::normalize_sum())>(Kind::general));
static_assert(runs<decltype(fg::top_p(0.5) | fg::top_k(2))>(Kind::general));
static_assert(runs<decltype(fg::causal())>(Kind::gathered));
static_assert(runs<decltype(fg::causal() | fg::normalize_sum())>(Kind::gathered));
static_assert(runs<decltype(fg::causal() | fg::top_p(0.5) | fg::top_k(2))>(Kind::gathered));
static_assert(runs<decltype(fg::softmax() | fg::dropout(0.1, 1))>(Kind::general, Kind::online_softmax));
static_assert(runs<decltype(fg::causal() | fg::softmax() | fg::dropout(0.1, 1))>(Kind::gathered, Kind::online_softmax));
static_assert(runs<decltype(fg::softmax() | fg::dropout(0.1, 1) | fg::dropout(0.1, 2))>(Kind::general));
static_assert(runs<decltype(fg::strided(8) | fg::softmax() | fg::dropout(0.1, 1))>(Kind::gathered,
                                                                                   Kind::online_softmax_or_gathered));
static_assert(runs<decltype(fg::causal() | fg::softmax())>(Kind::gathered, Kind::online_softmax));
static_assert(runs<decltype(fg::alibi(1) | fg::bigbird(8, 0, 1) | fg::softmax())>(Kind::gathered,
                                                                                  Kind::online_softmax_or_gathered));
static_assert(runs<decltype(fg::random(8, 2) | fg::softmax())>(Kind::gathered, Kind::online_softmax_or_gathered));
static_assert(runs<decltype(fg::strided(8) | fg::softmax())>(Kind::gathered, Kind::strided_softmax));
static_assert(runs<decltype((fg::window(2) || fg::strided(8)) | fg::softmax())>(Kind::gathered, Kind::strided_softmax));
static_assert(runs<decltype(fg::softcap(3) | fg::dilated_window(8, 2) | fg::softmax())>(Kind::gathered,
                                                                                        Kind::strided_softmax));
static_assert(runs<decltype((fg::strided(8) || fg::strided(9)) | fg::softmax())>(Kind::gathered,
                                                                                 Kind::online_softmax_or_gathered));
static_assert(runs<decltype((fg::random(8, 2) || fg::strided(9)) | fg::softmax())>(Kind::gathered,
                                                                                   Kind::online_softmax_or_gathered));
static_assert(runs<decltype(fg::top_k(2))>(Kind::selection));
static_assert(runs<decltype(fg::causal() | fg::threshold(2) | fg::softmax())>(Kind::selection));
static_assert(runs<decltype(fg::sparsemax())>(Kind::selection));
static_assert(runs<decltype(fg::causal() | fg::entmax15() | fg::dropout(0.1, 1))>(Kind::selection));
static_assert(runs<decltype(fg::softcap(3) | fg::entmax(1.25))>(Kind::selection));
static_assert(runs<decltype(fg::random(8, 2) | fg::sparsemax())>(Kind::selection_or_gathered));
static_assert(runs<decltype(fg::top_p(0.5) | fg::sparsemax())>(Kind::general));
static_assert(runs<decltype(fg::strided(8) | fg::relu())>(Kind::selection_or_gathered));

// Routers: the engine of the stages that replace them.
static_assert(runs<decltype(fg::block_top_k(8, 2) | fg::softmax())>(Kind::gathered, Kind::online_softmax_or_gathered));
static_assert(runs<decltype(fg::block_top_k(8, 2) | fg::top_k(2))>(Kind::selection_or_gathered));
static_assert(runs<decltype(fg::causal() | fg::lsh(2, 8, 4, 1) | fg::softmax())>(Kind::gathered,
                                                                                 Kind::partitioned_softmax));
static_assert(runs<decltype(fg::lsh(2, 8, 4, 1).distinct() | fg::softcap(3) | fg::softmax())>(
    Kind::gathered, Kind::partitioned_softmax));
// Keys that count several times are counted after all maps, and random() is expensive to evaluate for each pair.
static_assert(runs<decltype(fg::lsh(2, 8, 4, 1) | fg::softcap(3) | fg::softmax())>(Kind::gathered,
                                                                                   Kind::online_softmax_or_gathered));
static_assert(runs<decltype(fg::random(8, 2) | fg::lsh(2, 8, 4, 1) | fg::softmax())>(Kind::gathered,
                                                                                     Kind::online_softmax_or_gathered));
static_assert(runs<decltype(fg::prob_sparse(2, 1) | fg::softmax())>(Kind::general, Kind::lazy_rows));
static_assert(runs<decltype(fg::causal() | fg::prob_sparse(2, 1) | fg::softmax() | fg::lazy_sum())>(Kind::gathered,
                                                                                                    Kind::lazy_rows));
static_assert(runs<decltype(fg::prob_sparse(2, 1) | fg::softcap(3) | fg::softmax())>(Kind::general,
                                                                                     Kind::online_softmax));
static_assert(!fused<decltype(fg::prob_sparse(2, 1) | fg::softcap(3) | fg::softmax())>);

// Dense sources, heads and other operands.
static_assert(fg::engine_of<decltype(std::declval<M&>() | fg::top_k(2))> == Kind::dense_rows);
static_assert(fg::engine_of<decltype(std::declval<M&>() | fg::winner_take_all(0.5))> == Kind::whole_matrix);
static_assert(fg::engine_of<decltype(fg::multi_head(fg::heads{2}, std::declval<M&>(), std::declval<M&>(),
                                                    std::declval<M&>(), fg::causal() | fg::softmax()))> ==
              Kind::online_softmax);
static_assert(
    fg::engine_of<const decltype(fg::scores(std::declval<M&>(), fg::pack(std::declval<M&>())) | fg::top_k(2))&> ==
    Kind::selection);

}  // namespace

TEST_CASE("each engine has a name that is printed") {
  std::ostringstream out;
  out << fg::engine_of<Product<decltype(fg::softmax())>> << ", " << fg::engine_of<OnScores<decltype(fg::causal())>>;
  CHECK(out.str() == "online softmax, gathered");
  for (int kind = 0; kind <= static_cast<int>(Kind::lazy_rows); ++kind)
    CHECK_FALSE(fg::name_of(static_cast<Kind>(kind)).empty());
}

TEST_CASE("is_fused is a compile-time constant") { SUCCEED(); }
