// SPDX-License-Identifier: MIT
// A program with `using namespace Eigen` and `using namespace filigree`: the common names must not be ambiguous.
#include <filigree/filigree.hpp>

#include <Eigen/Dense>
#include <Eigen/Sparse>
#include <vector>

using namespace Eigen;
using namespace filigree;

struct Halves {
  using Category = ScoreMap;
  template <class S>
  S map(S value, Index, Index, const Grid&) const {
    return value / 2;
  }
};

int main() {
  std::vector<float> numbers(12, 1.F);
  const Map<Matrix<float, Dynamic, Dynamic, RowMajor>> q(numbers.data(), 4, 3);
  const Array<float, Dynamic, Dynamic> scaled = q.array() * 2;
  const Ref<const MatrixXf> k = q;
  const MatrixXf out = (scores(q, k) | (causal() && window(2)) | Halves() | softmax()) * MatrixXf(scaled.matrix());
  const SparseMatrix<float, RowMajor> kept = MatrixXf::Random(4, 6) | top_k(2) | entmax15();
  const VectorXf positive = VectorXf::LinSpaced(5, -1.F, 1.F) | threshold(0);
  const NdArray array = array_of(out);
  const Index rows = array.as<MatrixXf>().rows() + 2;
  return rows == 6 && kept.nonZeros() > 0 && positive.maxCoeff() == 1.F && out.allFinite() ? 0 : 1;
}
