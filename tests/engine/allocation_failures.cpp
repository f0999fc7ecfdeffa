// SPDX-License-Identifier: MIT
// Every allocation of an evaluation fails once: std::bad_alloc reaches the caller, a sparse target is as it was, and
// what was used works afterwards.
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

/// Runs evaluate() with each of its allocations failing, alone and with all later ones, until one run needs fewer;
/// after each failure look().
template <class Evaluate, class Look>
void fail_each(Evaluate&& evaluate, Look&& look) {
  for (const bool on : {false, true}) {
    long k = 0;
    while (test::fails_with(k, on, evaluate)) {
      CAPTURE(k, on);
      look();
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

/// Weights and products of one pipeline, with a workspace and without, serial and on a pool.
template <class Stages>
void survives(const char* what, Inputs& in, const Stages& stages) {
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
            target = a.on(executor).with(*workspace) * in.v;  // the workspace is free again
            CHECK(test::same(target, out));
          });
    }
  }
  fail_each([&] { (void)fg::selected(a); }, [] {});
  CHECK(test::same(Matrix(a), weights));
}

}  // namespace

TEST_CASE("attention survives failures of every allocation") {
  Inputs in;
  survives("blocks", in, (fg::causal() && fg::window(20)) | fg::softmax());
  survives("selection", in, fg::causal() | fg::top_k(5) | fg::softmax());
  survives("general", in, fg::causal() | fg::top_p(0.5) | fg::entmax15() | fg::dropout(0.1, 1));
  survives("random", in, (fg::random(5, 3) || fg::global({0})) | fg::softmax());
  survives("prob_sparse", in, fg::prob_sparse(1, 7) | fg::softmax());
  survives("block_top_k", in, fg::block_top_k(16, 2) | fg::softmax());
  in.q = in.k.topRows(40), in.k = in.q, in.v.conservativeResize(40, 9);
  survives("lsh", in, fg::lsh(2, 8, 16, 5) | fg::softmax());
}

TEST_CASE("heads, dense sources, patterns and plans survive them") {
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

TEST_CASE("a network survives them, with the parameters that it had") {
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
