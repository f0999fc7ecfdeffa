// SPDX-License-Identifier: MIT
// A translation unit that includes everything. A program may link it several times, compiled with different flags.
#include <filigree/filigree.hpp>

#include "units.hpp"

namespace fg = filigree;

namespace {

using Matrix = Eigen::Matrix<float, Eigen::Dynamic, Eigen::Dynamic, Eigen::RowMajor>;

void attention(const float* q, const float* k, const float* v, float* out) {
  const Eigen::Map<const Matrix> Q(q, length, width), K(k, length, width), V(v, length, width);
  Eigen::Map<Matrix>(out, length, width) = (fg::scores(Q, K) | fg::causal() | fg::top_k(4) | fg::softmax()) * V;
}

[[maybe_unused]] const bool added = add_unit(attention);

}  // namespace
