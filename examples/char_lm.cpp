// SPDX-License-Identifier: MIT
// Do sparse transformers learn to predict text? Five causal transformers, which differ only in the pattern of their
// attention, read license texts character by character, for the same number of steps. The text is cut into blocks of
// 2048 characters, every tenth of which is held out. The measure is the number of bits per held-out character. The
// baseline counts which characters follow each four characters. Then one of the models learns for longer, and writes
// text, token by token.
//
//   char_lm [epochs [long epochs [characters]]]: of the comparison and of the last model, and of the text that is read
#include <algorithm>
#include <chrono>
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <filigree/filigree.hpp>
#include <fstream>
#include <iterator>
#include <span>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

#include "character_counts.hpp"
#include "peak_memory.hpp"

namespace fg = filigree;
using Eigen::Index;
using Matrix = Eigen::Matrix<float, Eigen::Dynamic, Eigen::Dynamic, Eigen::RowMajor>;

namespace {

constexpr Index length = 128, d = 64;  // tokens of a sequence, features of a token

/// Characters as ids from 0.
struct Text {
  std::string symbols;  // the character of each id
  Eigen::VectorXi train, test;

  [[nodiscard]] Index count() const { return static_cast<Index>(symbols.size()); }
  [[nodiscard]] int id(char c) const { return static_cast<int>(symbols.find(c)); }
};

/// Reads the first `size` characters of the licenses. Any space between words is one space.
Text read_text(std::size_t size) {
  std::string all;
  for (const char* name :
       {"GPL-1", "Artistic", "GPL-2", "MPL-1.1", "LGPL-2.1", "Apache-2.0", "GPL-3", "GFDL-1.3", "MPL-2.0", "CC0-1.0"}) {
    std::ifstream file(std::string("/usr/share/common-licenses/") + name);
    if (!file) throw std::runtime_error(std::string("cannot read /usr/share/common-licenses/") + name);
    for (std::string word; file >> word;) all += word + ' ';
  }
  all.resize(std::min(size, all.size()));
  Text text{.symbols = all, .train = {}, .test = {}};
  std::sort(text.symbols.begin(), text.symbols.end());
  text.symbols.erase(std::unique(text.symbols.begin(), text.symbols.end()), text.symbols.end());
  std::vector<int> train, test;
  for (std::size_t i = 0; i < all.size(); ++i) (i / 2048 % 10 == 9 ? test : train).push_back(text.id(all[i]));
  text.train = Eigen::Map<Eigen::VectorXi>(train.data(), static_cast<Index>(train.size()));
  text.test = Eigen::Map<Eigen::VectorXi>(test.data(), static_cast<Index>(test.size()));
  return text;
}

/// Returns the bits per held-out character of counts of the characters after each four characters.
double bits_of_counts(const Text& text) {
  CharacterCounts counts(text.symbols.size(), 4);
  counts.learn({text.train.data(), static_cast<std::size_t>(text.train.size())});
  const std::span<const int> test(text.test.data(), static_cast<std::size_t>(text.test.size()));
  double bits = 0;
  for (std::size_t i = 1; i < test.size(); ++i) bits -= std::log2(counts.probability(test, i));
  return bits / static_cast<double>(test.size() - 1);
}

/// Returns the bits per held-out character of a network. Sequences overlap by a half, so that each character but the
/// first ones is predicted from at least 64 others.
template <class Net>
double bits_of(const Net& net, const Text& text) {
  const Index count = 2 * ((text.test.size() - 1) / length) - 1;
  Eigen::VectorXi ids(count * length);
  for (Index s = 0; s < count; ++s) ids.segment(s * length, length) = text.test.segment(s * length / 2, length);
  const Matrix scores = net(fg::Batch{ids, std::vector<Index>(static_cast<std::size_t>(count), length)});
  double nats = 0;
  Index predicted = 0;
  for (Index s = 0; s < count; ++s)
    for (Index i = s == 0 ? 0 : length / 2; i < length; ++i, ++predicted) {
      const auto row = scores.row(s * length + i).cast<double>().array();
      const double top = row.maxCoeff();
      nats += top + std::log((row - top).exp().sum()) - row[text.test[s * length / 2 + i + 1]];
    }
  return nats / static_cast<double>(predicted) / std::log(2.0);
}

/// Trains a transformer whose heads are pipelines, and prints a line.
template <class Head>
auto train(const char* name, const Text& text, Index epochs, double dropout, const Head& head) {
  const Index count = (text.train.size() - 1) / length, n = count * length;
  const fg::Batch tokens{Eigen::VectorXi(text.train.head(n)),
                         std::vector<Index>(static_cast<std::size_t>(count), length)};
  Matrix next = Matrix::Zero(n, text.count());
  for (Index i = 0; i < n; ++i) next(i, text.train[i + 1]) = 1;

  const auto layer =
      fg::transformer_layer(d, fg::heads{4}, 3 * d, head, {.dropout = dropout, .rotary = fg::rotary(16)});
  auto net = fg::network(fg::embedding(text.count(), d) | fg::repeat(2, layer) | fg::layer_norm(d) |
                         fg::linear(d, text.count()));
  fg::thread_pool pool(2);
  const Index steps = epochs * ((count + 1) / 2);
  const fg::fit_options options = {.epochs = epochs,
                                   .batch = 2 * length,
                                   .clip = 1,
                                   .schedule = fg::cosine(steps, steps / 50),
                                   .executor = fg::ExecutorRef(pool)};
  const std::size_t before = begin_peak_memory();
  const auto start = std::chrono::steady_clock::now();
  fg::fit(net, tokens, next, fg::cross_entropy(), fg::adamw{.rate = 0.004, .decay = 0.1}, options);
  const std::chrono::duration<double, std::milli> time = std::chrono::steady_clock::now() - start;
  const double memory = static_cast<double>(peak_memory() - before) / 1e6, bits = bits_of(net, text);
  std::printf("%-34s │ %7.3f %14.2f %14.1f\n", name, bits, time.count() / static_cast<double>(steps), memory);
  std::fflush(stdout);
  return std::pair(net, bits);
}

/// Returns a random id with the probabilities softmax(scores / temperature).
int sample(const Matrix& scores, double temperature, fg::Generator& generator) {
  const Eigen::ArrayXd p = ((scores.row(0).array() - scores.maxCoeff()).cast<double>() / temperature).exp();
  double left = generator.uniform() * p.sum();
  Index id = 0;
  while (id + 1 < p.size() && (left -= p[id]) >= 0) ++id;
  return static_cast<int>(id);
}

/// Writes text with a network, and prints it.
template <class Net>
void write(const Net& net, const Text& text) {
  const std::string prompt = "You may ";
  std::vector<int> ids;
  for (const char c : prompt) ids.push_back(text.id(c));
  const auto prompt_size = static_cast<Index>(ids.size());

  // The prompt is one call of the decoder, and each new token is another.
  fg::Decoder decoder(net, {.capacity = 512});
  fg::Generator generator(3);
  Matrix scores = decoder(Eigen::Map<Eigen::VectorXi>(ids.data(), prompt_size)).bottomRows(1);
  while (decoder.size() < 400) {
    ids.push_back(sample(scores, 0.7, generator));
    scores = decoder(ids.back());
  }

  // Without a decoder, each new token takes the whole network for all tokens before it.
  fg::Generator again(3);
  bool same = true;
  for (Index i = prompt_size; i < static_cast<Index>(ids.size()) && same; ++i) {
    const fg::Batch before{Eigen::VectorXi(Eigen::Map<Eigen::VectorXi>(ids.data(), i)), {i}};
    same = sample(net(before).bottomRows(1), 0.7, again) == ids[static_cast<std::size_t>(i)];
  }
  std::string line;
  for (const int id : ids) line += text.symbols[static_cast<std::size_t>(id)];
  std::printf("\ntext of the model with a window │ %s\n", line.c_str());
  std::printf("the same %td characters without a decoder: %s\n", decoder.size(), same ? "yes" : "no");
}

}  // namespace

int main(int count, char** words) {
  const Index epochs = count > 1 ? std::atoi(words[1]) : 3, long_epochs = count > 2 ? std::atoi(words[2]) : 30;
  const Text text = read_text(count > 3 ? static_cast<std::size_t>(std::atoi(words[3])) : std::string::npos);
  std::printf("%td different characters, %td to learn from, %td held out\n", text.count(), text.train.size(),
              text.test.size());
  const double counts = bits_of_counts(text);
  std::printf("counts after four characters: %.3f bits per held-out character\n\n", counts);
  std::printf("%-34s │ %7s %14s %14s\n", "attention", "bits", "ms per step", "MB in training");
  const auto causal = fg::causal();
  const auto window = (causal && fg::window(31, 0)) | fg::softmax();
  (void)train("causal()", text, epochs, 0, causal | fg::softmax());
  (void)train("causal() && window(31, 0)", text, epochs, 0, window);
  (void)train("streaming(4, 32)", text, epochs, 0, fg::streaming(4, 32) | fg::softmax());
  (void)train("causal() | top_k(16)", text, epochs, 0, causal | fg::top_k(16) | fg::softmax());
  (void)train("sparse_transformer_strided(12)", text, epochs, 0, fg::sparse_transformer_strided(12) | fg::softmax());
  const auto [net, bits] = train("causal() && window(31, 0), longer", text, long_epochs, 0.1, window);
  std::printf("\nfewer bits than counts: %s\n", bits < counts ? "yes" : "no");
  write(net, text);
}
