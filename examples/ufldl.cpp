// SPDX-License-Identifier: MIT
// Which features does a sparse autoencoder learn from photographs? This is the exercise of the UFLDL course: 25
// latents, each with a mean activation of 1 %, represent 10,000 patches of 8 x 8 pixels. They learn to detect edges.
//
//   ufldl [iterations [patches [picture]]]
#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <filigree/filigree.hpp>
#include <filigree/nn/train/lbfgs.hpp>
#include <iostream>

#include "enlarge.hpp"
#include "image_patches.hpp"
#define STB_IMAGE_WRITE_IMPLEMENTATION
#include <filigree/io/png.hpp>

namespace fg = filigree;

namespace {

void learn(fg::Index iterations, fg::Index patches, const std::string& picture) {
  Matrix X = draw_patches(FILIGREE_IMAGES, patches, 8, fg::Generator(1));
  normalize_patches(X);

  auto sae = fg::autoencoder(fg::linear<double>(64, 25) | fg::sigmoid() | fg::penalize(3.0 * fg::kl(0.01)),
                             fg::linear<double>(25, 64) | fg::sigmoid(), 1);
  const auto objective = 0.5 * fg::squared_error() + 1e-4 * fg::weight_decay();
  const auto report = fg::fit(sae, X, objective, fg::lbfgs{.iterations = iterations});

  const auto best = std::min_element(report.losses.begin(), report.losses.end());
  std::printf("%td patches, %td iterations: the cost decreases from %.1f to %.2f\n", patches, report.steps,
              report.losses.front(), *best);
  const Eigen::RowVectorXd active = sae.encode(X).colwise().mean();
  std::printf("a latent is active in %.1f to %.1f %% of the patches, the target is 1 %%\n", 100 * active.minCoeff(),
              100 * active.maxCoeff());
  if (!report.note.empty()) std::printf("%s\n", report.note.c_str());

  // Of all patches of norm 1, w / |w| activates a latent with the weights w most. tiles() scales each picture
  // separately.
  fg::save_png(picture, enlarge(fg::tiles(sae.weights<0>().transpose(), 8, 8), 6));
  std::printf("%s shows the patch that activates each latent most\n", picture.c_str());
}

}  // namespace

int main(int count, char** words) try {
  const fg::Index iterations = count > 1 ? std::atoi(words[1]) : 400, patches = count > 2 ? std::atoi(words[2]) : 10000;
  if (iterations < 1 || patches < 1) {
    std::cerr << "ufldl [iterations [patches [picture]]]\n";
    return 2;
  }
  learn(iterations, patches, count > 3 ? words[3] : "ufldl.png");
} catch (const std::exception& error) {
  std::cerr << error.what() << "\n";
  return 1;
}
