// SPDX-License-Identifier: MIT
// How does a decoder attend to the outputs of an encoder? The task: the tokens of a sequence in reverse order. Token i
// of the decoder is the one that it wrote before, and its output is the next one.
#include <filigree/filigree.hpp>
#include <iostream>
#include <vector>

namespace fg = filigree;
using Eigen::Index;
using Matrix = Eigen::Matrix<float, Eigen::Dynamic, Eigen::Dynamic, Eigen::RowMajor>;

int main() {
  constexpr Index sequences = 1200, held_out = 200, words = 10, d = 32;  // word 0 begins a sequence of the decoder
  fg::Generator generator(1);
  std::vector<Index> lengths;
  Index count = 0;
  for (Index s = 0; s < sequences; ++s) count += lengths.emplace_back(2 + generator.below(5));
  Eigen::VectorXi memory(count), tokens(count), next(count);
  Index first = 0, learned = 0;  // rows, and those of the sequences to learn from
  for (Index s = 0; s < sequences; ++s) {
    const Index n = lengths[static_cast<std::size_t>(s)];
    if (s == sequences - held_out) learned = first;
    for (Index i = 0; i < n; ++i) memory[first + i] = static_cast<int>(1 + generator.below(words - 1));
    next.segment(first, n) = memory.segment(first, n).reverse();
    tokens[first] = 0;
    tokens.segment(first + 1, n - 1) = next.segment(first, n - 1);
    first += n;
  }
  Matrix targets = Matrix::Zero(count, words);
  for (Index i = 0; i < count; ++i) targets(i, next[i]) = 1;

  const auto encoder = fg::embedding(words, d) | fg::positions::sinusoidal(d) |
                       fg::repeat(2, fg::transformer_layer(d, fg::heads{2}, 64, fg::softmax()));
  const auto layer = fg::decoder_layer(d, fg::heads{2}, 64, fg::causal() | fg::softmax(), fg::softmax());
  auto net = fg::network(fg::encoder_decoder(encoder, fg::embedding(words, d) | fg::positions::sinusoidal(d) |
                                                          fg::repeat(2, layer) | fg::linear(d, words)),
                         3);

  const std::vector<Index> seen(lengths.begin(), lengths.end() - held_out),
      unseen(lengths.end() - held_out, lengths.end());
  const Eigen::VectorXi tokens_seen = tokens.head(learned), memory_seen = memory.head(learned);
  fg::fit(net, fg::Batch{tokens_seen, seen, fg::Batch{memory_seen, seen}}, targets.topRows(learned),
          fg::cross_entropy(), fg::adamw{.rate = 0.003}, {.epochs = 12, .batch = 128, .clip = 1});

  const Eigen::VectorXi others = tokens.tail(count - learned), memory_of_others = memory.tail(count - learned);
  const Matrix outputs = net(fg::Batch{others, unseen, fg::Batch{memory_of_others, unseen}});
  Index right = 0;
  for (Index i = 0; i < outputs.rows(); ++i) {
    Index best = 0;
    outputs.row(i).maxCoeff(&best);
    right += best == next[learned + i] ? 1 : 0;
  }
  std::cout << sequences - held_out << " sequences to learn from, " << net.parameters().size() << " parameters\n"
            << "right: more than 97% of the tokens of " << held_out
            << " other sequences: " << (right > 0.97 * static_cast<double>(outputs.rows()) ? "yes" : "no") << '\n';
}
