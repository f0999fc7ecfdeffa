// SPDX-License-Identifier: MIT
// Random patterns and maps before softmax, computed by the block engine.
#include "law/law.hpp"

using test::law_of_both;

TEST_CASE("the law for pattern, softmax") {
  law_of_both(61, 700, [](auto w) { return w.pattern() | w.softmax(); });
}
TEST_CASE("the law for pattern, map, pattern, softmax") {
  law_of_both(62, 400, [](auto w) { return w.pattern() | w.any_map() | w.pattern() | w.softmax(); });
}
TEST_CASE("the law for map, map, softmax") {
  law_of_both(63, 200, [](auto w) { return w.any_map() | w.any_map() | w.softmax(); });
}
TEST_CASE("the law for patterns with their own types, softmax") {
  law_of_both(64, 60, [](auto w) { return (w.window() || w.global()) | w.softmax(); });
  law_of_both(65, 60, [](auto w) { return (w.causal() && (w.strided() || w.window())) | w.alibi() | w.softmax(); });
  law_of_both(69, 400, [](auto w) { return (w.strided() && w.window()) | w.softmax(); });
  law_of_both(70, 400, [](auto w) { return w.any_map() | w.dilated_window() | w.any_map() | w.softmax(); });
  law_of_both(71, 400, [](auto w) { return (w.documents() || (w.global() && w.strided())) | w.softmax(); });
  law_of_both(66, 60, [](auto w) { return (w.blocks() && !w.columns()) | w.softmax(); });
  law_of_both(67, 60, [](auto w) { return (w.random_keys() || w.neighborhood()) | w.softmax(); });
  law_of_both(68, 60, [](auto w) { return w.documents() | w.relative_bias() | w.softmax(); });
}
