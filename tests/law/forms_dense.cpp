// SPDX-License-Identifier: MIT
// The same words on a dense source, in their own types.
#include "law/law.hpp"

using test::dense_law_of_both;

TEST_CASE("top_k per row") {
  dense_law_of_both(61, 80, [](auto w) { return w.top_k() | w.relu(); });
}
TEST_CASE("thresholds") {
  dense_law_of_both(62, 80, [](auto w) { return w.soft_threshold() | w.threshold(); });
}
TEST_CASE("prune n of m") {
  dense_law_of_both(63, 80, [](auto w) { return w.prune_n_m(); });
}
TEST_CASE("masked softmax of a matrix") {
  dense_law_of_both(64, 80,
                    [](auto w) { return (w.causal() || w.global()) | w.softcap() | w.softmax() | w.dropout(); });
}
TEST_CASE("whole matrices, one after another") {
  dense_law_of_both(65, 80, [](auto w) { return w.winner_take_all() | w.relu() | w.batch_top_k(); });
}
TEST_CASE("magnitudes of a masked matrix") {
  dense_law_of_both(66, 80, [](auto w) { return w.window() | w.prune_magnitude() | w.entmax15(); });
}
