// SPDX-License-Identifier: MIT
// Pipelines with routers. The selection of a router must agree with its reference implementation.
#include "routers.hpp"

using test::law_of_both;
using test::ProbSparseTwins;
using test::Twin;
namespace fg = filigree;

TEST_CASE("the law for prob_sparse in fused pipelines") {
  law_of_both(201, 250, [](auto w, const auto& q, const auto& k) {
    return ProbSparseTwins{w, q, k}.stage() | w.softmax();
  });
  law_of_both(202, 250, [](auto w, const auto& q, const auto& k) {
    auto router = ProbSparseTwins{w, q, k}.stage();
    return w.causal() | router | w.sink();
  });
  law_of_both(203, 250, [](auto w, const auto& q, const auto& k) {
    auto router = ProbSparseTwins{w, q, k}.stage();
    return w.window() | router | w.pattern() | w.softmax();
  });
  law_of_both(204, 200, [](auto w, const auto& q, const auto& k) {
    auto router = ProbSparseTwins{w, q, k}.stage();
    return router | (w.random_keys() || w.causal()) | w.softmax();
  });
  law_of_both(205, 200, [](auto w, const auto& q, const auto& k) {
    return w.pattern() | ProbSparseTwins{w, q, k}.summing();
  });
}
TEST_CASE("the law for prob_sparse between other stages") {
  law_of_both(206, 150, [](auto w, const auto& q, const auto& k) {
    auto router = ProbSparseTwins{w, q, k}.stage();
    return w.any_map() | router | w.any_map() | w.tail();
  });
  law_of_both(207, 150, [](auto w, const auto& q, const auto& k) {
    auto router = ProbSparseTwins{w, q, k}.stage();
    return w.causal() | router | w.top_k() | w.softmax();
  });
  law_of_both(208, 100, [](auto w, const auto& q, const auto& k) {
    return w.anything() | ProbSparseTwins{w, q, k}.stage();
  });
}

namespace {

template <class S>
struct Blocks {
  test::Words<S>& w;
  fg::Index b = w.random.between(1, w.random.chance(0.5) ? 9 : 70), k = w.random.between(1, 5);
  std::string text() const { return test::call("block_top_k", {double(b), double(k)}); }
};
template <class S>
Blocks(test::Words<S>&) -> Blocks<S>;

}  // namespace

TEST_CASE("the law for block_top_k") {
  law_of_both(211, 200, [](auto w, const auto& q, const auto& k) {
    const Blocks blocks{w};
    auto word = fg::block_top_k(blocks.b, blocks.k);
    return Twin<decltype(word)>{word,
                                test::keep_blocks(q, k, blocks.b, blocks.k, false, test::everything(), test::nothing()),
                                blocks.text()} |
           w.softmax();
  });
  law_of_both(212, 200, [](auto w, const auto& q, const auto& k) {
    const Blocks blocks{w};
    auto word = fg::block_top_k(blocks.b, blocks.k, fg::min_max_bound()).always(fg::same_block(blocks.b));
    return w.causal() |
           Twin<decltype(word)>{
               word, test::keep_blocks(q, k, blocks.b, blocks.k, true, oracle::causal(), oracle::same_block(blocks.b)),
               "MoBA " + blocks.text()} |
           w.softmax();
  });
  law_of_both(213, 200, [](auto w, const auto& q, const auto& k) {
    const Blocks blocks{w};
    const auto pattern = w.pattern();
    const auto window = w.window();
    const auto forced = w.pattern();
    auto word = fg::block_top_k(blocks.b, blocks.k).always(forced.word);
    return pattern | w.any_map() | window |
           Twin<decltype(word)>{
               word, test::keep_blocks(q, k, blocks.b, blocks.k, false, (pattern && window).keeps, forced.keeps),
               blocks.text() + " always " + forced.text} |
           w.pattern() | w.softmax();
  });
  law_of_both(214, 100, [](auto w, const auto& q, const auto& k) {
    const Blocks blocks{w};
    auto word = fg::block_top_k(blocks.b, blocks.k);
    return Twin<decltype(word)>{word,
                                test::keep_blocks(q, k, blocks.b, blocks.k, false, test::everything(), test::nothing()),
                                blocks.text()} |
           w.causal() | w.top_k() | w.sparsemax();
  });
}
TEST_CASE("the law for two routers") {
  law_of_both(221, 100, [](auto w, const auto& q, const auto& k) {
    const Blocks blocks{w};
    auto word = fg::block_top_k(blocks.b, blocks.k);
    auto lazy = ProbSparseTwins{w, q, k}.stage();
    return Twin<decltype(word)>{word,
                                test::keep_blocks(q, k, blocks.b, blocks.k, false, test::everything(), test::nothing()),
                                blocks.text()} |
           lazy | w.softmax();
  });
}
