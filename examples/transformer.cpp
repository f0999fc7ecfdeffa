// SPDX-License-Identifier: MIT
// How is a sparse transformer built, trained on sequences of different lengths, and used?
// The task: for each token, repeat the token two places before it.
#include <algorithm>
#include <filigree/filigree.hpp>
#include <iostream>
#include <vector>

namespace fg = filigree;
using Matrix = Eigen::Matrix<float, Eigen::Dynamic, Eigen::Dynamic, Eigen::RowMajor>;

int main() {
  constexpr Eigen::Index tokens = 4000, words = 8, d = 16;
  fg::Generator generator(1);
  std::vector<Eigen::Index> lengths;
  Eigen::VectorXi ids(tokens);
  Matrix targets = Matrix::Zero(tokens, words);
  for (Eigen::Index first = 0; first < tokens;) {
    const Eigen::Index length = std::min<Eigen::Index>(3 + generator.below(18), tokens - first);
    for (Eigen::Index i = first; i < first + length; ++i) {
      ids[i] = static_cast<int>(generator.below(words));
      targets(i, ids[std::max(i - 2, first)]) = 1;
    }
    lengths.push_back(length);
    first += length;
  }

  const auto head = (fg::causal() && fg::window(4)) | fg::softmax();
  auto net =
      fg::network(fg::embedding(words, d) |
                      fg::repeat(2, fg::transformer_layer(d, fg::heads{2}, 32, head, {.rotary = fg::rotary(8)})) |
                      fg::layer_norm(d) | fg::linear(d, words) | fg::softmax(),
                  5);
  const fg::Batch batch{ids, lengths};
  fg::fit(net, batch, targets, fg::cross_entropy(), fg::adam{.rate = 0.01},
          {.epochs = 12, .batch = 256, .progress = false});

  fg::Predictor predict(net);  // keeps its memory from call to call
  const Matrix outputs = predict(batch);
  Eigen::Index right = 0;
  for (Eigen::Index i = 0; i < tokens; ++i) {
    Eigen::Index best = 0;
    outputs.row(i).maxCoeff(&best);
    right += targets(i, best) == 1 ? 1 : 0;
  }
  std::cout << lengths.size() << " sequences, " << net.parameters().size() << " parameters\n"
            << "right: more than 99% of the tokens: " << (right > 0.99 * tokens ? "yes" : "no") << '\n';
}
