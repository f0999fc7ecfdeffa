// SPDX-License-Identifier: MIT
// Pipelines with score maps between patterns, with the types that users write.
#include "law/law.hpp"

using test::law_of_both;

TEST_CASE("the law for a bias, a pattern and top_k") {
  law_of_both(41, 60, [](auto w) { return w.bias() | w.same_block() | w.top_k() | w.sparsemax(); });
}
TEST_CASE("the law for a relative bias after a sparse matrix as pattern") {
  law_of_both(42, 60, [](auto w) { return w.given() | w.relative_bias() | w.top_k() | w.entmax15(); });
}
TEST_CASE("the law for two maps, a pattern and a threshold") {
  law_of_both(43, 60, [](auto w) { return w.map() | w.alibi() | w.causal() | w.threshold() | w.softmax(); });
}
TEST_CASE("the law for a where pattern and relu without a normalizer") {
  law_of_both(44, 60, [](auto w) { return (w.where() || w.first()) | w.relu(); });
}
TEST_CASE("the law for softcap and alibi before softmax") {
  law_of_both(45, 60, [](auto w) { return w.causal() | w.softcap() | w.alibi() | w.softmax(); });
}
TEST_CASE("the law for a bias, a map and a relative bias before softmax") {
  law_of_both(46, 60, [](auto w) { return w.bias() | w.map() | w.relative_bias() | w.softmax(); });
}
