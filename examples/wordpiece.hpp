// SPDX-License-Identifier: MIT
// The tokenizer of BERT, uncased: WordPiece. The data of characters is in wordpiece_tables.hpp.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <fstream>
#include <iterator>
#include <stdexcept>
#include <string>
#include <string_view>
#include <unordered_map>
#include <utility>
#include <vector>

#include "wordpiece_tables.hpp"

namespace wordpiece {

/// Returns the code points of UTF-8. Each byte that is not part of a valid character becomes U+FFFD.
inline std::u32string decode(std::string_view text) {
  std::u32string result;
  for (std::size_t i = 0; i < text.size();) {
    const auto byte = [&](std::size_t at) { return static_cast<unsigned char>(text[at]); };
    const unsigned char first = byte(i);
    const std::size_t size = first < 0x80                   ? 1
                             : first < 0xC2 || first > 0xF4 ? 0
                             : first < 0xE0                 ? 2
                             : first < 0xF0                 ? 3
                                                            : 4;
    bool valid = size > 0 && i + size <= text.size();
    char32_t code = size > 1 ? first & (0x7Fu >> size) : first;
    for (std::size_t k = 1; valid && k < size; ++k) {
      valid = (byte(i + k) & 0xC0u) == 0x80;
      code = code << 6 | (byte(i + k) & 0x3Fu);
    }
    constexpr char32_t least[] = {0, 0, 0x80, 0x800, 0x10000};
    valid = valid && code >= least[size] && code < 0x110000 && (code < 0xD800 || code > 0xDFFF);
    result += valid ? code : U'\uFFFD';
    i += valid ? size : 1;
  }
  return result;
}

/// Appends a code point as UTF-8.
inline void encode(char32_t code, std::string& to) {
  if (code < 0x80) {
    to += static_cast<char>(code);
    return;
  }
  const int more = code < 0x800 ? 1 : code < 0x10000 ? 2 : 3;
  to += static_cast<char>((0xFF00u >> (more + 1) & 0xFFu) | code >> 6 * more);
  for (int k = more - 1; k >= 0; --k) to += static_cast<char>(0x80u | (code >> 6 * k & 0x3Fu));
}

/// Returns the last row of a table, sorted by its first column, that begins at or before a code point; null if none.
template <std::size_t columns, std::size_t size>
const std::uint32_t* row_of(const std::uint32_t (&table)[size], char32_t code) {
  std::size_t first = 0, last = size / columns;
  while (first < last) {
    const std::size_t middle = (first + last) / 2;
    if (table[columns * middle] <= code)
      first = middle + 1;
    else
      last = middle;
  }
  return first == 0 ? nullptr : table + columns * (first - 1);
}
template <std::size_t size>
bool is_in(const std::uint32_t (&ranges)[size], char32_t code) {
  const std::uint32_t* row = row_of<2>(ranges, code);
  return row != nullptr && code <= row[1];
}

/// Appends the characters that replace one: its canonical decomposition in lower case, without the marks of accents.
inline void normalize(char32_t code, std::u32string& to) {
  if (is_in(removed, code)) return;
  if (code >= 0xAC00 && code < 0xD7A4) {  // a Hangul syllable
    const char32_t at = code - 0xAC00;
    to += {0x1100 + at / 588, 0x1161 + at / 28 % 21};
    if (at % 28 != 0) to += 0x11A7 + at % 28;
  } else if (const auto* row = row_of<4>(expanded, code); row != nullptr && row[0] == code) {
    for (int k = 1; k < 4 && row[k] != 0; ++k) to += static_cast<char32_t>(row[k]);
  } else if (row = row_of<4>(replaced, code); row != nullptr && code <= row[1] && (code - row[0]) % row[2] == 0) {
    to += static_cast<char32_t>(row[3] + (code - row[0]));
  } else {
    to += code;
  }
}

/// Returns the words of a text, in lower case and without accents. A punctuation mark and a Chinese character are
/// words.
inline std::vector<std::u32string> words_of(std::string_view text) {
  std::vector<std::u32string> words;
  std::u32string word, letters;
  const auto end = [&] {
    if (!word.empty()) words.push_back(std::exchange(word, {}));
  };
  for (const char32_t code : decode(text)) {
    const bool alone = is_in(ideographs, code);
    if (alone || is_in(spaces, code)) end();
    if (is_in(spaces, code)) continue;
    letters.clear();
    normalize(code, letters);
    for (const char32_t letter : letters) {
      const bool mark = is_in(punctuation, letter);
      if (mark) end();
      word += letter;
      if (mark) end();
    }
    if (alone) end();
  }
  end();
  return words;
}

/// A vocabulary, and the division of words into its entries.
class Tokenizer {
 public:
  /// Makes a tokenizer of a vocabulary, whose entries have the ids 0, 1, ... Entries within a word begin with ##.
  explicit Tokenizer(const std::vector<std::string>& vocabulary) {
    for (std::size_t i = 0; i < vocabulary.size(); ++i) ids_[vocabulary[i]] = static_cast<int>(i);
    unknown_ = special("[UNK]");
    begin_ = special("[CLS]");
    end_ = special("[SEP]");
  }

  /// Reads a vocabulary, one entry per line.
  static Tokenizer read(const std::string& path) {
    std::ifstream file(path, std::ios::binary);
    if (!file) throw std::runtime_error(path + ": cannot be opened");
    std::vector<std::string> lines;
    for (std::string line; std::getline(file, line);) {
      if (!line.empty() && line.back() == '\r') line.pop_back();
      lines.push_back(line);
    }
    return Tokenizer(lines);
  }

  [[nodiscard]] std::size_t size() const { return ids_.size(); }

  /// Returns the ids of a text between [CLS] and [SEP], at most `longest` of them with these two.
  [[nodiscard]] std::vector<int> operator()(std::string_view text, std::size_t longest = 512) const {
    std::vector<int> result = {begin_};
    const std::size_t room = std::max(longest, std::size_t{2}) - 1;
    for (const std::u32string& word : words_of(text)) {
      if (result.size() >= room) break;
      add(word, result);
    }
    result.resize(std::min(result.size(), room));
    result.push_back(end_);
    return result;
  }

 private:
  [[nodiscard]] int special(const std::string& name) const {
    const auto entry = ids_.find(name);
    if (entry == ids_.end()) throw std::runtime_error("the vocabulary must have an entry " + name);
    return entry->second;
  }

  /// Appends the longest entry that the word begins with, then the longest one of the rest, and so on.
  void add(const std::u32string& word, std::vector<int>& to) const {
    constexpr std::size_t longest_word = 100;
    if (word.size() > longest_word) return to.push_back(unknown_);
    std::string text;
    std::vector<std::size_t> ends = {0};  // of each character in text
    for (const char32_t code : word) {
      encode(code, text);
      ends.push_back(text.size());
    }
    const std::size_t before = to.size();
    for (std::size_t first = 0; first < word.size();) {
      std::size_t last = word.size();
      auto entry = ids_.end();
      for (; last > first; --last) {
        const std::string part = text.substr(ends[first], ends[last] - ends[first]);
        entry = ids_.find(first == 0 ? part : "##" + part);
        if (entry != ids_.end()) break;
      }
      if (last == first) {  // the whole word is unknown
        to.resize(before);
        return to.push_back(unknown_);
      }
      to.push_back(entry->second);
      first = last;
    }
  }

  std::unordered_map<std::string, int> ids_;
  int unknown_ = 0, begin_ = 0, end_ = 0;
};

}  // namespace wordpiece
