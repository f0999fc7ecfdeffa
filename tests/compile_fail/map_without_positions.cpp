// expect: filigree: map\(f\): f must be callable as s = f\(s, Eigen::Index p, Eigen::Index j\)
// SPDX-License-Identifier: MIT
#include <filigree/filigree.hpp>
namespace fg = filigree;

void run(Eigen::MatrixXf& q, Eigen::MatrixXf& k, Eigen::MatrixXf& v, Eigen::MatrixXd& d) {
  (void)q, (void)k, (void)v, (void)d;
#ifndef FILIGREE_MUST_FAIL
  v = fg::scores(q, k) | fg::map([](float s, Eigen::Index, Eigen::Index) { return s; });
#else
  v = fg::scores(q, k) | fg::map([](float s) { return s; });
#endif
}
