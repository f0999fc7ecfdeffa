// SPDX-License-Identifier: MIT
// How much of the softmax over a long cache do less expensive ways of decoding find? A token is a character of ten
// licenses. Its key in head 0 represents the 24 characters up to it, its key in head 1 the last 96. Two query heads
// share each key head, and the second weighs its keys less sharply. Tokens attend to passages more than 256 characters
// before them. The recall of a way is the fraction of the exact softmax weights on the keys that it sees.
#include <algorithm>
#include <chrono>
#include <cstdio>
#include <filigree/attention/key_value_cache_file.hpp>
#include <filigree/filigree.hpp>
#include <type_traits>

#include "long_document_text.hpp"

namespace fg = filigree;
using Eigen::Index;
using Sparse = Eigen::SparseMatrix<float, Eigen::RowMajor>;

constexpr Index features = 64, key_heads = 2, query_heads = 4;

/// Returns the text with characters as tokens, each with the four characters before it.
Text characters(const Text& text) {
  std::string all;
  for (const std::string& word : text.words) all += word + ' ';
  Text result;
  for (std::size_t i = 0; i + 5 <= all.size(); ++i) {
    result.words.push_back(all.substr(i, 5));
    ++result.uses[result.words.back()];
  }
  return result;
}

/// Returns the queries of tokens. Scores are 40 or 20 times the cosine: multi_head divides them by √d = 8.
Matrix queries_of(const Matrix& keys) {
  Matrix q(keys.rows(), query_heads * features);
  for (Index i = 0; i < query_heads; ++i)
    q.middleCols(i * features, features) =
        (i % 2 == 0 ? 320.0F : 160.0F) * keys.middleCols(i * key_heads / query_heads * features, features);
  return q;
}

/// Prints what can be done with a cache.
void show_operations(const Matrix& keys, const Matrix& values) {
  const auto print = [](const char* text, const Matrix& a, const Matrix& b) {
    std::printf("%-52s %s\n", text, a == b ? "the same bits" : "other bits");
  };

  // A prompt is appended at once, tokens as they come.
  auto cache = fg::key_value_cache(key_heads, features, features, {.capacity = 8192});
  cache.append(keys.topRows(8000), values.topRows(8000));
  const Matrix q = queries_of(keys.middleRows(8000, 4));
  const auto head = fg::causal() | fg::softmax();
  Matrix steps(4, query_heads * features);
  for (Index i = 0; i < 4; ++i) {
    cache.append(keys.row(8000 + i), values.row(8000 + i));
    steps.row(i) = fg::multi_head(fg::heads{query_heads}, q.row(i), cache, head);
  }

  // Several tokens in one step, as in speculative decoding: the last rows of the cache are theirs.
  const Matrix together = fg::multi_head(fg::heads{query_heads}, q, cache, head);
  print("four tokens in one step, and one by one", together, steps);

  // A stream without an end: rows that streaming(4, 1024) will not keep any more are dropped.
  auto stream = fg::key_value_cache(key_heads, features, features, {.capacity = 4 + 2 * 1024 + 1024});
  for (Index i = 0; i < cache.rows(); ++i) {
    stream.append(keys.row(i), values.row(i));
    stream.slide(4, 1024);
  }
  const auto recent = fg::streaming(4, 1024) | fg::softmax();
  print("a stream with memory for 3076 rows, and all 8004 rows",
        fg::multi_head(fg::heads{query_heads}, q.bottomRows(1), stream, recent),
        fg::multi_head(fg::heads{query_heads}, q.bottomRows(1), cache, recent));

  // Two continuations of a prompt share its memory until they are written. One call decodes both.
  std::vector<fg::KeyValueCache<float>> answers(2, cache.fork(8000));
  answers[0].append(keys.row(8000), values.row(8000));
  answers[1].append(keys.row(20000), values.row(20000));
  const Matrix two = fg::multi_head(fg::heads{query_heads}, q.topRows(2), answers, head);
  print("the first of two continuations, and the first token", two.topRows(1), steps.topRows(1));

  // A file.
  fg::save_key_value_cache("decode.safetensors", cache);
  const auto loaded = fg::load_key_value_cache("decode.safetensors");
  std::remove("decode.safetensors");
  print("a cache that was saved and loaded", fg::multi_head(fg::heads{query_heads}, q, loaded, head), together);

  // Numbers of 16 bits.
  const auto stored = [&](const char* name, auto number) {
    auto narrow = fg::key_value_cache<decltype(number)>(key_heads, features, features, {.capacity = cache.rows()});
    narrow.append(keys.topRows(cache.rows()), values.topRows(cache.rows()));
    const Matrix out = fg::multi_head(fg::heads{query_heads}, q, narrow, head);
    std::printf("%-9s %d bytes for each token, largest error of an output %.0e\n", name,
                static_cast<int>(2 * key_heads * features * Index{sizeof(number)}),
                static_cast<double>((out - together).cwiseAbs().maxCoeff()));
  };
  stored("half:", Eigen::half());
  stored("bfloat16:", Eigen::bfloat16());
}

/// The keys of a head by their hashes: a bit of a hash is the side of a random plane. A key is a candidate for a query
/// if their hashes agree in one of the rounds.
class HashTables {
 public:
  HashTables(const Matrix& keys, Index rounds, Index bits)
      : bits_(bits), planes_(features, rounds * bits), buckets_(static_cast<std::size_t>(rounds) << bits) {
    fg::Generator generator(1);
    fg::fill_normal(planes_, generator);
    const Matrix sides = keys * planes_;
    for (Index j = 0; j < keys.rows(); ++j)
      for (Index round = 0; round < rounds; ++round) buckets_[bucket(sides.row(j), round)].push_back(j);
  }

  /// Returns a row with an entry for each candidate among the first m keys.
  [[nodiscard]] Sparse candidates(const Eigen::RowVectorXf& q, Index m) const {
    const Eigen::RowVectorXf sides = q * planes_;
    std::vector<Index> found;
    for (Index round = 0; round * bits_ < planes_.cols(); ++round)
      for (const Index j : buckets_[bucket(sides, round)])
        if (j < m) found.push_back(j);
    std::sort(found.begin(), found.end());
    found.erase(std::unique(found.begin(), found.end()), found.end());
    Sparse row(1, m);
    row.reserve(static_cast<Index>(found.size()));
    row.startVec(0);
    for (const Index j : found) row.insertBack(0, j) = 1;
    row.finalize();
    return row;
  }

 private:
  [[nodiscard]] std::size_t bucket(const Eigen::Ref<const Eigen::RowVectorXf>& sides, Index round) const {
    auto number = static_cast<std::size_t>(round);
    for (Index bit = 0; bit < bits_; ++bit) number = 2 * number + (sides[round * bits_ + bit] > 0 ? 1 : 0);
    return number;
  }

  Index bits_;
  Matrix planes_;
  std::vector<std::vector<Index>> buckets_;  // [rounds][2^bits]
};

/// Decodes the same tokens in different ways and prints a row for each.
void compare_ways(const Matrix& keys, const Matrix& values, Index m) {
  constexpr Index tokens = 8, turn = 1024;  // the last token of each turn is decoded
  auto cache = fg::key_value_cache(key_heads, features, features, {.capacity = m});
  const Index prompt = m - tokens * turn;
  cache.append(keys.topRows(prompt), values.topRows(prompt));
  const auto each_token = [&](const auto& decode) {
    for (Index token = 0; token < tokens; ++token) {
      cache.append(keys.middleRows(cache.rows(), turn - 1), values.middleRows(cache.rows(), turn - 1));
      decode(token, keys.row(cache.rows()), values.row(cache.rows()));
    }
    cache.truncate(prompt);
  };
  const auto past = fg::causal() && !fg::window(256);
  const auto scores_of_head = [&](const Matrix& q, Index i) {
    return fg::scores(q.middleCols(i * features, features), cache.head(i * key_heads / query_heads));
  };
  std::vector<Matrix> exact;  // for each token, query_heads x cache.rows()
  each_token([&](Index, const auto& key, const auto& value) {
    cache.append(key, value);
    const Matrix q = queries_of(key);
    Matrix& weights = exact.emplace_back(query_heads, cache.rows());
    for (Index i = 0; i < query_heads; ++i) weights.row(i) = scores_of_head(q, i) | past | fg::softmax();
  });

  std::printf("\n%d keys\n%-38s %6s  %6s  %6s  %s\n", static_cast<int>(m), "way", "K read", "V read", "recall",
              "│ time per token");
  const auto row = [&](const char* name, bool reads_all_keys, const auto& way) {
    std::chrono::duration<double, std::milli> time{};
    double mass = 0, kept = 0, all = 0;
    fg::Workspace workspace;
    Matrix out(1, query_heads * features);
    each_token([&](Index token, const auto& key, const auto& value) {
      const Matrix q = queries_of(key);
      const auto start = std::chrono::steady_clock::now();
      cache.append(key, value);
      const auto head = way(q);  // the pipeline of all heads, or a function that returns that of head i
      out = fg::multi_head(fg::heads{query_heads}, q, cache, head).with(workspace);
      time += std::chrono::steady_clock::now() - start;

      for (Index i = 0; i < query_heads; ++i) {
        Sparse seen;
        if constexpr (std::is_invocable_v<decltype(head), Index>)
          seen = scores_of_head(q, i) | head(i);
        else
          seen = scores_of_head(q, i) | head;
        for (Sparse::InnerIterator e(seen, 0); e; ++e)
          mass += static_cast<double>(exact[static_cast<std::size_t>(token)](i, e.col()));
        kept += static_cast<double>(seen.nonZeros());
        all += static_cast<double>(cache.rows() - 257);  // the keys that `past` keeps
      }
    });
    std::printf("%-38s %5.1f%%  %5.2f%%  %5.1f%%  │ %.2f ms\n", name, reads_all_keys ? 100.0 : 100 * kept / all,
                100 * kept / all, 100 * mass / (query_heads * tokens), time.count() / tokens);
  };
  row("softmax()", true, [&](const Matrix&) { return past | fg::softmax(); });
  row("streaming(4, 8192)", false, [&](const Matrix&) { return (past && fg::streaming(4, 8192)) | fg::softmax(); });
  row("top_k(64)", true, [&](const Matrix&) { return past | fg::top_k(64) | fg::softmax(); });
  row("block_top_k(16, 64, min_max_bound())", true,
      [&](const Matrix&) { return past | fg::block_top_k(16, 64, fg::min_max_bound()) | fg::softmax(); });
  const std::vector<HashTables> tables = {{keys.leftCols(features), 8, 8}, {keys.rightCols(features), 8, 8}};
  row("hash tables, 8 rounds of 8 bits", false, [&](const Matrix& q) {
    std::vector<Sparse> candidates;
    for (Index i = 0; i < query_heads; ++i)
      candidates.push_back(tables[static_cast<std::size_t>(i * key_heads / query_heads)].candidates(
          q.middleCols(i * features, features), cache.rows()));
    return [&past, candidates](Index i) {
      return (past && fg::given(candidates[static_cast<std::size_t>(i)])) | fg::softmax();
    };
  });
}

int main() {
  const Text text = characters(read_licenses(
      {"GPL-1", "Artistic", "GPL-2", "MPL-1.1", "LGPL-2.1", "Apache-2.0", "GPL-3", "GFDL-1.3", "MPL-2.0", "CC0-1.0"}));
  Matrix keys(static_cast<Index>(text.words.size()), key_heads * features);
  keys << passages(text, features, 24), passages(text, features, 96);
  const Matrix& values = keys;
  show_operations(keys, values);
  compare_ways(keys, values, 131072);
}
