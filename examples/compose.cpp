// SPDX-License-Identifier: MIT
// How do the operations of the library compose? The expressions are between the lines "clang-format off" and "on". The
// rest of the program prepares inputs and prints results.
#include <filigree/filigree.hpp>
#include <iostream>
namespace fg = filigree;
using Matrix = Eigen::Matrix<float, Eigen::Dynamic, Eigen::Dynamic, Eigen::RowMajor>;
using Sparse = Eigen::SparseMatrix<float, Eigen::RowMajor>;

namespace {

Matrix normal(Eigen::Index rows, Eigen::Index cols, std::uint64_t seed) {
  Matrix result(rows, cols);
  fg::Generator generator(seed);
  fg::fill_normal(result, generator);
  return result;
}

const char* same(const Matrix& a, const Matrix& b) { return a.isApprox(b, 1e-5f) ? "yes" : "no"; }

void compose(const Eigen::VectorXf& x, const Matrix& X, const Matrix& Q, const Matrix& K, const Matrix& V) {
  fg::thread_pool pool(2);
  fg::Workspace workspace;

  // K in two parts, each at its positions in K.
  const Eigen::Index m1 = K.rows() / 3, m2 = K.rows() - m1;
  const Matrix K1 = K.topRows(m1), V1 = V.topRows(m1), K2 = K.bottomRows(m2), V2 = V.bottomRows(m2);
  const auto same_head = (fg::causal() && (fg::window(256) || fg::global({0}))) | fg::softmax();
  auto A1 = fg::scores(Q, K1, {.query_at = 0}) | same_head;
  auto A2 = fg::scores(Q, K2, {.query_at = 0, .key_at = m1}) | same_head;

  // clang-format off
  // Sparsifiers apply to vectors and matrices. The left operand may be any Eigen expression.
  Eigen::VectorXf y = x | fg::threshold(0.5);
  Sparse codes = X | fg::top_k(3);

  // Attention weights are a lazy n×m matrix. This line computes nothing.
  auto A = fg::scores(Q, K) | fg::causal() | fg::top_k(32) | fg::softmax();
  Matrix O = A * V;          // fused: no n×m memory
  Sparse W = A;              // the weights as a sparse matrix
  Matrix dense = A;          // or as a dense matrix

  auto [columns, weights] = fg::selected(A);   // n×k: the keys of each query and their weights, best first

  // Patterns are boolean expressions. A pipeline without a source is a value.
  auto local = fg::causal() && (fg::window(256) || fg::global({0}));
  auto head = local | fg::softmax();
  Matrix O2 = (fg::scores(Q, K) | head) * V;

  // The caller provides threads and reusable memory.
  O2 = A.on(pool).with(workspace) * V;

  // Output and logsumexp of each row. Partial results over disjoint keys are merged exactly.
  auto [out, lse] = fg::attend(fg::scores(Q, K) | head, V);
  auto whole = fg::merge(fg::attend(A1, V1), fg::attend(A2, V2));
  // clang-format on

  std::cout << "y: " << y.transpose() << "\n"
            << "codes: " << codes.rows() << "x" << codes.cols() << " with " << codes.nonZeros() << " entries\n"
            << "W: " << W.rows() << "x" << W.cols() << " with " << W.nonZeros() << " entries\n"
            << "dense is W: " << same(dense, W) << ", W * V is O: " << same(W * V, O) << "\n"
            << "columns: " << columns.rows() << "x" << columns.cols() << ", the first of row 2 are "
            << columns.row(2).head(5) << ", weights " << weights.row(2).head(5) << "\n"
            << "two threads give the same bits: " << (O2 == O ? "yes" : "no") << "\n"
            << "parts merge to the whole: " << same(whole.out, out) << ", " << same(whole.lse, lse) << "\n";
}

void heads(const Matrix& Q, const Matrix& K, const Matrix& V) {
  // clang-format off
  Matrix H2 = fg::multi_head(fg::heads{8}, Q, K, V, [](auto h) { return fg::alibi(1.0 / (1 << h)) | fg::softmax(); });
  // clang-format on
  const auto last =
      (fg::scores(Q.rightCols(8), K.rightCols(8)) | fg::alibi(1.0 / 128) | fg::softmax()) * V.rightCols(8);
  std::cout << "head 7 of 8 is attention on columns 56 to 63: " << same(H2.rightCols(8), last) << "\n";
}

void grouped_heads(const Matrix& Q, const Matrix& K, const Matrix& V) {
  const auto head = fg::causal() | fg::softmax();
  // clang-format off
  // Heads are column blocks of Q, K and V. heads{8, 2} is grouped-query attention. The result is lazy, like A * V.
  Matrix H = fg::multi_head(fg::heads{8, 2}, Q, K, V, head);
  // clang-format on
  const auto last = (fg::scores(Q.rightCols(8), K.rightCols(8)) | head) * V.rightCols(8);
  std::cout << "query heads 4 to 7 share key head 1: " << same(H.rightCols(8), last) << "\n";
}

}  // namespace

int main() {
  const Eigen::VectorXf x{{0.9f, 0.1f, 0.8f, 0.6f, 0.2f, 0.3f}};
  const Matrix Q = normal(600, 64, 1), K = normal(600, 64, 2), V = normal(600, 64, 3);
  std::cout.precision(2);
  compose(x, normal(4, 10, 4), Q, K, V);
  heads(Q, K, V);
  grouped_heads(Q, K.leftCols(16), V.leftCols(16));
}
