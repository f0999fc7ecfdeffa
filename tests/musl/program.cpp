// SPDX-License-Identifier: MIT
// A program for attention, training and files on musl, whose threads have stacks of 128 KiB.
#include <cstdio>
#include <filesystem>
#include <filigree/filigree.hpp>
#include <string>

namespace fg = filigree;

namespace {

using Matrix = Eigen::Matrix<float, -1, -1, Eigen::RowMajor>;
int failures = 0;

void check(bool ok, const char* what) {
  if (ok) return;
  std::printf("failed: %s\n", what);
  ++failures;
}

Matrix normal(fg::Generator& g, Eigen::Index rows, Eigen::Index cols) {
  Matrix x(rows, cols);
  for (Eigen::Index e = 0; e < x.size(); ++e) x.data()[e] = static_cast<float>(g.normal());
  return x;
}

/// Checks that a pool computes the same bits as one thread.
template <class Pipeline>
void check_pool(fg::thread_pool& pool, const Matrix& q, const Matrix& k, const Matrix& v, const Pipeline& pipeline,
                const char* what) {
  const auto a = fg::scores(q, k) | pipeline;
  const Matrix serial = a * v, parallel = a.on(pool) * v;
  check(serial == parallel && serial.allFinite(), what);
}

}  // namespace

int main() {
  fg::Generator g(1);
  const Matrix q = normal(g, 700, 64), k = normal(g, 700, 64), v = normal(g, 700, 64);
  fg::thread_pool pool(4);
  check_pool(pool, q, k, v, fg::causal() | fg::softmax(), "softmax");
  check_pool(pool, q, k, v, fg::top_k(8) | fg::softmax(), "top_k");
  check_pool(pool, q, k, v, (fg::window(32) || fg::first(4)) | fg::alibi(0.1) | fg::softmax(), "window");
  check_pool(pool, q, k, v, (fg::random(8, 5) || fg::window(1)) | fg::softmax(), "random");
  check_pool(pool, q, k, v, fg::block_top_k(64, 3) | fg::softmax(), "block_top_k");
  check_pool(pool, q, k, v, fg::lsh(2, 16, 32, 7) | fg::softmax(), "lsh");
  check_pool(pool, q, k, v, fg::top_p(0.5) | fg::entmax15(), "top_p");

  auto sae = fg::autoencoder(fg::pre_bias() | fg::linear(64, 256) | fg::top_k(8) | fg::relu(),
                             fg::linear(256, 64).unit_norm_rows(), 1);
  const auto report = fg::fit(sae, v, fg::squared_error() + (1.0 / 32) * fg::aux_k(16), fg::adam{},
                              {.epochs = 4, .batch = 100, .executor = fg::ExecutorRef(pool)});
  check(report.losses.back() < report.losses.front(), "fit");

  const std::string path = std::filesystem::temp_directory_path() / "filigree_program.npy";
  fg::save_npy(path, q);
  check(fg::load_npy(path).as<Matrix>() == q, "npy");
  check(fg::parse_npy(fg::map_file(path), path).as<Matrix>() == q, "mapped npy");
  std::filesystem::remove(path);
  std::printf("%d failures\n", failures);
  return failures == 0 ? 0 : 1;
}
