// SPDX-License-Identifier: MIT
// Gradients of pipelines that are computed tile by tile.
#include "law/reverse.hpp"

using test::reverse_law_of_both;

TEST_CASE("the law in reverse for softmax") {
  reverse_law_of_both(301, 200, [](auto w) { return w.sink(); });
  reverse_law_of_both(302, 200, [](auto w) { return w.any_map() | w.softmax(); });
}
TEST_CASE("the law in reverse for pattern, softmax") {
  reverse_law_of_both(303, 250, [](auto w) { return w.pattern() | w.softmax(); });
  reverse_law_of_both(304, 150, [](auto w) { return w.pattern() | w.any_map() | w.any_map() | w.sink(); });
}
TEST_CASE("the law in reverse for dropout after softmax") {
  reverse_law_of_both(305, 100, [](auto w) { return w.softmax() | w.dropout(); });
  reverse_law_of_both(306, 150, [](auto w) { return w.pattern() | w.alibi() | w.softmax() | w.dropout(); });
}
