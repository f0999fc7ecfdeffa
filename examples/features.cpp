// SPDX-License-Identifier: MIT
// What do the latents of a sparse autoencoder of a language model mean? The activations after half of the layers of a
// pre-trained encoder, for texts of this machine, are written to files and read back. A TopK autoencoder learns them.
// For some latents, the passages with the largest activations are printed and written to features.html, with the tokens
// marked.
//
//   features [folder of the model [tokens [latents [epochs]]]]
#include <algorithm>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <exception>
#include <fstream>
#include <set>
#include <string>
#include <vector>

#include "sentence_encoder.hpp"

namespace fg = filigree;
using Eigen::Index;

namespace {

constexpr Index longest = 128, shard_rows = 8192, active = 16, shown_latents = 10, shown_passages = 4;

double seconds_since(std::chrono::steady_clock::time_point start) {
  return std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
}

/// Returns the different paragraphs of the licenses and of the short documents in /usr/share/doc.
Texts read_texts() {
  std::vector<std::string> files;
  const auto add = [&](const std::filesystem::path& path) {
    const std::string name = path.filename().string();
    const bool is_text = path.extension() == ".txt" || path.extension() == ".md" || name.starts_with("README") ||
                         path.string().starts_with("/usr/share/common-licenses/");
    if (is_text && !std::filesystem::is_symlink(path) && std::filesystem::is_regular_file(path))
      files.push_back(path.string());
  };
  for (const char* folder : {"/usr/share/common-licenses", "/usr/share/doc"})
    if (std::filesystem::is_directory(folder))
      for (const auto& entry : std::filesystem::recursive_directory_iterator(folder)) add(entry.path());
  std::sort(files.begin(), files.end());

  Texts texts;
  std::set<std::string> seen;
  for (const std::string& path : files) {
    std::ifstream file(path);
    std::string paragraph;
    const auto end = [&] {
      if (paragraph.size() >= 80 && seen.insert(paragraph).second) texts.push_back(paragraph);
      paragraph.clear();
    };
    for (std::string line; std::getline(file, line);) {
      const std::size_t from = line.find_first_not_of(" \t\f\r");
      if (from == std::string::npos)
        end();
      else
        paragraph += (paragraph.empty() ? "" : " ") + line.substr(from);
    }
    end();
  }
  return texts;
}

/// Writes the activations of all tokens in files of at most `shard_rows` rows. Returns the names of the files.
template <class Net>
Texts write_shards(const Net& net, const Tokens& tokens, const std::string& folder) {
  fg::thread_pool pool(2);
  fg::Predictor predict(net, fg::ExecutorRef(pool));
  Texts names;
  std::filesystem::create_directories(folder);
  Index first = 0;
  for (auto begin = tokens.lengths.begin(), end = begin; begin != tokens.lengths.end(); begin = end) {
    Index rows = 0;
    while (end != tokens.lengths.end() && rows + *end <= shard_rows) rows += *end++;
    const Eigen::MatrixXi ids = tokens.ids.middleRows(first, rows);
    names.push_back(folder + "/activations_" + std::to_string(names.size()) + ".npy");
    fg::save_npy(names.back(), Matrix(predict(fg::Batch{ids, {begin, end}})));
    first += rows;
  }
  return names;
}

Matrix read_shard(const std::string& name) { return fg::parse_npy(fg::map_file(name), name).as<Matrix>(); }

/// A token that activates a latent.
struct Example {
  float activation;
  Index token, passage;
};

/// Returns the tokens that activate each latent most, at most one of a passage and not [CLS] and [SEP], and counts the
/// active tokens. `begins` are the first tokens of the passages.
template <class Sae>
std::vector<std::vector<Example>> best_examples(const Sae& sae, const Texts& shards, const std::vector<Index>& begins,
                                                std::vector<Index>& counts, double& error) {
  std::vector<std::vector<Example>> best(counts.size());
  double wrong = 0, total = 0;
  Index first = 0, passage = 0;
  for (const std::string& name : shards) {
    const Matrix x = read_shard(name), codes = sae.encode(x);
    wrong += (x - sae.decode(codes)).squaredNorm();
    total += (x.rowwise() - x.colwise().mean()).squaredNorm();
    for (Index i = 0; i < codes.rows(); ++i) {
      while (first + i >= begins[static_cast<std::size_t>(passage + 1)]) ++passage;
      const bool is_word = first + i > begins[static_cast<std::size_t>(passage)] &&
                           first + i + 1 < begins[static_cast<std::size_t>(passage + 1)];
      for (Index j = 0; j < codes.cols(); ++j) {
        if (codes(i, j) == 0) continue;
        const auto latent = static_cast<std::size_t>(j);
        ++counts[latent];
        if (!is_word) continue;
        std::vector<Example>& list = best[latent];
        const Example found = {codes(i, j), first + i, passage};
        const auto same =
            std::find_if(list.begin(), list.end(), [&](const auto& e) { return e.passage == found.passage; });
        if (same != list.end()) {
          if (same->activation >= found.activation) continue;
          list.erase(same);
        }
        const auto place =
            std::find_if(list.begin(), list.end(), [&](const auto& e) { return e.activation < found.activation; });
        list.insert(place, found);
        if (list.size() > shown_passages) list.pop_back();
      }
    }
    first += x.rows();
  }
  error = wrong / total;
  return best;
}

/// Returns the text of tokens around one, which is put between two marks.
class Passage {
 public:
  Passage(const Tokens& tokens, const Texts& vocabulary) : tokens_(tokens), vocabulary_(vocabulary) {}

  [[nodiscard]] std::string around(Index token, Index begin, Index end, const char* open, const char* close,
                                   bool html) const {
    constexpr Index before = 12, after = 8;
    std::string text;
    for (Index i = std::max(begin, token - before); i < std::min(end, token + after + 1); ++i) {
      std::string word = vocabulary_[static_cast<std::size_t>(tokens_.ids(i, 0))];
      if (word.starts_with("##"))
        word.erase(0, 2);
      else if (!text.empty())
        text += ' ';
      if (html) word = escaped(word);
      text += i == token ? open + word + close : word;
    }
    return text;
  }

 private:
  static std::string escaped(const std::string& word) {
    std::string result;
    for (const char c : word) {
      if (c == '<')
        result += "&lt;";
      else if (c == '>')
        result += "&gt;";
      else if (c == '&')
        result += "&amp;";
      else
        result += c;
    }
    return result;
  }

  const Tokens& tokens_;
  const Texts& vocabulary_;
};

Texts read_lines(const std::string& path) {
  std::ifstream file(path);
  Texts lines;
  for (std::string line; std::getline(file, line);) lines.push_back(line);
  return lines;
}

/// Returns live latents, spread over the whole range of frequencies.
std::vector<std::size_t> live_latents(const std::vector<Index>& counts) {
  std::vector<std::size_t> live;
  for (std::size_t j = 0; j < counts.size(); ++j)
    if (counts[j] >= 20) live.push_back(j);
  std::stable_sort(live.begin(), live.end(), [&](auto a, auto b) { return counts[a] > counts[b]; });
  std::vector<std::size_t> chosen;
  for (std::size_t i = 0; i < shown_latents && i < live.size(); ++i)
    chosen.push_back(live[(2 * i + 1) * live.size() / (2 * shown_latents)]);
  return chosen;
}

void explore(const std::string& folder, Index wanted, Index latents, Index epochs) {
  auto start = std::chrono::steady_clock::now();
  auto config = fg::BertConfig::read(fg::load_json(folder + "/config.json"));
  config.layers /= 2;
  auto half = fg::bert_encoder(config, fg::softmax());
  fg::load(half, folder + "/model.safetensors", fg::bert_names());

  // The tokens of passages, as many as wanted.
  const auto tokenizer = wordpiece::Tokenizer::read(folder + "/vocab.txt");
  Tokens tokens;
  std::vector<int> words;
  std::vector<Index> begins = {0};
  for (const std::string& text : read_texts()) {
    const std::vector<int> ids = tokenizer(text, static_cast<std::size_t>(longest));
    if (static_cast<Index>(words.size() + ids.size()) > wanted) break;
    words.insert(words.end(), ids.begin(), ids.end());
    tokens.lengths.push_back(static_cast<Index>(ids.size()));
    begins.push_back(static_cast<Index>(words.size()));
  }
  const auto count = static_cast<Index>(words.size());
  tokens.ids = Eigen::MatrixXi::Zero(count, 2);
  tokens.ids.col(0) = Eigen::Map<const Eigen::VectorXi>(words.data(), count);
  const Texts shards = write_shards(half, tokens, "features");
  std::printf("%zu passages, %td tokens, activations after layer %td of %td numbers in %zu files │ %.0f s\n",
              tokens.lengths.size(), count, config.layers, config.d, shards.size(), seconds_since(start));

  // The autoencoder. Its samples are those of the files.
  start = std::chrono::steady_clock::now();
  Matrix x(count, config.d);
  Index first = 0;
  for (const std::string& name : shards) {
    const Matrix shard = read_shard(name);
    x.middleRows(first, shard.rows()) = shard;
    first += shard.rows();
  }
  auto sae = fg::autoencoder(fg::pre_bias() | fg::linear(config.d, latents) | fg::top_k(active) | fg::relu(),
                             fg::linear(latents, config.d).unit_norm_rows());
  constexpr std::size_t last = decltype(sae)::depth - 1;
  sae.weights<1>() = sae.weights<last>().transpose();
  sae.biases<last>() = fg::geometric_median(x.topRows(std::min<Index>(count, shard_rows)));
  fg::thread_pool pool(2);
  constexpr Index batch = 1024;
  const Index steps = epochs * ((count + batch - 1) / batch);
  fg::fit(sae, x, fg::squared_error() + (1.0 / 32) * fg::aux_k(256), fg::adam{.rate = 1e-3},
          {.epochs = epochs,
           .batch = batch,
           .clip = 1,
           .schedule = fg::cosine(steps, steps / 20),
           .executor = fg::ExecutorRef(pool)});
  std::vector<Index> counts(static_cast<std::size_t>(latents), 0);
  double error = 0;
  const auto best = best_examples(sae, shards, begins, counts, error);
  double activations = 0;
  for (const Index c : counts) activations += static_cast<double>(c);
  std::printf("%td latents │ squared error %.3f of the variance, %.1f active, %td never active, %.0f s\n", latents,
              error, activations / static_cast<double>(count), std::count(counts.begin(), counts.end(), 0),
              seconds_since(start));

  const Texts vocabulary = read_lines(folder + "/vocab.txt");
  const Passage passage(tokens, vocabulary);
  std::ofstream page("features.html");
  page << "<!DOCTYPE html>\n<html lang=\"en\"><head><meta charset=\"utf-8\"><title>Latents of a sparse "
          "autoencoder</title>\n"
          "<style>body{font:16px sans-serif;max-width:60em;margin:2em auto;padding:0 1em}"
          "mark{background:#ffd54f;padding:0 .2em}td{padding:.2em .6em;vertical-align:top}</style></head><body>\n"
          "<h1>Latents of a sparse autoencoder</h1>\n";
  const std::vector<std::size_t> chosen = live_latents(counts);
  for (const std::size_t latent : chosen) {
    const double share = 100 * static_cast<double>(counts[latent]) / static_cast<double>(count);
    std::printf("\nlatent │ %zu, active for %.2f %% of the tokens\n", latent, share);
    page << "<h2>Latent " << latent << "</h2>\n<p>Active for " << counts[latent] << " of " << count
         << " tokens.</p>\n<table>\n";
    for (const Example& e : best[latent]) {
      const Index begin = begins[static_cast<std::size_t>(e.passage)] + 1,
                  end = begins[static_cast<std::size_t>(e.passage) + 1] - 1;
      std::printf("  │ %.2f %s\n", static_cast<double>(e.activation),
                  passage.around(e.token, begin, end, "*", "*", false).c_str());
      page << "<tr><td>" << e.activation << "</td><td>"
           << passage.around(e.token, begin, end, "<mark>", "</mark>", true) << "</td></tr>\n";
    }
    page << "</table>\n";
  }
  page << "</body></html>\n";
  std::printf("\nfeatures.html: %zu latents with their passages\n", chosen.size());
}

}  // namespace

int main(int count, char** arguments) try {
  const std::string folder = count > 1 ? arguments[1] : "build/model";
  const Index tokens = count > 2 ? std::atoi(arguments[2]) : 200'000,
              latents = count > 3 ? std::atoi(arguments[3]) : 4096, epochs = count > 4 ? std::atoi(arguments[4]) : 4;
  if (tokens < 1000 || latents < active || epochs < 1) {
    std::fprintf(stderr, "features [folder of the model [at least 1000 tokens [at least %td latents [epochs]]]]\n",
                 active);
    return 2;
  }
  if (!has_model(folder)) return 0;
  explore(folder, tokens, latents, epochs);
} catch (const std::exception& error) {
  std::fprintf(stderr, "%s\n", error.what());
  return 1;
}
