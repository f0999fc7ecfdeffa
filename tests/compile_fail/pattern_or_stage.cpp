// expect: filigree: && and \|\| combine patterns; put every other stage, and pipelines, after \|
// SPDX-License-Identifier: MIT
#include <filigree/filigree.hpp>
namespace fg = filigree;

void run(Eigen::MatrixXf& q, Eigen::MatrixXf& k, Eigen::MatrixXf& v, Eigen::MatrixXd& d) {
  (void)q, (void)k, (void)v, (void)d;
#ifndef FILIGREE_MUST_FAIL
  (void)((fg::causal() || fg::first(3)) | fg::top_k(3));
#else
  (void)(fg::causal() || fg::top_k(3));
#endif
}
