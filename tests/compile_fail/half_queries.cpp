// expect: filigree: scores\(Q, K\): the scalar must be float or double; K alone may be half or bfloat16
// SPDX-License-Identifier: MIT
#include <filigree/filigree.hpp>
namespace fg = filigree;

void run(Eigen::MatrixXf& q, Eigen::Matrix<Eigen::half, -1, -1>& h) {
  (void)q, (void)h;
#ifndef FILIGREE_MUST_FAIL
  (void)fg::scores(q, h);
#else
  (void)fg::scores(h, h);
#endif
}
