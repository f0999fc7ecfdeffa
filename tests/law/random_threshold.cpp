// SPDX-License-Identifier: MIT
// Random pipelines with threshold, computed by a fused engine.
#include "law/law.hpp"

using test::law_of_both;

TEST_CASE("the law for threshold") {
  law_of_both(11, 150, [](auto w) { return w.threshold() | w.tail(); });
}
TEST_CASE("the law for pattern, threshold") {
  law_of_both(12, 200, [](auto w) { return w.pattern() | w.threshold() | w.tail(); });
}
TEST_CASE("the law for map, pattern, relu") {
  law_of_both(13, 100, [](auto w) { return w.any_map() | w.pattern() | w.relu() | w.tail(); });
}
