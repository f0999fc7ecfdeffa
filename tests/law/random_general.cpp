// SPDX-License-Identifier: MIT
// Any stages in any order, which the general evaluator alone can run.
#include "law/law.hpp"

TEST_CASE("any stages on scores") {
  test::law_of_both(21, 300, [](auto w) { return w.anything(); });
}
TEST_CASE("any stages on a dense source") {
  test::dense_law_of_both(22, 300, [](auto w) { return w.anything(); });
}
TEST_CASE("stages before and after one that works on the whole matrix") {
  test::dense_law_of_both(23, 60, [](auto w) { return w.anything() | w.winner_take_all(); });
  test::dense_law_of_both(24, 60, [](auto w) { return w.any_map() | w.prune_magnitude() | w.tail(); });
  test::dense_law_of_both(25, 60, [](auto w) { return w.pattern() | w.batch_top_k() | w.softmax(); });
}
