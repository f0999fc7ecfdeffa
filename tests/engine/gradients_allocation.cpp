// SPDX-License-Identifier: MIT
// With a reused workspace, gradients allocate their results: a number of blocks that does not depend on sizes, engines
// and threads.
#include <algorithm>
#include <filigree/filigree.hpp>

#include "allocations.hpp"
#include "catch.hpp"
#include "inputs.hpp"

#if FILIGREE_COUNTS_ALLOCATIONS
namespace fg = filigree;
using test::allocated_by;
using test::Index;
using test::Matrix;
using test::Random;

TEST_CASE("repeated gradients allocate their results only") {
  Random random(1721);
  fg::thread_pool pool(3);
  const auto check = [&](const char* what, const auto& pipeline, long results) {
    for (const Index n : {30, 500}) {
      const Index m = 2 * n;
      const Matrix<float> q = test::normal<float>(random, n, 20), k = test::normal<float>(random, m, 20),
                          v = test::normal<float>(random, m, 24), d_out = test::normal<float>(random, n, 24);
      fg::Workspace workspace;
      const auto a = (fg::scores(q, k) | pipeline).with(workspace);
      const auto repeated = [&](const auto& weights) {
        const auto call = [&] { (void)fg::gradients(weights * v, d_out); };
        // Which worker gets which rows differs from call to call, and so does the growth of their lists.
        long fewest = allocated_by(call);
        for (int i = 0; i < 20; ++i) fewest = std::min<long>(fewest, allocated_by(call));
        return fewest;
      };
      INFO(what << ", n = " << n);
      CHECK(repeated(a) <= results);
      CHECK(repeated(a.on(pool)) <= results);
    }
  };
  // dQ, dK and dV; and of each stage with parameters its sums, twice, and three lists.
  check("softmax", fg::softmax(), 10);
  check("causal | alibi | softmax", fg::causal() | fg::alibi(0.1) | fg::softmax({.sink = 1}), 16);
  check("top_k | softmax", fg::top_k(9) | fg::softmax(), 10);
  check("window | sparsemax", fg::window(9) | fg::sparsemax(), 10);
}
#endif
