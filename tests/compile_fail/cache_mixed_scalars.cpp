// expect: filigree: cache.append\(K, V\): K and V must have the scalar of the queries, or half or bfloat16
// SPDX-License-Identifier: MIT
#include <filigree/filigree.hpp>
namespace fg = filigree;

void run(fg::KeyValueCache<float>& cache, Eigen::MatrixXd& k, Eigen::MatrixXf& v) {
#ifndef FILIGREE_MUST_FAIL
  cache.append(k.cast<float>(), v);
#else
  cache.append(k, v);
#endif
}
