// SPDX-License-Identifier: MIT
// Which paragraphs of the texts of a directory answer a query? Each paragraph is a document, each word a term. BM25
// weighs the terms, and the index finds the paragraphs with the largest scores. Words of the query are marked.
//
//   search [directory [query...]]
#include <algorithm>
#include <cctype>
#include <chrono>
#include <cstdio>
#include <filesystem>
#include <filigree/filigree.hpp>
#include <fstream>
#include <sstream>
#include <string>
#include <unordered_map>
#include <utility>
#include <vector>

namespace fg = filigree;
using Eigen::Index;
using Sparse = Eigen::SparseMatrix<float, Eigen::RowMajor>;

struct Paragraphs {
  std::vector<std::string> files, texts;
  std::unordered_map<std::string, Index> terms;
  std::vector<Eigen::Triplet<float>> counts;  // one for each word; setFromTriplets adds them
};

/// Calls f(word, begin, end) for each word of a text, in lower case.
template <class F>
void each_word(const std::string& text, const F& f) {
  std::string word;
  for (std::size_t i = 0; i <= text.size(); ++i) {
    const auto c = static_cast<unsigned char>(i < text.size() ? text[i] : ' ');
    if (std::isalnum(c) != 0) {
      word += static_cast<char>(std::tolower(c));
    } else if (!word.empty()) {
      f(word, i - word.size(), i);
      word.clear();
    }
  }
}

void add_paragraph(const std::string& file, std::string& text, Paragraphs& all) {
  if (text.size() > 80) {
    const auto j = static_cast<int>(all.texts.size());
    each_word(text, [&](const std::string& word, std::size_t, std::size_t) {
      const Index term = all.terms.try_emplace(word, static_cast<Index>(all.terms.size())).first->second;
      all.counts.emplace_back(j, static_cast<int>(term), 1.0F);
    });
    all.files.push_back(file);
    all.texts.push_back(text);
  }
  text.clear();
}

/// Reads the paragraphs, which empty lines separate, of all text files of the directory and its folders.
Paragraphs read_paragraphs(const std::string& directory) {
  namespace fs = std::filesystem;
  std::vector<fs::path> paths;
  for (const auto& entry : fs::recursive_directory_iterator(directory, fs::directory_options::skip_permission_denied))
    if (entry.is_regular_file() && !entry.is_symlink() && entry.path().extension() != ".gz")
      paths.push_back(entry.path());
  std::sort(paths.begin(), paths.end());
  Paragraphs all;
  for (const fs::path& path : paths) {
    std::ifstream file(path);
    std::string text;
    for (std::string line; std::getline(file, line);) {
      if (line.find_first_not_of(" \t\r\f") == std::string::npos) add_paragraph(path.filename().string(), text, all);
      std::istringstream words(line);
      for (std::string word; words >> word;)
        if (std::any_of(word.begin(), word.end(), [](unsigned char c) { return std::isalnum(c) != 0; }))
          text += (text.empty() ? "" : " ") + word;
    }
    add_paragraph(path.filename().string(), text, all);
  }
  return all;
}

int main(int argc, char** argv) {
  const auto now = [] { return std::chrono::steady_clock::now(); };
  const auto seconds = [&](auto start) { return std::chrono::duration<double>(now() - start).count(); };
  const std::string directory = argc > 1 ? argv[1] : "/usr/share/common-licenses";
  std::vector<std::string> texts(argv + std::min(argc, 2), argv + argc);
  if (texts.empty()) texts = {"disclaimer of warranty", "patent litigation", "source code on a network server"};

  const Paragraphs all = read_paragraphs(directory);
  const auto start = now();
  Sparse counts(static_cast<Index>(all.texts.size()), static_cast<Index>(all.terms.size()));
  counts.setFromTriplets(all.counts.begin(), all.counts.end());
  const fg::SparseIndex index = fg::sparse_index(fg::bm25(counts, {.k1 = 1.2, .b = 0.75}));
  std::printf("%d paragraphs, %d terms, %d weights │ %.1f ms, %.2f MB\n", static_cast<int>(index.documents()),
              static_cast<int>(index.terms()), static_cast<int>(index.postings()), 1e3 * seconds(start),
              1e-6 * static_cast<double>(index.bytes()));

  Sparse queries(static_cast<Index>(texts.size()), index.terms());
  for (Index i = 0; i < queries.rows(); ++i)
    each_word(texts[static_cast<std::size_t>(i)], [&](const std::string& word, std::size_t, std::size_t) {
      if (const auto term = all.terms.find(word); term != all.terms.end()) queries.coeffRef(i, term->second) += 1;
    });
  const auto found = fg::selected(fg::sparse_scores(queries, index) | fg::top_k(2));
  for (Index i = 0; i < queries.rows(); ++i) {
    std::printf("\n%s\n", texts[static_cast<std::size_t>(i)].c_str());
    for (Index r = 0; r < found.columns.cols() && found.columns(i, r) >= 0; ++r) {
      const auto document = static_cast<std::size_t>(found.columns(i, r));
      std::string text = all.texts[document].substr(0, 200);
      std::vector<std::pair<std::size_t, std::size_t>> marks;
      each_word(text, [&](const std::string& word, std::size_t begin, std::size_t end) {
        const auto term = all.terms.find(word);
        if (term != all.terms.end() && queries.coeff(i, term->second) != 0) marks.emplace_back(begin, end);
      });
      for (auto mark = marks.rbegin(); mark != marks.rend(); ++mark)
        text.insert(mark->second, "*").insert(mark->first, "*");
      std::printf("%6.2f  %s: %s\n", static_cast<double>(found.weights(i, r)), all.files[document].c_str(),
                  text.c_str());
    }
  }

  // How fast: the first 8 terms of each paragraph are a query.
  Sparse many(counts.rows(), counts.cols());
  for (Index i = 0; i < counts.rows(); ++i) {
    many.startVec(i);
    Index terms = 0;
    for (Sparse::InnerIterator e(counts, i); e && terms < 8; ++e, ++terms) many.insertBack(i, e.col()) = e.value();
  }
  many.finalize();
  const auto searching = now();
  const auto answers = fg::selected(fg::sparse_scores(many, index) | fg::top_k(10));
  std::printf("\n%d queries of up to 8 terms │ %.0f per second\n", static_cast<int>(answers.columns.rows()),
              static_cast<double>(answers.columns.rows()) / seconds(searching));
}
