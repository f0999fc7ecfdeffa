// SPDX-License-Identifier: MIT
// Gradients of pipelines that select.
#include "law/reverse.hpp"

using test::reverse_law_of_both;

TEST_CASE("the law in reverse for top_k") {
  reverse_law_of_both(311, 100, [](auto w) { return w.top_k() | w.softmax(); });
  reverse_law_of_both(312, 100, [](auto w) { return w.pattern() | w.any_map() | w.top_k() | w.entmax15(); });
}
TEST_CASE("the law in reverse for other selectors") {
  reverse_law_of_both(313, 80, [](auto w) { return w.threshold() | w.any_map() | w.sink(); });
  reverse_law_of_both(314, 60, [](auto w) { return w.top_p() | w.softmax(); });
  reverse_law_of_both(315, 60, [](auto w) { return w.pattern() | w.drop_lowest() | w.softmax() | w.dropout(); });
}
