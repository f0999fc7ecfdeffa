// SPDX-License-Identifier: MIT
// Expressions as users write them, in their own types: maps between patterns.
#include "law/law.hpp"

using test::law_of_both;

TEST_CASE("bias, then a pattern, then top_k") {
  law_of_both(41, 60, [](auto w) { return w.bias() | w.same_block() | w.top_k() | w.sparsemax(); });
}
TEST_CASE("relative bias under a given pattern") {
  law_of_both(42, 60, [](auto w) { return w.given() | w.relative_bias() | w.top_k() | w.entmax15(); });
}
TEST_CASE("two maps and a threshold") {
  law_of_both(43, 60, [](auto w) { return w.map() | w.alibi() | w.causal() | w.threshold() | w.softmax(); });
}
TEST_CASE("where, relu, raw scores") {
  law_of_both(44, 60, [](auto w) { return (w.where() || w.first()) | w.relu(); });
}
