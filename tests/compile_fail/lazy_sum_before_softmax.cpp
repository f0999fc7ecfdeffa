// expect: filigree: lazy_sum\(\) sets the weights of the lazy rows of prob_sparse
// SPDX-License-Identifier: MIT
#include <filigree/filigree.hpp>
namespace fg = filigree;

void run(Eigen::MatrixXf& q, Eigen::MatrixXf& k, Eigen::MatrixXf& v, Eigen::MatrixXd& d) {
  (void)q, (void)k, (void)v, (void)d;
#ifndef FILIGREE_MUST_FAIL
  q = (fg::scores(q, k) | fg::causal() | fg::prob_sparse(5, 1) | fg::softmax() | fg::lazy_sum()) * v;
#else
  q = (fg::scores(q, k) | fg::prob_sparse(5, 1) | fg::lazy_sum() | fg::causal() | fg::softmax()) * v;
#endif
}
