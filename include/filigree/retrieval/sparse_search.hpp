// SPDX-License-Identifier: MIT
#pragma once

#include <Eigen/Core>

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <functional>
#include <limits>

#include "filigree/core/concepts.hpp"
#include "filigree/core/list.hpp"
#include "filigree/retrieval/sparse_index.hpp"

namespace filigree::detail {

/// A document and its score.
struct Hit {
  std::int32_t document;
  float score;

  /// True if this hit precedes the other one in a ranking: larger scores first, then lower documents.
  [[nodiscard]] bool precedes(const Hit& other) const {
    return score > other.score || (score == other.score && document < other.document);
  }
};

/// What a search keeps: the k best hits, or all with scores above a threshold.
class Hits {
 public:
  Hits(Index k, float above) : k_(k), above_(above) {}

  /// Only scores above this limit are added. It increases while better hits are found.
  [[nodiscard]] float limit() const {
    return k_ > 0 && list_.size() == k_ ? (std::max)(list_[0].score, above_) : above_;
  }
  [[nodiscard]] Index wanted() const { return k_; }
  void add(const Hit& hit) {
    if (k_ == 0) {  // no limit of the number
      if (hit.score > above_) list_.push_back(hit);
      return;
    }
    if (list_.size() < k_) {
      list_.push_back(hit);
      std::push_heap(list_.begin(), list_.end(), precedes);
    } else if (hit.precedes(list_[0])) {
      std::pop_heap(list_.begin(), list_.end(), precedes);
      list_.back() = hit;
      std::push_heap(list_.begin(), list_.end(), precedes);
    }
  }
  /// Returns the hits in the order of the ranking.
  List<Hit>& sorted() {
    std::sort(list_.begin(), list_.end(), precedes);
    return list_;
  }

 private:
  static bool precedes(const Hit& a, const Hit& b) { return a.precedes(b); }

  Index k_;  // 0 if all hits above the threshold are kept
  float above_;
  List<Hit> list_;  // a heap, whose first entry is the last of the ranking
};

/// The search of one worker, which uses its memory for one query after another.
///
/// It computes the scores of one block of documents after another. In a block, the terms of the query are sorted by
/// the largest amount that each can add to a score. The sums of the first terms are computed, until the sum of the
/// remaining bounds is too small for a document without the first terms to enter the result. Documents whose sums
/// are large enough are candidates. Scores of candidates are computed again: in double, in ascending order of
/// the terms. The sums in float only choose candidates, with a margin for their rounding.
class SparseSearch {
 public:
  explicit SparseSearch(const SparseIndex& index) : contents_{index} {}

  void start() { terms_.clear(); }
  /// Adds a term of the query; terms must ascend.
  void add_term(Index term, float weight) {
    const Index first = contents_.first_run(term), last = contents_.first_run(term + 1);
    if (weight != 0 && first < last) terms_.push_back({first, last, weight});
  }
  void run(Hits& hits) {
    sums_.assign(SparseIndex::block, 0.0F);
    marks_.assign(SparseIndex::block, char(0));
    for (;;) {
      std::int32_t block = (std::numeric_limits<std::int32_t>::max)();
      for (const Term& term : terms_)
        if (term.run < term.last) block = (std::min)(block, contents_.run(term.run).block);
      if (block == (std::numeric_limits<std::int32_t>::max)()) return;
      enter(block);
      search_block(block, hits);
    }
  }

 private:
  struct Term {
    Index run, last;
    float weight;
  };
  /// The part of a term that is in the current block.
  struct Active {
    Index begin, end;
    const float* dense;  // the dense copy, or null
    float weight;
    double bound;  // of what it adds to a score, at least 0
  };

  /// Lists the terms that are in the block.
  void enter(std::int32_t block) {
    active_.clear();
    order_.clear();
    double magnitude = 0;
    for (Term& term : terms_) {
      if (term.run == term.last || contents_.run(term.run).block != block) continue;
      const auto& run = contents_.run(term.run);
      const double q = static_cast<double>(term.weight);
      const double a = q * static_cast<double>(run.low), b = q * static_cast<double>(run.high);
      magnitude += (std::max)(std::abs(a), std::abs(b));
      order_.push_back(active_.size());
      active_.push_back({contents_.first_posting(term.run), contents_.first_posting(term.run + 1),
                         contents_.dense(term.run), term.weight, (std::max)((std::max)(a, b), 0.0)});
      ++term.run;
    }
    std::sort(order_.begin(), order_.end(), [&](Index a, Index b) {
      return active_[a].bound > active_[b].bound || (active_[a].bound == active_[b].bound && a < b);
    });
    // Each of the T products and sums has a relative error of at most 2^-23 of the sum of magnitudes, or underflows.
    const auto count = static_cast<double>(active_.size());
    constexpr double epsilon = static_cast<double>(std::numeric_limits<float>::epsilon());
    constexpr double tiny = static_cast<double>((std::numeric_limits<float>::min)());
    margin_ = (count + 2) * (epsilon * magnitude + 2 * tiny);
    overflows_ = magnitude > static_cast<double>((std::numeric_limits<float>::max)()) / 4;
  }

  void search_block(std::int32_t block, Hits& hits) {
    const double limit = static_cast<double>(hits.limit());
    // The last terms in the order are left out while a document that has only them cannot enter the result.
    Index used = order_.size();
    double rest = 0;
    Index rest_postings = 0;
    if (!overflows_)
      for (; used > 0; --used) {
        const Active& term = active_[order_[used - 1]];
        if (!(rest + term.bound + margin_ < limit)) break;
        rest += term.bound;
        rest_postings += term.dense != nullptr ? SparseIndex::block / 8 : term.end - term.begin;
      }
    if (used == 0) return;
    const double needed = limit - rest - margin_;
    if (overflows_) return search_marked(block, needed, hits);
    if (!(needed > 0)) {
      if (!search_first(block, hits)) search_marked(block, needed, hits);
      return;
    }
    for (Index t = 0; t < used; ++t) accumulate<false>(active_[order_[t]]);
    // A search in a list costs as much as `lookup` postings. With too many candidates, all terms are added.
    constexpr Index lookup = 16;
    const Index rest_terms = order_.size() - used;
    if (!scan(round_down(needed), rest_terms > 0 ? rest_postings / (lookup * rest_terms) : SparseIndex::block)) {
      for (Index t = used; t < order_.size(); ++t) accumulate<false>(active_[order_[t]]);
      scan(round_down(limit - margin_), SparseIndex::block);
    }
    add_candidates(block, hits);
    std::fill(sums_.begin(), sums_.end(), 0.0F);
  }

  /// Searches a block without a limit from preceding blocks, if its sums give one that is positive. Documents without a
  /// term of the query, whose sums are 0, are then no candidates. Returns false if there is no such limit.
  bool search_first(std::int32_t block, Hits& hits) {
    const Index k = hits.wanted();
    if (k < 1 || k > SparseIndex::block / chunk) return false;
    for (const Active& term : active_) accumulate<false>(term);
    // The k-th largest of the maxima of chunks is at most the k-th largest sum.
    values_.clear();
    for (Index first = 0; first < SparseIndex::block; first += chunk) values_.push_back(largest(first));
    std::nth_element(values_.begin(), values_.begin() + (k - 1), values_.end(), std::greater<>());
    const double needed = static_cast<double>(values_[k - 1]) - 3 * margin_;
    const bool found = needed > 0;
    if (found) {
      scan(round_down(needed), SparseIndex::block);
      add_candidates(block, hits);
    }
    std::fill(sums_.begin(), sums_.end(), 0.0F);
    return found;
  }

  /// Searches a block of which any document with a term of the query may enter the result.
  void search_marked(std::int32_t block, double needed, Hits& hits) {
    for (const Active& term : active_) accumulate<true>(term);
    candidates_.clear();
    for (Index i = 0; i < SparseIndex::block; ++i)
      if (marks_[i] != 0) candidates_.push_back(static_cast<std::int32_t>(i));
    if (!overflows_) {
      // The k-th largest sum is a limit too.
      if (const Index k = hits.wanted(); k > 0 && candidates_.size() > k) {
        values_.clear();
        for (const std::int32_t i : candidates_) values_.push_back(sums_[i]);
        std::nth_element(values_.begin(), values_.begin() + (k - 1), values_.end(), std::greater<>());
        needed = (std::max)(needed, static_cast<double>(values_[k - 1]) - 3 * margin_);
      }
      const auto end = std::remove_if(candidates_.begin(), candidates_.end(),
                                      [&](std::int32_t i) { return static_cast<double>(sums_[i]) < needed; });
      candidates_.resize(end - candidates_.begin());
    }
    add_candidates(block, hits);
    std::fill(sums_.begin(), sums_.end(), 0.0F);
    std::fill(marks_.begin(), marks_.end(), char(0));
  }

  template <bool mark>
  void accumulate(const Active& term) {
    const std::uint16_t* const offsets = contents_.offsets();
    const float* const weights = contents_.weights();
    float* const sums = sums_.data();
    char* const marks = marks_.data();
    const float q = term.weight;
    if constexpr (!mark)
      if (term.dense != nullptr) {
        using Block = Eigen::Array<float, SparseIndex::block, 1>;
        Eigen::Map<Block>{sums} += q * Eigen::Map<const Block>(term.dense);
        return;
      }
    for (Index e = term.begin; e < term.end; ++e) {
      sums[offsets[e]] += q * weights[e];
      if constexpr (mark) marks[offsets[e]] = 1;
    }
  }

  /// Lists the documents whose sums are at least `needed`. Returns false if there are more than `most`.
  bool scan(float needed, Index most) {
    candidates_.clear();
    for (Index first = 0; first < SparseIndex::block; first += chunk) {
      if (!(largest(first) >= needed)) continue;
      if (candidates_.size() > most) return false;
      for (Index i = first; i < first + chunk; ++i)
        if (sums_[i] >= needed) candidates_.push_back(static_cast<std::int32_t>(i));
    }
    return candidates_.size() <= most;
  }
  /// Returns the largest of the sums of a chunk.
  [[nodiscard]] float largest(Index first) const {
    return Eigen::Map<const Eigen::Array<float, chunk, 1>>(sums_.data() + first).maxCoeff();
  }

  void add_candidates(std::int32_t block, Hits& hits) {
    const auto first = block * static_cast<std::int32_t>(SparseIndex::block);
    for (const std::int32_t i : candidates_) hits.add({first + i, score(static_cast<std::uint16_t>(i))});
  }

  /// Computes the score of a document of the block. The products of floats are exact in double.
  [[nodiscard]] float score(std::uint16_t offset) const {
    double sum = 0;
    for (const Active& term : active_) {
      if (term.dense != nullptr) {
        sum += static_cast<double>(term.weight) * static_cast<double>(term.dense[offset]);
        continue;
      }
      const std::uint16_t* at = contents_.offsets() + term.begin;
      for (Index count = term.end - term.begin; count > 1;) {
        const Index half = count / 2;
        at += at[half] <= offset ? half : 0;
        count -= half;
      }
      if (*at == offset)
        sum += static_cast<double>(term.weight) * static_cast<double>(contents_.weights()[at - contents_.offsets()]);
    }
    return static_cast<float>(sum);
  }

  static float round_down(double value) {
    const float rounded = static_cast<float>(value);
    return static_cast<double>(rounded) > value ? std::nextafter(rounded, -std::numeric_limits<float>::infinity())
                                                : rounded;
  }

  static constexpr Index chunk = 32;
  static_assert(SparseIndex::block % chunk == 0);

  IndexContents contents_;
  List<Term> terms_;
  List<Active> active_;  // in ascending order of the terms
  List<Index> order_;    // their indices, in descending order of the bounds
  double margin_ = 0;    // bound of the rounding errors of a sum
  bool overflows_ = false;
  List<float> sums_, values_;
  List<char> marks_;
  List<std::int32_t> candidates_;
};

}  // namespace filigree::detail
