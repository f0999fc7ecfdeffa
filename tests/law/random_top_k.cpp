// SPDX-License-Identifier: MIT
// Random pipelines with top_k, computed by a fused engine.
#include "law/law.hpp"

using test::law_of_both;

TEST_CASE("the law for top_k") {
  law_of_both(1, 100, [](auto w) { return w.top_k(); });
}
TEST_CASE("the law for top_k, random stages") {
  law_of_both(2, 200, [](auto w) { return w.top_k() | w.tail(); });
}
TEST_CASE("the law for pattern, top_k") {
  law_of_both(3, 300, [](auto w) { return w.pattern() | w.top_k() | w.tail(); });
}
