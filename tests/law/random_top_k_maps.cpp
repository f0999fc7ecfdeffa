// SPDX-License-Identifier: MIT
// Random pipelines with patterns and maps in every order before top_k.
#include "law/law.hpp"

using test::law_of_both;

TEST_CASE("the law for map, top_k") {
  law_of_both(4, 150, [](auto w) { return w.any_map() | w.top_k() | w.tail(); });
}
TEST_CASE("the law for pattern, map, top_k") {
  law_of_both(5, 150, [](auto w) { return w.pattern() | w.any_map() | w.top_k() | w.tail(); });
}
TEST_CASE("the law for map, pattern, map, top_k") {
  law_of_both(6, 100, [](auto w) { return w.any_map() | w.pattern() | w.any_map() | w.top_k() | w.tail(); });
}
