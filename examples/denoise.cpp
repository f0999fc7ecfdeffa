// SPDX-License-Identifier: MIT
// How well do dictionaries that are learned from a noisy photograph remove its noise?
//
//   denoise [side [iterations [threads]]]: uses the middle side x side pixels of the photograph, by default all.
#include <cstdio>
#include <cstdlib>
#include <filigree/core/thread_pool.hpp>
#include <filigree/filigree.hpp>
#include <filigree/io/pgm.hpp>
#define STB_IMAGE_WRITE_IMPLEMENTATION
#include <filigree/io/png.hpp>

namespace fg = filigree;
using Eigen::Index;
using Matrix = Eigen::Matrix<float, Eigen::Dynamic, Eigen::Dynamic, Eigen::RowMajor>;

constexpr Index side = 8;  // of a patch
constexpr double sigma = 25;

/// Returns all patches, one per row.
Matrix patches_of(const Matrix& image) {
  const Index across = image.cols() - side + 1, down = image.rows() - side + 1;
  Matrix patches(down * across, side * side);
  for (Index p = 0; p < patches.rows(); ++p)
    patches.row(p) = image.block(p / across, p % across, side, side).reshaped<Eigen::RowMajor>().transpose();
  return patches;
}

/// Returns the picture in which each pixel is the mean of the patches that contain it.
Matrix average(const Matrix& patches, Index rows, Index cols) {
  const Index across = cols - side + 1;
  Matrix sum = Matrix::Zero(rows, cols), count = Matrix::Zero(rows, cols);
  for (Index p = 0; p < patches.rows(); ++p) {
    sum.block(p / across, p % across, side, side) += patches.row(p).reshaped<Eigen::RowMajor>(side, side);
    count.block(p / across, p % across, side, side).array() += 1;
  }
  return sum.cwiseQuotient(count);
}

int main(int argc, char** argv) {
  const Matrix photograph = 255 * fg::load_pgm<Matrix>(FILIGREE_IMAGES "/camera.pgm");
  const Index size = argc > 1 ? std::atol(argv[1]) : photograph.rows();
  const Index iterations = argc > 2 ? std::atol(argv[2]) : 15;
  fg::thread_pool pool(argc > 3 ? std::atol(argv[3]) : 1);
  const Index skipped = (photograph.rows() - size) / 2;
  const Matrix clean = photograph.block(skipped, skipped, size, size);
  Matrix noise(size, size);
  fg::Generator generator(1);
  fg::fill_normal(noise, generator);
  const Matrix noisy = clean + float(sigma) * noise;

  Matrix patches = patches_of(noisy);
  const Matrix means = patches.rowwise().mean();
  patches.colwise() -= means.col(0);
  std::vector<Index> drawn(static_cast<std::size_t>(std::min<Index>(40000, patches.rows())));
  generator.sample_without_replacement(patches.rows(), drawn);
  const Matrix samples = patches(drawn, Eigen::indexing::all);

  // Noise of a patch has a norm of about 8 sigma.
  const fg::omp method{.tolerance = 1.15 * sigma * side};
  const fg::dictionary_options options{.atoms = 256, .iterations = iterations, .executor = fg::ExecutorRef(pool)};
  const double before = fg::psnr(clean, noisy, 255);
  std::printf("%ld x %ld pixels, noise of sigma %g\n\n", long(size), long(size), sigma);
  std::printf("%-28s    gain   │ PSNR (dB)  atoms per patch\n", "");
  std::printf("%-28s           │ %9.2f\n", "noisy", before);

  Matrix picture(size, 4 * size);
  picture << noisy, clean, clean, clean;
  const auto denoise = [&](const char* name, const Matrix& dictionary, Index place) {
    const Eigen::SparseMatrix<float, Eigen::RowMajor> codes = fg::encode(patches, dictionary, method).on(pool);
    Matrix denoised = codes * dictionary;
    denoised.colwise() += means.col(0);
    const Matrix result = average(denoised, size, size);
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
