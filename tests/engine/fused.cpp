// SPDX-License-Identifier: MIT
// All pipelines that the documentation promises to be fused are computed by a fused engine.
#include <filigree/filigree.hpp>

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

// No selector: softmax after patterns and maps, times values.
static_assert(fused<decltype(fg::softmax())>);
static_assert(fused<decltype(fg::softmax({.sink = 1}))>);
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
static_assert(!fused<decltype(fg::sparsemax())>);
static_assert(!fused<decltype(fg::softmax() | fg::dropout(0.1, 1))>);
static_assert(!fused<decltype(fg::top_p(0.5) | fg::top_k(2))>);
static_assert(!fg::is_fused<decltype(std::declval<M&>() | fg::top_k(2))>);
static_assert(!fg::is_fused<decltype(fg::scores(std::declval<M&>(), std::declval<M&>()))>);

}  // namespace

TEST_CASE("is_fused is a compile-time constant") { SUCCEED(); }
