// expect: filigree: multi_head\(heads, Q, cache, head\): head must be a pipeline or a function of the head index
// SPDX-License-Identifier: MIT
#include <filigree/filigree.hpp>
namespace fg = filigree;

void run(Eigen::MatrixXf& q, fg::KeyValueCache<float>& cache) {
#ifndef FILIGREE_MUST_FAIL
  (void)fg::multi_head(fg::heads{2}, q, cache, [](auto) { return fg::softmax(); });
#else
  (void)fg::multi_head(fg::heads{2}, q, cache, 3);
#endif
}
