// SPDX-License-Identifier: MIT
// How well do dictionaries that are learned from a noisy photograph remove its noise?
//
//   denoise [side [iterations [threads [file]]]]: uses the middle side x side pixels of the photograph, by default all,
//   and writes the noisy pixels to file.npy if a name is given.
#include <cstdio>
#include <cstdlib>
#include <filigree/core/thread_pool.hpp>
#include <filigree/filigree.hpp>
#include <filigree/io/npy.hpp>

#include "image_patches.hpp"
#define STB_IMAGE_WRITE_IMPLEMENTATION
#include <filigree/io/png.hpp>

namespace fg = filigree;
using Eigen::Index;
using Image = Eigen::Matrix<float, Eigen::Dynamic, Eigen::Dynamic, Eigen::RowMajor>;

constexpr Index side = 8;  // of a patch
constexpr double sigma = 25;

int main(int argc, char** argv) {
  const Image photograph = 255 * fg::load_pgm<Image>(FILIGREE_IMAGES "/camera.pgm");
  const Index size = argc > 1 ? std::atol(argv[1]) : photograph.rows();
  const Index iterations = argc > 2 ? std::atol(argv[2]) : 15;
  fg::thread_pool pool(argc > 3 ? std::atol(argv[3]) : 1);
  const Index skipped = (photograph.rows() - size) / 2;
  const Image clean = photograph.block(skipped, skipped, size, size);
  Image noise(size, size);
  fg::Generator generator(1);
  fg::fill_normal(noise, generator);
  const Image noisy = clean + float(sigma) * noise;
  if (argc > 4) fg::save_npy(argv[4], noisy);

  Image patches = patches_of(noisy, side);
  const Image means = patches.rowwise().mean();
  patches.colwise() -= means.col(0);
  std::vector<Index> drawn(static_cast<std::size_t>(std::min<Index>(40000, patches.rows())));
  generator.sample_without_replacement(patches.rows(), drawn);
  const Image samples = patches(drawn, Eigen::indexing::all);

  // Noise of a patch has a norm of about 8 sigma.
  const fg::omp method{.tolerance = 1.15 * sigma * side};
  const fg::dictionary_options options{.atoms = 256, .iterations = iterations, .executor = fg::ExecutorRef(pool)};
  const double before = fg::psnr(clean, noisy, 255);
  std::printf("%ld x %ld pixels, noise of sigma %g\n\n", long(size), long(size), sigma);
  std::printf("%-28s    gain   │ PSNR (dB)  atoms per patch\n", "");
  std::printf("%-28s           │ %9.2f\n", "noisy", before);

  Image picture(size, 4 * size);
  picture << noisy, clean, clean, clean;
  const auto denoise = [&](const char* name, const Image& dictionary, Index place) {
    const Eigen::SparseMatrix<float, Eigen::RowMajor> codes = fg::encode(patches, dictionary, method).on(pool);
    Image denoised = codes * dictionary;
    denoised.colwise() += means.col(0);
    const Image result = average_patches(denoised, size, size, side);
    const double after = fg::psnr(clean, result, 255);
    const int gain = int(after - before);
    std::printf("%-28s > %d dB   │ %9.2f %16.2f\n", name, gain, after, double(codes.nonZeros()) / double(codes.rows()));
    picture.middleCols(place * size, size) = result;
  };
  denoise("k_svd", fg::k_svd(samples, method, options).atoms, 1);
  denoise("online_dictionary_learning", fg::online_dictionary_learning(samples, method, options).atoms, 2);
  fg::save_png("denoise.png", picture.cwiseMax(0.0F).cwiseMin(255.0F) / 255);
  std::printf("\ndenoise.png: noisy, k_svd, online_dictionary_learning, clean\n");
}
