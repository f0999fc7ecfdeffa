// SPDX-License-Identifier: MIT
// Row stages do not allocate once their scratch memory has grown.
#include <cstddef>
#include <cstdlib>
#include <new>
#include <vector>

#include "catch.hpp"
#include "filigree/normalize/normalize.hpp"
#include "filigree/pattern/pattern.hpp"
#include "filigree/score_map/score_map.hpp"
#include "filigree/select/select.hpp"
#include "one_row.hpp"

namespace {
std::size_t allocations = 0;
}

// The sanitizers replace operator new themselves. With them, allocations are not counted.
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define SANITIZED 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer)
#define SANITIZED 1
#endif
#endif
#ifndef SANITIZED
void* operator new(std::size_t size) {
  ++allocations;
  if (void* p = std::malloc(size)) return p;
  throw std::bad_alloc();
}
void* operator new(std::size_t size, std::align_val_t alignment) {
  ++allocations;
  const auto a = static_cast<std::size_t>(alignment);
  if (void* p = std::aligned_alloc(a, (size + a - 1) / a * a)) return p;
  throw std::bad_alloc();
}
void operator delete(void* p) noexcept { std::free(p); }
void operator delete(void* p, std::size_t) noexcept { std::free(p); }
void operator delete(void* p, std::align_val_t) noexcept { std::free(p); }
void operator delete(void* p, std::size_t, std::align_val_t) noexcept { std::free(p); }
#endif

namespace fg = filigree;
using Eigen::Index;

TEMPLATE_TEST_CASE("row stages do not allocate after their first use", "", FILIGREE_TEST_SCALARS) {
  using S = TestType;
  fg::Generator g(61);
  std::vector<S> values(500 + 16), copy(500);
  for (S& x : copy) x = static_cast<S>(g.normal());
  std::vector<fg::Column> columns(500 + 16);
  std::vector<int> ids(500, 1);
  const Eigen::Matrix<S, Eigen::Dynamic, 1> table = Eigen::Matrix<S, Eigen::Dynamic, 1>::Ones(9);
  const Eigen::Matrix<S, Eigen::Dynamic, Eigen::Dynamic> matrix =
      Eigen::Matrix<S, Eigen::Dynamic, Eigen::Dynamic>::Ones(1, 500);
  Eigen::SparseMatrix<S, Eigen::RowMajor> sparse(1, 500);
  sparse.insert(0, 7) = S(1);

  const auto run = [&](const auto& stage) {
    fg::RowScratch scratch;
    std::size_t before = 0;
    for (int repeat = 0; repeat < 2; ++repeat) {
      before = allocations;
      std::copy(copy.begin(), copy.end(), values.begin());
      for (std::size_t c = 0; c < 500; ++c) columns[c] = static_cast<fg::Column>(c);
      fg::Row<S> row{.grid = fg::Grid{1, 500, 499, 0},
                     .index = 0,
                     .values = values.data(),
                     .columns = columns.data(),
                     .count = 500,
                     .scratch = scratch};
      fg::detail::apply(stage, row);
    }
    CHECK(allocations == before);
  };
  run((fg::causal() && fg::window(3)) || fg::first(2) || !fg::global({0, -1}));
  run(fg::documents(ids) && fg::same_block(4) && fg::given(sparse));
  run(fg::softcap(2));
  run(fg::alibi(2));
  run(fg::bias(matrix));
  run(fg::relative_bias(table));
  run(fg::map([](S s, Index, Index) { return s; }));
  run(fg::softmax());
  run(fg::sparsemax());
  run(fg::entmax15());
  run(fg::entmax(1.3));
  run(fg::normalize_sum());
  run(fg::dropout(0.5, 1));
  run(fg::top_k(9));
  run(fg::top_p(0.5));
  run(fg::threshold(0.5));
  run(fg::hard_threshold(0.5));
  run(fg::soft_threshold(0.5));
  run(fg::drop_lowest(0.5));
  run(fg::prune_n_m(2, 4));
}
