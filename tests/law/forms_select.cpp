// SPDX-License-Identifier: MIT
// Expressions as users write them, in their own types: the patterns and maps before top_k and threshold.
#include "law/law.hpp"

using test::law_of_both;

TEST_CASE("causal top_k attention") {
  law_of_both(31, 60, [](auto w) { return w.causal() | w.top_k() | w.softmax(); });
}
TEST_CASE("causal and local or global") {
  law_of_both(32, 60, [](auto w) { return (w.causal() && (w.window() || w.global())) | w.top_k() | w.softmax(); });
}
TEST_CASE("sinks and recent keys, soft-capped") {
  law_of_both(33, 60,
              [](auto w) { return (w.causal() && (w.first() || w.window())) | w.softcap() | w.top_k() | w.sink(); });
}
TEST_CASE("packed documents") {
  law_of_both(34, 60,
              [](auto w) { return (w.documents() && w.causal()) | w.alibi() | w.top_k() | w.softmax() | w.dropout(); });
}
TEST_CASE("everything but the query itself") {
  law_of_both(35, 60, [](auto w) { return (!w.window()) | w.top_k() | w.normalize_sum(); });
}
