// SPDX-License-Identifier: MIT
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "../cases.hpp"

// The table of words: each row compares a case with its floor, another case of the same run. A ratio is a time over the
// time of the floor, or a rate over the rate of the floor.

namespace bench {

/// A function and the check of what it did.
struct Call {
  std::function<void()> call;
  std::function<bool()> check;
  void run() { call(); }
  bool is_right() {
    call();
    return check();
  }
};
inline auto calls(std::function<void()> call, std::function<bool()> check) {
  return [=] { return std::make_unique<Call>(Call{call, check}); };
}

/// Bounds of a ratio.
struct Bounds {
  double must, stretch;
};

/// One row of the table.
struct WordRow {
  std::string word;   // as docs/words.md writes it
  std::string what;   // what is measured
  std::string floor;  // the name of the case to compare with
  Bounds bounds;
  bool rates;  // compares rates, which must be at least as large as the bounds
  [[nodiscard]] std::string name() const { return word + ", " + what; }
};

/// Registers the floors and the words as benchmarks, and keeps the rows of the table.
class WordTable {
 public:
  /// Adds a floor. `make` returns a unique_ptr to a case, as for bench::add.
  template <class Make>
  void floor(const std::string& name, Make make) {
    bench::add(name, std::move(make));
  }

  /// Adds a word, whose time may be at most the bounds times that of the floor.
  template <class Make>
  void at_most(const std::string& word, const std::string& what, const std::string& floor, Bounds bounds, Make make) {
    add({word, what, floor, bounds, false}, std::move(make));
  }
  /// Adds a word, whose rate must be at least the bounds times that of the floor.
  template <class Make>
  void at_least(const std::string& word, const std::string& what, const std::string& floor, Bounds bounds, Make make) {
    add({word, what, floor, bounds, true}, std::move(make));
  }

  [[nodiscard]] const std::vector<WordRow>& rows() const { return rows_; }

 private:
  template <class Make>
  void add(WordRow row, Make make) {
    bench::add(row.name(), std::move(make));
    rows_.push_back(std::move(row));
  }

  std::vector<WordRow> rows_;
};

void add_dense_words(WordTable& table);
void add_score_words(WordTable& table);
void add_pattern_words(WordTable& table);
void add_network_words(WordTable& table);
void add_result_words(WordTable& table);
void add_gradient_words(WordTable& table);

}  // namespace bench
