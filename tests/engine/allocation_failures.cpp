// SPDX-License-Identifier: MIT
// Every allocation of an evaluation fails once. std::bad_alloc reaches the caller, a sparse target is unchanged, and
// all objects are usable afterwards.
#include <filigree/filigree.hpp>

#include "allocations.hpp"
#include "catch.hpp"
#include "inputs.hpp"

#if FILIGREE_COUNTS_ALLOCATIONS
namespace fg = filigree;
using test::Index;
using Matrix = test::Matrix<float>;
using Sparse = Eigen::SparseMatrix<float, Eigen::RowMajor>;

namespace {

/// Runs evaluate() with its k-th allocation failing, alone or together with all later ones, for k = 0, 1, ... until a
/// run has at most k allocations. Calls check() after each failure.
template <class Evaluate, class Check>
void fail_each(Evaluate&& evaluate, Check&& check) {
  for (const bool on : {false, true}) {
    long k = 0;
    while (test::fails_with(k, on, evaluate)) {
      CAPTURE(k, on);
      check();
      REQUIRE(++k < 5000);
    }
    CHECK(k > 0);
  }
}

struct Inputs {
  test::Random random{4001};
  Matrix q = test::normal<float>(random, 40, 16), k = test::normal<float>(random, 150, 16),
         v = test::normal<float>(random, 150, 9);
  fg::ThreadPool pool{3};
};

/// Checks weights and products of one pipeline, with and without a workspace, serially and on a thread pool.
template <class Stages>
void check_failures(const char* what, Inputs& in, const Stages& stages) {
  INFO(what);
  const auto a = fg::scores(in.q, in.k) | stages;
  const Matrix out = a * in.v, weights = a;
  const Sparse entries = a;
  const auto same = [](const Sparse& x, const Sparse& y) {
    return (x - y).norm() == 0 && x.nonZeros() == y.nonZeros();
  };

  for (const bool threads : {false, true}) {
    INFO("threads " << threads);
    fg::ExecutorRef executor = fg::serial();
    if (threads) executor = in.pool;
    {
      Matrix target;
      fail_each([&] { target = a.on(executor) * in.v; }, [] {});
      CHECK(test::same(target, out));
    }
    {
      Sparse target(3, 3);
      target.insert(1, 2) = 5;
      const Sparse before = target;
      fail_each(
          [&] { target = a.on(executor); },
          [&] {
            CHECK(((target.rows() == 3 && same(target, before)) || (target.rows() == 40 && same(target, entries))));
          });
      CHECK(same(target, entries));
    }
    {
      auto workspace = std::make_unique<fg::Workspace>();
      Matrix target(40, 9);
      fail_each(
          [&] {
            workspace = std::make_unique<fg::Workspace>();
            target = a.on(executor).with(*workspace) * in.v;
          },
          [&] {
            target = a.on(executor).with(*workspace) * in.v;  // the workspace has been released
            CHECK(test::same(target, out));
          });
    }
  }
  fail_each([&] { (void)fg::selected(a); }, [] {});
  CHECK(test::same(Matrix(a), weights));
}

}  // namespace

TEST_CASE("attention is correct after failure of any allocation") {
  Inputs in;
  check_failures("blocks", in, (fg::causal() && fg::window(20)) | fg::softmax());
  check_failures("selection", in, fg::causal() | fg::top_k(5) | fg::softmax());
  check_failures("general", in, fg::causal() | fg::top_p(0.5) | fg::entmax15() | fg::dropout(0.1, 1));
  check_failures("random", in, (fg::random(5, 3) || fg::global({0})) | fg::softmax());
  check_failures("prob_sparse", in, fg::prob_sparse(1, 7) | fg::softmax());
  check_failures("block_top_k", in, fg::block_top_k(16, 2) | fg::softmax());
  in.q = in.k.topRows(40), in.k = in.q, in.v.conservativeResize(40, 9);
  check_failures("lsh", in, fg::lsh(2, 8, 16, 5) | fg::softmax());
}

TEST_CASE("heads, dense sources, patterns and plans are correct after failure of any allocation") {
  Inputs in;
  Matrix target;
  const auto heads =
      fg::multi_head(fg::heads{4, 2}, in.q, in.k.leftCols(8), in.v.leftCols(8), fg::top_k(3) | fg::softmax());
  const Matrix expected = heads;
  fail_each([&] { target = heads.on(in.pool); }, [] {});
  CHECK(test::same(target, expected));

  fail_each([&] { target = in.q | fg::top_k(3); }, [] {});
  CHECK(test::same(target, Matrix(in.q | fg::top_k(3))));
  fail_each([&] { target = in.q | fg::batch_top_k(3); }, [] {});
  CHECK(test::same(target, Matrix(in.q | fg::batch_top_k(3))));
  fail_each([&] { (void)fg::plan(fg::bigbird(8, 2, 1), 60, 60); }, [] {});
  fail_each([&] { (void)fg::pack(in.k); }, [] {});
}

TEST_CASE("a network keeps its parameters finite when any allocation fails, and trains afterwards") {
  Inputs in;
  auto sae = fg::autoencoder(fg::linear(16, 24) | fg::top_k(4) | fg::relu(), fg::linear(24, 16), 3);
  const Eigen::VectorXf before = sae.parameters();
  Eigen::VectorXf after = before;
  fail_each(
      [&] {
        sae.parameters() = before;
        fg::fit(sae, in.q, fg::squared_error(), fg::adam{}, {.epochs = 1, .batch = 10});
        after = sae.parameters();
      },
      [&] { CHECK(sae.parameters().allFinite()); });
  sae.parameters() = before;
  fg::fit(sae, in.q, fg::squared_error(), fg::adam{}, {.epochs = 1, .batch = 10});
  CHECK(sae.parameters() == after);
}
#endif
