// expect: filigree: gradients\(multi_head\(heads, Q, cache, head\), dO\): differentiate each head
// SPDX-License-Identifier: MIT
#include <filigree/filigree.hpp>
namespace fg = filigree;

void run(Eigen::MatrixXf& q, const fg::KeyValueCache<float>& cache, Eigen::MatrixXf& d_out) {
#ifndef FILIGREE_MUST_FAIL
  d_out = fg::gradients((fg::scores(q, cache.head(0)) | fg::softmax()) * cache.values(0), d_out).q;
#else
  fg::gradients(fg::multi_head(fg::heads{2}, q, cache, fg::softmax()), d_out);
#endif
}
