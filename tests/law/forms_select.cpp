// SPDX-License-Identifier: MIT
// Pipelines with patterns and score maps before top_k, with the types that users write.
#include "law/law.hpp"

using test::law_of_both;

TEST_CASE("the law for causal top_k attention") {
  law_of_both(31, 60, [](auto w) { return w.causal() | w.top_k() | w.softmax(); });
}
TEST_CASE("the law for causal attention to local or global keys") {
  law_of_both(32, 60, [](auto w) { return (w.causal() && (w.window() || w.global())) | w.top_k() | w.softmax(); });
}
TEST_CASE("the law for first and recent keys with softcap and a sink") {
  law_of_both(33, 60,
              [](auto w) { return (w.causal() && (w.first() || w.window())) | w.softcap() | w.top_k() | w.sink(); });
}
TEST_CASE("the law for packed documents") {
  law_of_both(34, 60,
              [](auto w) { return (w.documents() && w.causal()) | w.alibi() | w.top_k() | w.softmax() | w.dropout(); });
}
TEST_CASE("the law for a negated window") {
  law_of_both(35, 60, [](auto w) { return (!w.window()) | w.top_k() | w.normalize_sum(); });
}
