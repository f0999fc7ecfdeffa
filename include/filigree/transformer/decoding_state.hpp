// SPDX-License-Identifier: MIT
#pragma once

#include <cstddef>
#include <string>
#include <tuple>
#include <vector>

#include "filigree/attention/multi_head_cache.hpp"
#include "filigree/core/check.hpp"
#include "filigree/pattern/patterns_of.hpp"
#include "filigree/run/routed.hpp"

namespace filigree::detail {

/// The keys and values of the tokens of one sequence that a Decoder has computed, for each layer with attention.
template <Real S>
class DecodingState {
 public:
  explicit DecodingState(Index capacity) : capacity_(capacity) {}

  /// Begins a pass. Layers then ask for their caches in their order.
  void begin() { next_ = 0; }
  /// Returns the cache of the next layer. The first pass makes it.
  KeyValueCache<S>& next_cache(Index hkv, Index width) {
    if (next_ == caches_.size()) caches_.emplace_back(hkv, width, width, cache_options{.capacity = capacity_});
    return caches_[next_++];
  }
  [[nodiscard]] std::vector<KeyValueCache<S>>& caches() { return caches_; }
  [[nodiscard]] const std::vector<KeyValueCache<S>>& caches() const { return caches_; }

 private:
  Index capacity_;
  std::size_t next_ = 0;
  std::vector<KeyValueCache<S>> caches_;
};

/// Throws an Error unless the weights of each token depend only on the tokens up to it. Patterns are checked at the
/// first 64 positions.
template <Real S, class Stages>
void require_decodable(const Stages& stages) {
  require(!has_router<Stages>,
          "Decoder: attention must not have a router, such as prob_sparse or block_top_k, since it chooses by all "
          "tokens of a sequence");
  constexpr Index n = 64;
  const Grid all{.n = n, .m = n, .query_at = 0, .key_at = 0};
  try {
    std::apply([&](const auto&... stage) { (check_for<S>(stage, all), ...); }, stages);
  } catch (const Error& error) {
    throw Error(std::string("filigree: Decoder: a stage of attention is for scores of one shape: ") + error.what());
  }
  const auto pattern = patterns_of(stages);
  for (Index p = 0; p < n; ++p) {
    const Grid last{.n = 1, .m = p + 1, .query_at = p, .key_at = 0};
    for (Index j = 0; j < n; ++j) {
      const bool kept = keeps(pattern, p, j, all);
      require(j <= p || !kept, "Decoder: attention must be causal, but token ", p, " attends to token ", j,
              "; begin the pipeline with causal() and a pattern");
      require(j > p || kept == keeps(pattern, p, j, last),
              "Decoder: the keys that a pattern keeps must not depend on the length of the sequence, but token ", p,
              kept ? " attends to token " : " does not attend to token ", j, " in a sequence of ", n, " tokens only");
    }
  }
}

}  // namespace filigree::detail
