// expect: filigree: measure\(v\): v must be a vector at compile time
// SPDX-License-Identifier: MIT
#include <filigree/filigree.hpp>
namespace fg = filigree;

void run(const Eigen::MatrixXf& codes) {
#ifndef FILIGREE_MUST_FAIL
  (void)fg::hoyer(codes.row(0));
#else
  (void)fg::hoyer(codes);
#endif
}
