// expect: filigree: block_top_k\(b, k\).always\(P\): forces one pattern; combine several with \|\|
// SPDX-License-Identifier: MIT
#include <filigree/filigree.hpp>
namespace fg = filigree;

void run(Eigen::MatrixXf& q, Eigen::MatrixXf& k, Eigen::MatrixXf& v, Eigen::MatrixXd& d) {
  (void)q, (void)k, (void)v, (void)d;
#ifndef FILIGREE_MUST_FAIL
  (void)fg::block_top_k(4, 2).always(fg::first(1) || fg::same_block(4));
#else
  (void)fg::block_top_k(4, 2).always(fg::first(1)).always(fg::same_block(4));
#endif
}
