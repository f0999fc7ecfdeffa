// SPDX-License-Identifier: MIT
// With a reused workspace and a target of the right size, an evaluation allocates no memory by operator new or malloc.
#include <cstdlib>
#include <filigree/filigree.hpp>
#include <new>

#include "allocations.hpp"
#include "catch.hpp"
#include "inputs.hpp"

#if FILIGREE_COUNTS_ALLOCATIONS
namespace fg = filigree;
using test::allocated_by;
using test::Index;
using test::Matrix;
using test::Random;

TEST_CASE("the allocation counter counts allocations") {
  void* volatile p = nullptr;  // so that no allocation can be optimized away
  CHECK(allocated_by([&] { p = ::operator new(3); }) == 1);
  ::operator delete(p);
  CHECK(allocated_by([&] { p = std::malloc(3); }) == 1);
  std::free(p);
  CHECK(allocated_by([] { Matrix<float> x(9, 9); }) == 1);
  CHECK(allocated_by([] {
          fg::detail::Buffer buffer;
          (void)buffer.get<float>(9);
        }) == 1);
}

TEMPLATE_TEST_CASE("the second evaluation allocates nothing", "", FILIGREE_TEST_SCALARS) {
  using S = TestType;
  Random random(531);
  const Matrix<S> q = test::normal<S>(random, 300, 32), k = test::normal<S>(random, 700, 32);
  const Matrix<S> v = test::normal<S>(random, 700, 48), narrow = test::normal<S>(random, 700, 5);
  const Eigen::SparseMatrix<S, Eigen::RowMajor> given = fg::scores(q, k) | fg::top_k(100);
  const Matrix<S> b = test::normal<S>(random, 300, 700);
  const std::vector<int> ids(700, 1);
  fg::thread_pool pool(3);

  const auto check = [&](const char* what, const auto& pipeline) {
    INFO(what);
    const auto scores = fg::scores(q, k);
    {
      fg::Workspace workspace;
      const auto a = (scores | pipeline).with(workspace);
      Matrix<S> out(300, 48), small(300, 5);
      out = a * v;
      CHECK(allocated_by([&] { out = a * v; }) == 0);
      out += a * v;
      small = a * narrow;
      CHECK(allocated_by([&] { out -= a * v; }) == 0);
      CHECK(allocated_by([&] { small = a * narrow; }) == 0);
      CHECK(allocated_by([&] { out.topRows(100) = (a * v).topRows(100); }) > 0);  // a temporary, in a larger expression
      const auto middle = a.middleRows(50, 100);
      CHECK(allocated_by([&] { out.topRows(100) = middle * v; }) == 0);
    }
    {
      fg::Workspace workspace;
      const auto a = (scores | pipeline).on(pool).with(workspace);
      Matrix<S> out(300, 48);
      // The assignment of rows to workers is random, so a worker's buffers may reach their final size late.
      for (int i = 0; i < 10; ++i) out = a * v;
      long least = 1000;
      for (int i = 0; i < 10 && least > 0; ++i) least = std::min(least, allocated_by([&] { out = a * v; }));
      CHECK(least == 0);
    }
  };
  check("top_k", fg::top_k(32) | fg::softmax());
  check("no selector", fg::causal() | fg::softmax());
  check("general", fg::sparsemax());
  if constexpr (sizeof(S) == 4) {
    check("causal and window", (fg::causal() && fg::window(100)) | fg::top_k(16) | fg::softmax());
    check("patterns", (fg::documents(ids) && (fg::given(given) || fg::first(3) || !fg::same_block(7))) | fg::top_k(16) |
                          fg::entmax15());
    check("global", (fg::causal() || fg::global(ids)) | fg::top_k(16) | fg::sparsemax());
    check("maps", fg::causal() | fg::softcap(5) | fg::bias(b) | fg::alibi(0.1) | fg::top_k(9) | fg::normalize_sum() |
                      fg::dropout(0.1, 1));
    check("threshold", fg::threshold(0.7) | fg::softmax());
    check("threshold that keeps all", fg::threshold(-1e30) | fg::softmax({.sink = 1}));
    check("top_p", fg::top_p(0.5) | fg::softmax());
    check("gathered", (fg::window(3) || fg::global({0, 9})) | fg::entmax15());
    check("strided", (fg::window(4) || fg::strided(9)) | fg::softmax());
  }
}

TEST_CASE("fewer queries need no more memory") {
  using S = float;
  Random random(535);
  const Matrix<S> q = test::normal<S>(random, 48, 16), k = test::normal<S>(random, 5000, 16),
                  v = test::normal<S>(random, 5000, 3);
  const auto check = [&](const char* what, const auto& pipeline) {
    INFO(what);
    fg::Workspace workspace;
    const auto a = (fg::scores(q, k) | pipeline).with(workspace);
    Matrix<S> out(48, 3);
    for (int i = 0; i < 2; ++i) out = a * v;
    for (Index n = 1; n < 13; ++n) {
      const auto rows = a.middleRows(20, n);
      const long allocations = allocated_by([&] { out.topRows(n) = rows * v; });
      CHECK(allocations == 0);
    }
  };
  check("sparsemax", fg::sparsemax());
  check("entmax15", fg::entmax15());
  check("threshold", fg::threshold(2.5) | fg::softmax());
}

TEMPLATE_TEST_CASE("buffers for parallel key chunks and for strided patterns are allocated once", "",
                   FILIGREE_TEST_SCALARS) {
  using S = TestType;
  Random random(534);
  const Matrix<S> q = test::normal<S>(random, 3, 16), k = test::normal<S>(random, 9000, 16),
                  v = test::normal<S>(random, 9000, 16);
  fg::thread_pool pool(2);
  const auto check = [&](const auto& pipeline) {
    fg::Workspace workspace;
    const auto a = (fg::scores(q, k) | pipeline).on(pool).with(workspace);
    Matrix<S> out(3, 16);
    for (int i = 0; i < 10; ++i) out = a * v;
    long least = 1000;
    for (int i = 0; i < 10 && least > 0; ++i) least = std::min(least, allocated_by([&] { out = a * v; }));
    CHECK(least == 0);
  };
  check(fg::softmax());
  check(fg::streaming(4, 8000) | fg::softmax());
  check((fg::window(4) || fg::strided(9)) | fg::softmax());
}

TEMPLATE_TEST_CASE("A.with(workspace) itself allocates nothing", "", FILIGREE_TEST_SCALARS) {
  using S = TestType;
  Random random(533);
  fg::Workspace workspace;
  const Matrix<S> q = test::normal<S>(random, 100, 16), k = test::normal<S>(random, 500, 16),
                  v = test::normal<S>(random, 500, 16);
  const Matrix<S> b = test::normal<S>(random, 100, 500);
  const std::vector<int> ids(500, 1);
  Matrix<S> out(100, 16);
  const auto check = [&](const auto& a) {
    out = a.with(workspace) * v;
    CHECK(allocated_by([&] { out = a.with(workspace) * v; }) == 0);
    CHECK(allocated_by([&] { out = a.on(fg::serial()).with(workspace).middleRows(0, 100) * v; }) == 0);
  };
  check(fg::scores(q, k) | fg::top_k(9) | fg::softmax());
  check(fg::scores(q, k) | (fg::causal() && fg::window(30)) | fg::top_k(9) | fg::softmax());
  check(fg::scores(q, k) | fg::documents(ids) | fg::bias(b) | fg::threshold(1) | fg::softmax());
}

TEMPLATE_TEST_CASE("packed keys and sizes that shrink allocate nothing", "", FILIGREE_TEST_SCALARS) {
  using S = TestType;
  Random random(532);
  fg::Workspace workspace;
  const Matrix<S> q = test::normal<S>(random, 100, 16), k = test::normal<S>(random, 500, 16),
                  v = test::normal<S>(random, 500, 16);
  const auto packed = fg::pack(k);
  Matrix<S> out(100, 16);
  const auto pipeline = fg::causal() | fg::top_k(9) | fg::softmax();
  out = (fg::scores(q, k) | pipeline).with(workspace) * v;
  CHECK(allocated_by([&] { out = (fg::scores(q, packed) | pipeline).with(workspace) * v; }) == 0);
  CHECK(allocated_by([&] { out = (fg::scores(q, k.topRows(77)) | pipeline).with(workspace) * v.topRows(77); }) == 0);
  CHECK(allocated_by([&] { out.row(3) = (fg::scores(q.row(3), k) | pipeline).with(workspace) * v; }) == 0);
}

// Blocks are planned in two lists alternately. Both must have reached their final size.
TEMPLATE_TEST_CASE("the second evaluation of one block with many spans allocates nothing", "", FILIGREE_TEST_SCALARS) {
  using S = TestType;
  Random random(532);
  const Matrix<S> q = test::normal<S>(random, 10, 8), k = test::normal<S>(random, 4000, 8),
                  v = test::normal<S>(random, 4000, 16);
  std::vector<Index> ids;
  for (Index i = 0; i < 40; ++i) ids.push_back(50 * i);
  fg::Workspace workspace;
  Matrix<S> out(10, 16);
  const auto check = [&](const auto& pipeline) {
    const auto a = (fg::scores(q, k) | pipeline).with(workspace);
    out = a * v;
    CHECK(allocated_by([&] { out = a * v; }) == 0);
    CHECK(allocated_by([&] { out = a * v; }) == 0);
  };
  check((fg::window(8) || fg::global(ids)) | fg::softmax());
  check((fg::window(8) || fg::global(ids)) | fg::top_k(5) | fg::softmax());
}
#else
TEST_CASE("allocations are not counted on this platform") { SUCCEED(); }
#endif
