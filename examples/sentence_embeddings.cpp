// SPDX-License-Identifier: MIT
// Which paragraph of a license answers a question? A pre-trained encoder turns texts into vectors, and texts of similar
// meaning get similar directions. The argument is the folder of the model, build/model by default.
#include <chrono>
#include <cstdio>

#include "sentence_encoder.hpp"

int main(int count, char** arguments) {
  const std::string folder = count > 1 ? arguments[1] : "build/model";
  if (!has_model(folder)) return 0;
  const SentenceEncoder encoder(folder, filigree::softmax());
  const Passages passages = read_passages({"Apache-2.0", "GPL-2", "GPL-3", "MPL-2.0", "CC0-1.0"}, 60);
  Eigen::Index tokens = 0;
  for (const Eigen::Index length : encoder.tokens(passages.texts).lengths) tokens += length;
  std::printf("%td parameters, %zu paragraphs, %td tokens\n", encoder.parameter_count(), passages.texts.size(), tokens);

  const auto start = std::chrono::steady_clock::now();
  const Matrix embeddings = encoder(passages.texts);
  const std::chrono::duration<double> time = std::chrono::steady_clock::now() - start;
  std::printf("one vector of %td numbers for each  │ %.0f texts and %.0f tokens per second\n", embeddings.cols(),
              static_cast<double>(embeddings.rows()) / time.count(), static_cast<double>(tokens) / time.count());

  const Texts questions = {"Who pays if the program breaks my computer?", "Can I sell copies of the software?",
                           "What happens to my rights when I sue somebody over a patent?",
                           "I want to give up my copyright completely.",
                           "May I use the name of the company in advertisements?"};
  const Matrix asked = encoder(questions);
  for (std::size_t q = 0; q < questions.size(); ++q) {
    const Eigen::Index best = by_similarity(embeddings, asked.row(static_cast<Eigen::Index>(q))).front();
    const std::string& text = passages.texts[static_cast<std::size_t>(best)];
    std::printf("\n%s  │ cosine %.2f\n%s: %s\n", questions[q].c_str(),
                embeddings.row(best).dot(asked.row(static_cast<Eigen::Index>(q))),
                passages.sources[static_cast<std::size_t>(best)].c_str(),
                (text.size() <= 200 ? text : text.substr(0, text.rfind(' ', 200)) + " ...").c_str());
  }
}
