// SPDX-License-Identifier: MIT
// Expressions as users write them, in their own types, that the general evaluator runs.
#include "law/law.hpp"

using test::law_of_both;

TEST_CASE("scores alone") {
  law_of_both(51, 60, [](auto w) { return w.softmax(); });
}
TEST_CASE("nucleus sampling of keys") {
  law_of_both(52, 60, [](auto w) { return w.causal() | w.top_p() | w.softmax(); });
}
TEST_CASE("structured pruning of scores") {
  law_of_both(53, 60, [](auto w) { return w.prune_n_m() | w.drop_lowest() | w.softmax(); });
}
TEST_CASE("a selector after the normalizer") {
  law_of_both(54, 60, [](auto w) { return w.window() | w.softmax() | w.top_k() | w.normalize_sum(); });
}
TEST_CASE("softmax over softmax") {
  law_of_both(55, 60, [](auto w) { return w.softmax() | w.causal() | w.softmax(); });
}
TEST_CASE("shrinking") {
  law_of_both(56, 60, [](auto w) { return w.hard_threshold() | w.soft_threshold() | w.sparsemax(); });
}
