// SPDX-License-Identifier: MIT
// Random patterns before stages other than softmax, and scattered patterns before any stages. The engine for gathered
// keys computes them.
#include "law/law.hpp"

using test::law_of_both;

TEST_CASE("the law for pattern, normalizer") {
  law_of_both(91, 300, [](auto w) { return w.pattern() | w.sparsemax(); });
  law_of_both(92, 200, [](auto w) { return w.pattern() | w.any_map() | w.entmax15(); });
  law_of_both(93, 200, [](auto w) { return w.any_map() | w.pattern() | w.normalize_sum(); });
  law_of_both(94, 200, [](auto w) { return w.pattern() | w.top_p() | w.softmax(); });
}
TEST_CASE("the law for normalizers that weigh only scores close to the maximum") {
  law_of_both(100, 150, [](auto w) { return w.sparsemax() | w.dropout(); });
  law_of_both(101, 150, [](auto w) { return w.any_map() | w.entmax15(); });
}
TEST_CASE("the law for dropout after softmax") {
  law_of_both(102, 150, [](auto w) { return w.softmax() | w.dropout(); });
  law_of_both(103, 200, [](auto w) { return w.pattern() | w.any_map() | w.sink() | w.dropout(); });
}
TEST_CASE("the law for scattered patterns") {
  law_of_both(95, 150, [](auto w) { return w.strided() | w.softmax(); });
  law_of_both(96, 150, [](auto w) { return (w.random_keys() && w.causal()) | w.alibi() | w.sparsemax(); });
  law_of_both(97, 150, [](auto w) { return (w.columns() || w.strided()) | w.top_k() | w.softmax(); });
  law_of_both(98, 150, [](auto w) { return (w.window() || w.random_keys()) | w.any_map() | w.softmax(); });
  law_of_both(99, 150, [](auto w) { return (w.strided() && !w.random_keys()) | w.entmax15(); });
}
