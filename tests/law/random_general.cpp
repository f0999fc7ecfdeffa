// SPDX-License-Identifier: MIT
// Random stages in random order, which only the general evaluator can compute.
#include "law/law.hpp"

TEST_CASE("the law for random stages on scores") {
  test::law_of_both(21, 300, [](auto w) { return w.anything(); });
}
TEST_CASE("the law for random stages on a matrix") {
  test::dense_law_of_both(22, 300, [](auto w) { return w.anything(); });
}
TEST_CASE("the law for random stages before and after a matrix stage") {
  test::dense_law_of_both(23, 60, [](auto w) { return w.anything() | w.winner_take_all(); });
  test::dense_law_of_both(24, 60, [](auto w) { return w.any_map() | w.prune_magnitude() | w.tail(); });
  test::dense_law_of_both(25, 60, [](auto w) { return w.pattern() | w.batch_top_k() | w.softmax(); });
}
