// SPDX-License-Identifier: MIT
// Pipelines that the general evaluator computes, with the types that users write.
#include "law/law.hpp"

using test::law_of_both;

TEST_CASE("the law for softmax without a pattern") {
  law_of_both(51, 60, [](auto w) { return w.softmax(); });
}
TEST_CASE("the law for top_p") {
  law_of_both(52, 60, [](auto w) { return w.causal() | w.top_p() | w.softmax(); });
}
TEST_CASE("the law for n:m pruning of scores") {
  law_of_both(53, 60, [](auto w) { return w.prune_n_m() | w.drop_lowest() | w.softmax(); });
}
TEST_CASE("the law for a selector after a normalizer") {
  law_of_both(54, 60, [](auto w) { return w.window() | w.softmax() | w.top_k() | w.normalize_sum(); });
}
TEST_CASE("the law for a softmax of a softmax") {
  law_of_both(55, 60, [](auto w) { return w.softmax() | w.causal() | w.softmax(); });
}
TEST_CASE("the law for hard_threshold and soft_threshold on scores") {
  law_of_both(56, 60, [](auto w) { return w.hard_threshold() | w.soft_threshold() | w.sparsemax(); });
}
