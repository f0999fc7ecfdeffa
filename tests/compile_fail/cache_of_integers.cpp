// expect: filigree: key_value_cache<T>: T must be float, double, half or bfloat16
// SPDX-License-Identifier: MIT
#include <filigree/filigree.hpp>
namespace fg = filigree;

void run() {
#ifndef FILIGREE_MUST_FAIL
  (void)fg::key_value_cache<Eigen::half>(1, 2, 3);
#else
  (void)fg::key_value_cache<int>(1, 2, 3);
#endif
}
