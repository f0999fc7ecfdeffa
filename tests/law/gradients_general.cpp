// SPDX-License-Identifier: MIT
// Gradients of pipelines that neither select nor end in softmax, and of those that select after a normalizer.
#include "law/reverse.hpp"

using test::reverse_law_of_both;

TEST_CASE("the law in reverse for pattern, normalizer") {
  reverse_law_of_both(321, 80, [](auto w) { return w.pattern() | w.sparsemax(); });
  reverse_law_of_both(322, 60, [](auto w) { return w.any_map() | w.entmax15() | w.dropout(); });
  reverse_law_of_both(323, 60, [](auto w) { return w.pattern() | w.entmax(); });
}
TEST_CASE("the law in reverse for weights that are scores") {
  reverse_law_of_both(324, 60, [](auto w) { return w.pattern() | w.softcap(); });
}
TEST_CASE("the law in reverse for selectors after softmax") {
  reverse_law_of_both(325, 60, [](auto w) { return w.softmax() | w.top_k(); });
}
TEST_CASE("the law in reverse for scattered patterns") {
  reverse_law_of_both(326, 60, [](auto w) { return w.strided() | w.softmax(); });
  reverse_law_of_both(327, 60, [](auto w) { return (w.columns() || w.strided()) | w.top_k() | w.softmax(); });
}
