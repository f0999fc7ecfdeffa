// SPDX-License-Identifier: MIT
// Pipelines on a dense source, with the types that users write.
#include "law/law.hpp"

using test::dense_law_of_both;

TEST_CASE("the law for top_k on each row of a matrix") {
  dense_law_of_both(61, 80, [](auto w) { return w.top_k() | w.relu(); });
}
TEST_CASE("the law for thresholds on a matrix") {
  dense_law_of_both(62, 80, [](auto w) { return w.soft_threshold() | w.threshold(); });
}
TEST_CASE("the law for n:m pruning of a matrix") {
  dense_law_of_both(63, 80, [](auto w) { return w.prune_n_m(); });
}
TEST_CASE("the law for masked softmax of a matrix") {
  dense_law_of_both(64, 80,
                    [](auto w) { return (w.causal() || w.global()) | w.softcap() | w.softmax() | w.dropout(); });
}
TEST_CASE("the law for two matrix stages") {
  dense_law_of_both(65, 80, [](auto w) { return w.winner_take_all() | w.relu() | w.batch_top_k(); });
}
TEST_CASE("the law for prune_magnitude after a pattern") {
  dense_law_of_both(66, 80, [](auto w) { return w.window() | w.prune_magnitude() | w.entmax15(); });
}
