// SPDX-License-Identifier: MIT
#pragma once

#include <Eigen/Core>
#include <cmath>
#include <span>
#include <string>
#include <unordered_map>
#include <vector>

// Probabilities of characters from counts of the text before: the baseline of language models.

/// A model of the next symbol, given the last `order` symbols. It mixes the frequencies after the whole context with
/// those after shorter ones, by the number t of different symbols that followed (Witten and Bell, 1991):
/// P(c | context) = (count(context, c) + t P(c | shorter context)) / (count(context) + t).
class CharacterCounts {
 public:
  CharacterCounts(std::size_t symbols, std::size_t order) : symbols_(symbols), order_(order) {}

  void learn(std::span<const int> text) {
    for (std::size_t i = 0; i < text.size(); ++i)
      for (std::size_t k = 0; k <= std::min(order_, i); ++k) {
        Followers& followers = contexts_[context_of(text, i, k)];
        if (followers.counts.empty()) followers.counts.assign(symbols_, 0);
        followers.different += followers.counts[static_cast<std::size_t>(text[i])]++ == 0 ? 1 : 0;
        ++followers.total;
      }
  }
  /// Returns the probability of symbol i of a text, given the symbols before it.
  [[nodiscard]] double probability(std::span<const int> text, std::size_t i) const {
    double p = 1.0 / static_cast<double>(symbols_);
    for (std::size_t k = 0; k <= std::min(order_, i); ++k) {
      const auto found = contexts_.find(context_of(text, i, k));
      if (found == contexts_.end()) break;
      const Followers& followers = found->second;
      p = (followers.counts[static_cast<std::size_t>(text[i])] + followers.different * p) /
          (followers.total + followers.different);
    }
    return p;
  }

 private:
  struct Followers {
    std::vector<int> counts = {};
    int total = 0, different = 0;
  };
  /// Returns the k symbols before symbol i.
  static std::string context_of(std::span<const int> text, std::size_t i, std::size_t k) {
    std::string context;
    for (std::size_t j = i - k; j < i; ++j) context += static_cast<char>(text[j]);
    return context;
  }

  std::size_t symbols_, order_;
  std::unordered_map<std::string, Followers> contexts_;
};
