// SPDX-License-Identifier: MIT
// filigree_transformers folder encoder threads: reads a BERT encoder from config.json and model.safetensors in the
// folder. For each line of its input, "texts tokens calls", it reads the words from folder/words, computes the last
// hidden states `calls` times, writes them to folder/hidden and prints the time of one call.
//
// filigree_transformers folder training threads n d heads hidden layers window recompute: trains a causal
// transformer on one sequence, folder/x, for the targets folder/y, from folder/parameters; with recompute = 1 it keeps
// only the inputs of the layers. It computes one step of Adam for each line of
// its input, writes the loss before the step to folder/loss and the peak memory in MB above that of the operands to
// folder/megabytes, and prints the time of the step.
//
// Times are in seconds: CPU time with one thread, otherwise wall-clock time.

#include <cstdlib>
#include <filigree/core/thread_pool.hpp>
#include <filigree/filigree.hpp>
#include <filigree/transformer/bert.hpp>
#include <fstream>
#include <iostream>
#include <sstream>
#include <string>
#include <vector>

#include "clock.hpp"

namespace fg = filigree;
using Eigen::Index;
using Matrix = Eigen::Matrix<float, Eigen::Dynamic, Eigen::Dynamic, Eigen::RowMajor>;

namespace {

template <class T>
void read(const std::string& path, T* to, Index count) {
  std::ifstream file(path, std::ios::binary);
  if (!file.read(reinterpret_cast<char*>(to), static_cast<std::streamsize>(sizeof(T)) * count)) std::exit(1);
}

template <class T>
void write(const std::string& path, const T* from, Index count) {
  std::ofstream(path, std::ios::binary)
      .write(reinterpret_cast<const char*>(from), static_cast<std::streamsize>(sizeof(T)) * count);
}

/// Peak memory in MB. getrusage would count that of the program that started this one.
double peak() {
  std::ifstream status("/proc/self/status");
  for (std::string word; status >> word;)
    if (word == "VmHWM:") {
      double kilobytes = 0;
      status >> kilobytes;
      return kilobytes / 1024;
    }
  return 0;
}

int encode(const std::string& folder, Index threads) {
  auto net = fg::bert_encoder(fg::BertConfig::read(fg::load_json(folder + "/config.json")));
  fg::load(net, folder + "/model.safetensors", fg::bert_names());
  fg::thread_pool pool(threads);
  fg::Predictor predict(net, fg::ExecutorRef(pool));
  for (std::string line; std::getline(std::cin, line);) {
    Index texts = 0, tokens = 0, calls = 0;
    std::istringstream(line) >> texts >> tokens >> calls;
    Eigen::VectorXi words(texts * tokens);
    read(folder + "/words", words.data(), words.size());
    Eigen::MatrixXi ids = Eigen::MatrixXi::Zero(words.size(), 2);
    ids.col(0) = words;
    const fg::Batch batch{ids, std::vector<Index>(static_cast<std::size_t>(texts), tokens)};
    const double start = seconds(threads == 1);
    for (Index call = 1; call < calls; ++call) predict(batch);
    const auto& hidden = predict(batch);
    const double took = (seconds(threads == 1) - start) / static_cast<double>(calls);
    write(folder + "/hidden", hidden.data(), hidden.size());
    std::cout << took << std::endl;
  }
  return 0;
}

struct Sizes {
  Index n, d, heads, hidden, layers, window, recompute;
};

int train(const std::string& folder, Index threads, const Sizes& size) {
  const auto head = (fg::causal() && fg::window(size.window)) | fg::softmax();
  auto net =
      fg::network(fg::repeat(size.layers, fg::transformer_layer(size.d, fg::heads{size.heads}, size.hidden, head),
                             {.recompute = size.recompute != 0}));
  Matrix x(size.n, size.d), y(size.n, size.d);
  read(folder + "/x", x.data(), x.size());
  read(folder + "/y", y.data(), y.size());
  read(folder + "/parameters", net.parameters().data(), net.parameters().size());

  const double before = peak();
  fg::thread_pool pool(threads);
  std::string line;
  if (!std::getline(std::cin, line)) return 0;
  double start = seconds(threads == 1);
  const auto after_epoch = [&](const fg::EpochReport& epoch) {
    const double took = seconds(threads == 1) - start, used = peak() - before;
    write(folder + "/loss", &epoch.loss, 1);
    write(folder + "/megabytes", &used, 1);
    std::cout << took << std::endl;
    const bool more = static_cast<bool>(std::getline(std::cin, line));
    start = seconds(threads == 1);
    return more;
  };
  fg::fit(net, fg::Batch{x, std::vector<Index>{size.n}}, y, fg::squared_error(), fg::adam{.rate = 1e-4},
          {.epochs = 1'000'000, .after_epoch = after_epoch, .progress = false, .executor = fg::ExecutorRef(pool)});
  return 0;
}

}  // namespace

int main(int argc, char** argv) {
  if (argc < 4) return 2;
  const std::string folder = argv[1], task = argv[2];
  const auto number = [&](int i) { return static_cast<Index>(std::atol(argv[i])); };
  if (task == "encoder" && argc == 4) return encode(folder, number(3));
  if (task == "training" && argc == 11)
    return train(folder, number(3),
                 {.n = number(4),
                  .d = number(5),
                  .heads = number(6),
                  .hidden = number(7),
                  .layers = number(8),
                  .window = number(9),
                  .recompute = number(10)});
  return 2;
}
