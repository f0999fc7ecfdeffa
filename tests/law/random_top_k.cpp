// SPDX-License-Identifier: MIT
// Random expressions around top_k, through the fused engine.
#include "law/law.hpp"

using test::law_of_both;

TEST_CASE("top_k alone") {
  law_of_both(1, 100, [](auto w) { return w.top_k(); });
}
TEST_CASE("top_k and what follows") {
  law_of_both(2, 200, [](auto w) { return w.top_k() | w.tail(); });
}
TEST_CASE("pattern, top_k") {
  law_of_both(3, 300, [](auto w) { return w.pattern() | w.top_k() | w.tail(); });
}
