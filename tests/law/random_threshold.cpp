// SPDX-License-Identifier: MIT
// Random expressions around threshold, through the fused engine.
#include "law/law.hpp"

using test::law_of_both;

TEST_CASE("threshold") {
  law_of_both(11, 150, [](auto w) { return w.threshold() | w.tail(); });
}
TEST_CASE("pattern, threshold") {
  law_of_both(12, 200, [](auto w) { return w.pattern() | w.threshold() | w.tail(); });
}
TEST_CASE("map, pattern, relu") {
  law_of_both(13, 100, [](auto w) { return w.any_map() | w.pattern() | w.relu() | w.tail(); });
}
