// expect: filigree: scores\(Q, K\): Q and K must have the same scalar; cast one with .cast<>\(\)
// SPDX-License-Identifier: MIT
#include <filigree/filigree.hpp>
namespace fg = filigree;

void run(Eigen::MatrixXd& q, Eigen::Matrix<Eigen::half, -1, -1>& h) {
  (void)q, (void)h;
#ifndef FILIGREE_MUST_FAIL
  (void)fg::scores(q, fg::pack(h.cast<double>()));
#else
  (void)fg::scores(q, fg::pack(h));  // which packs as float
#endif
}
