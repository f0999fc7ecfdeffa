// SPDX-License-Identifier: MIT
#pragma once

#include <cctype>
#include <cmath>
#include <cstdint>
#include <filigree/core/generator.hpp>
#include <fstream>
#include <stdexcept>
#include <string>
#include <unordered_map>
#include <vector>

// The license texts that Debian installs by default, as one long document.

using Matrix = Eigen::Matrix<float, Eigen::Dynamic, Eigen::Dynamic, Eigen::RowMajor>;

struct Text {
  std::vector<std::string> words;             // in lower case, without punctuation
  std::vector<std::string> sources;           // the names of the files
  std::vector<Eigen::Index> begins;           // the first word of each file
  std::unordered_map<std::string, int> uses;  // the number of occurrences of each word

  /// Returns the file that contains word i.
  [[nodiscard]] const std::string& source_of(Eigen::Index i) const {
    std::size_t s = 0;
    while (s + 1 < begins.size() && begins[s + 1] <= i) ++s;
    return sources[s];
  }
};

inline Text read_licenses(const std::vector<std::string>& names) {
  Text text;
  for (const std::string& name : names) {
    std::ifstream file("/usr/share/common-licenses/" + name);
    if (!file) throw std::runtime_error("cannot read /usr/share/common-licenses/" + name);
    text.sources.push_back(name);
    text.begins.push_back(static_cast<Eigen::Index>(text.words.size()));
    for (std::string raw; file >> raw;) {
      std::string word;
      for (const char c : raw)
        if (std::isalnum(static_cast<unsigned char>(c)) != 0)
          word += static_cast<char>(std::tolower(static_cast<unsigned char>(c)));
      if (word.empty()) continue;
      ++text.uses[word];
      text.words.push_back(word);
    }
  }
  return text;
}

/// Returns the FNV-1a hash, which is the same on every machine.
inline std::uint64_t hash_of(const std::string& word) {
  std::uint64_t hash = 14695981039346656037U;
  for (const char c : word) hash = (hash ^ static_cast<unsigned char>(c)) * 1099511628211U;
  return hash;
}

/// Returns one vector for each word i. It represents the last `context` words up to word i: the sum of a random vector
/// for each word, longer for rare words, scaled to unit length. Passages with common words have similar directions.
inline Matrix passages(const Text& text, Eigen::Index d, Eigen::Index context) {
  const auto n = static_cast<Eigen::Index>(text.words.size());
  std::unordered_map<std::string, Eigen::VectorXf> vectors;
  for (const auto& [word, uses] : text.uses) {
    filigree::Generator generator(hash_of(word), 0);
    Eigen::VectorXf& x = vectors[word] = Eigen::VectorXf(d);
    filigree::fill_normal(x, generator);
    x *= static_cast<float>(std::log(static_cast<double>(n) / uses));
  }
  Matrix rows(n, d);
  std::vector<const Eigen::VectorXf*> word_vectors;
  for (const std::string& word : text.words) word_vectors.push_back(&vectors[word]);
  for (Eigen::Index i = 0; i < n; ++i) {
    Eigen::VectorXf sum = Eigen::VectorXf::Zero(d);
    for (Eigen::Index j = std::max<Eigen::Index>(i - context + 1, 0); j <= i; ++j)
      sum += *word_vectors[static_cast<std::size_t>(j)];
    rows.row(i) = sum.transpose() / sum.norm();
  }
  return rows;
}

inline std::string words_before(const Text& text, Eigen::Index i, Eigen::Index count) {
  std::string line;
  for (Eigen::Index j = std::max<Eigen::Index>(i - count + 1, 0); j <= i; ++j)
    line += (line.empty() ? "" : " ") + text.words[static_cast<std::size_t>(j)];
  return line;
}
