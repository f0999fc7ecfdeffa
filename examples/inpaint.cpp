// SPDX-License-Identifier: MIT
// How well do sparse codes of the known pixels fill in the missing half of a photograph? The atoms are learned from
// seven other photographs.
//
//   inpaint [side [iterations [threads]]]: uses the middle side x side pixels of the photograph, by default all.
#include <cstdio>
#include <cstdlib>
#include <filigree/core/thread_pool.hpp>
#include <filigree/filigree.hpp>

#include "image_patches.hpp"
#define STB_IMAGE_WRITE_IMPLEMENTATION
#include <filigree/io/png.hpp>

namespace fg = filigree;
using Eigen::Index;
using Image = Eigen::Matrix<float, Eigen::Dynamic, Eigen::Dynamic, Eigen::RowMajor>;

constexpr Index side = 8;  // of a patch

int main(int argc, char** argv) {
  const Image photograph = 255 * fg::load_pgm<Image>(FILIGREE_IMAGES "/camera.pgm");
  const Index size = argc > 1 ? std::atol(argv[1]) : photograph.rows();
  const Index iterations = argc > 2 ? std::atol(argv[2]) : 15;
  fg::thread_pool pool(argc > 3 ? std::atol(argv[3]) : 1);
  const Index skipped = (photograph.rows() - size) / 2;
  const Image clean = photograph.block(skipped, skipped, size, size);
  fg::Generator generator(1);
  Image known(size, size);
  for (Index e = 0; e < known.size(); ++e) known.data()[e] = generator.uniform(0, 1) < 0.5 ? 0.0F : 1.0F;

  // The first atom is constant, and the others are learned from patches without their mean.
  Image samples = 255 * draw_patches(FILIGREE_IMAGES, 20000, side, fg::Generator(2),
                                     {"brick", "chelsea", "coffee", "coins", "grass", "gravel", "moon"})
                            .cast<float>();
  samples.colwise() -= samples.rowwise().mean().eval();
  const fg::omp learning{.k = 6};
  const auto learned =
      fg::k_svd(samples, learning, {.atoms = 255, .iterations = iterations, .executor = fg::ExecutorRef(pool)});
  Image atoms(256, side * side);
  atoms << Image::Constant(1, side * side, 1.0F / side), learned.atoms;

  const fg::omp method{.k = 6, .tolerance = 8};
  const Image patches = patches_of(clean, side), masks = patches_of(known, side);
  const Eigen::SparseMatrix<float, Eigen::RowMajor> codes = fg::encode(patches, atoms, method).known(masks).on(pool);
  const Image filled = average_patches(Image(codes * atoms), size, size, side);
  const Image result = known.array().select(clean.array(), filled.array()).matrix();

  // For comparison, each missing pixel as the mean of the known pixels around it.
  Image interpolated = clean;
  for (Index y = 0; y < size; ++y)
    for (Index x = 0; x < size; ++x) {
      if (known(y, x) != 0) continue;
      for (Index reach = 1; known(y, x) == 0; ++reach) {
        const Index top = std::max<Index>(y - reach, 0), left = std::max<Index>(x - reach, 0);
        const Index rows = std::min(y + reach + 1, size) - top, cols = std::min(x + reach + 1, size) - left;
        const float count = known.block(top, left, rows, cols).sum();
        if (count == 0) continue;
        const Image around = clean.block(top, left, rows, cols);
        interpolated(y, x) = known.block(top, left, rows, cols).cwiseProduct(around).sum() / count;
        break;
      }
    }

  const Image missing = clean.cwiseProduct(known);
  const double mean_psnr = fg::psnr(clean, interpolated, 255), psnr = fg::psnr(clean, result, 255);
  std::printf("%ld x %ld pixels, half of them missing\n\n", long(size), long(size));
  std::printf("%-28s │ PSNR (dB)\n", "");
  std::printf("missing pixels are 0         │ %9.2f\n", fg::psnr(clean, missing, 255));
  std::printf("mean of the known neighbors  │ %9.2f\n", mean_psnr);
  std::printf("omp of the known pixels      │ %9.2f, %.2f atoms per patch\n", psnr,
              double(codes.nonZeros()) / double(codes.rows()));
  std::printf("\nomp gains more than %d dB over the mean\n", int(psnr - mean_psnr));

  Image picture(size, 3 * size);
  picture << clean, missing, result;
  fg::save_png("inpaint.png", picture.cwiseMax(0.0F).cwiseMin(255.0F) / 255);
  std::printf("inpaint.png: clean, with missing pixels, filled in\n");
}
