// SPDX-License-Identifier: MIT
// A * V in larger Eigen expressions, reuse of pipelines, executors, workspaces and packed keys.
#include <filigree/filigree.hpp>

#include "catch.hpp"
#include "inputs.hpp"

namespace fg = filigree;
using test::Index;
using test::Matrix;
using test::Random;

TEST_CASE("A * V can be used in larger Eigen expressions") {
  Random random(411);
  const Matrix<double> q = test::normal<double>(random, 5, 4), k = test::normal<double>(random, 8, 4),
                       v = test::normal<double>(random, 8, 3);
  const Matrix<double> b = test::normal<double>(random, 5, 3), w = test::normal<double>(random, 3, 6);
  const auto a = fg::scores(q, k) | fg::top_k(3) | fg::softmax();
  const Matrix<double> out = a * v;
  const auto same = [](const auto& x, const Matrix<double>& y) { return test::same(Matrix<double>(x), y); };
  CHECK(same((a * v) + b, out + b));
  CHECK(same(b - a * v, b - out));
  CHECK(same(2 * (a * v), 2 * out));
  CHECK(same((a * v).transpose(), out.transpose()));
  CHECK(same((a * v).cwiseProduct(b), out.cwiseProduct(b)));
  CHECK(same((a * v).array().exp().matrix(), out.array().exp().matrix()));
  CHECK(same((a * v).block(1, 0, 2, 2), out.block(1, 0, 2, 2)));
  CHECK(same((a * v).colwise().sum(), out.colwise().sum()));
  CHECK(same((a * v).rowwise().normalized(), out.rowwise().normalized()));
  CHECK(same((a * v).cast<float>().cast<double>(), out.cast<float>().cast<double>()));
  CHECK(same(-(a * v), -out));
  CHECK((a * v).sum() == out.sum());
  CHECK((a * v).norm() == out.norm());
  CHECK((a * v).maxCoeff() == out.maxCoeff());
  CHECK((a * v)(2, 1) == out(2, 1));
  CHECK(Matrix<double>((a * v) * w).isApprox(Matrix<double>(out * w), 1e-14));
  CHECK(Matrix<double>(b.transpose() * (a * v)).isApprox(Matrix<double>(b.transpose() * out), 1e-14));
  CHECK(Matrix<double>((a * v).lazyProduct(w)).isApprox(Matrix<double>(out * w), 1e-14));
  Matrix<double> sum = b;
  sum += 0.5 * (a * v);
  CHECK(sum.isApprox(b + 0.5 * out, 1e-15));
  sum.noalias() = (a * v) * w;
  CHECK(sum.isApprox(out * w, 1e-14));
  // A product as an operand of scores and as a source.
  const Matrix<double> chained = (fg::scores((a * v).eval(), b) | fg::softmax()) * b;
  CHECK(same((fg::scores(a * v, b) | fg::softmax()) * b, chained));
  CHECK(same((a * v) | fg::relu(), Matrix<double>(out | fg::relu())));
}

TEST_CASE("a pipeline can be reused for scores and for dense sources") {
  Random random(412);
  const Matrix<float> x = test::normal<float>(random, 4, 6), v = test::normal<float>(random, 6, 2);
  const auto local = fg::causal() && (fg::window(2) || fg::global({0}));
  const auto head = local | fg::softmax();
  const auto selection = fg::top_k(2) | head;
  CHECK(test::same(
      Matrix<float>(x | selection),
      Matrix<float>(x | fg::top_k(2) | (fg::causal() && (fg::window(2) || fg::global({0}))) | fg::softmax())));
  CHECK(test::same(Matrix<float>(fg::scores(x, x) | head), Matrix<float>(fg::scores(x, x) | local | fg::softmax())));
  CHECK(test::same(Matrix<float>((x | selection) * v), Matrix<float>((x | fg::top_k(2) | head) * v)));
  const auto longer = selection | fg::dropout(0.5, 9) | fg::top_k(1);
  CHECK(test::same(Matrix<float>(x | longer), Matrix<float>(x | selection | fg::dropout(0.5, 9) | fg::top_k(1))));
}

TEMPLATE_TEST_CASE("executors and workspaces of any previous shape do not change results", "", FILIGREE_TEST_SCALARS) {
  using S = TestType;
  Random random(413);
  fg::thread_pool pool(2);
  fg::Workspace workspace;
  for (const Index m : {300, 3, 70, 0, 500}) {
    const Matrix<S> q = test::normal<S>(random, 40, 5), k = test::normal<S>(random, m, 5),
                    v = test::normal<S>(random, m, 7);
    const auto a = fg::scores(q, k) | fg::top_k(20) | fg::softmax();
    const auto b = fg::scores(q, k) | fg::threshold(0.2) | fg::softmax();
    const Matrix<S> out = a * v, other = b * v;
    CHECK(test::same(Matrix<S>(a.with(workspace) * v), out));
    CHECK(test::same(Matrix<S>(b.with(workspace) * v), other));
    CHECK(test::same(Matrix<S>(a.on(pool).with(workspace) * v), out));
    CHECK(test::same(Matrix<S>(b.with(workspace).on(pool) * v), other));
    CHECK(test::same(Matrix<S>(a.on(fg::serial()) * v), out));
    CHECK(test::same(Matrix<S>(a.with(workspace)), Matrix<S>(a)));
  }
}

TEST_CASE("packed keys give the same results as unpacked keys") {
  Random random(414);
  Matrix<float> k = test::normal<float>(random, 100, 5);
  const Matrix<float> q = test::normal<float>(random, 6, 5), v = test::normal<float>(random, 100, 4);
  const Matrix<float> expected = (fg::scores(q, k, 0.7) | fg::causal() | fg::top_k(4) | fg::softmax()) * v;
  const auto pipeline = fg::causal() | fg::top_k(4) | fg::softmax();
  const auto packed = fg::pack(k);
  CHECK(packed.rows() == 100);
  CHECK(packed.cols() == 5);
  CHECK(test::same(Matrix<float>((fg::scores(q, packed, 0.7) | pipeline) * v), expected));
  CHECK(test::same(Matrix<float>((fg::scores(q, fg::pack(k), 0.7) | pipeline) * v), expected));
  CHECK(test::same(Matrix<float>((fg::scores(q, fg::pack(Eigen::MatrixXf(k)), 0.7) | pipeline) * v), expected));
  CHECK(test::same(Matrix<float>((fg::scores(q, fg::pack(k.array() * 1), 0.7) | pipeline) * v), expected));
  const auto held = fg::scores(q, fg::pack(k), 0.7) | pipeline;
  k.setZero();  // packed keys are a copy
  CHECK(test::same(Matrix<float>(held * v), expected));
  const auto copy = packed;
  CHECK(test::same(Matrix<float>((fg::scores(q, copy, 0.7) | pipeline) * v), expected));
}

TEST_CASE("a dense mask gives the same results as the sparse matrix of its true entries") {
  const Eigen::MatrixXf q = Eigen::MatrixXf::Random(90, 4), k = Eigen::MatrixXf::Random(200, 4);
  const Eigen::Array<bool, Eigen::Dynamic, Eigen::Dynamic> mask = Eigen::ArrayXXf::Random(90, 200) > 0.3F;
  Eigen::SparseMatrix<float, Eigen::RowMajor> stored(90, 200);
  for (Index i = 0; i < 90; ++i)
    for (Index j = 0; j < 200; ++j)
      if (mask(i, j)) stored.insert(i, j) = 1;
  const Eigen::MatrixXf expected = (fg::scores(q, k) | fg::given(stored) | fg::softmax()) * k;
  CHECK(Eigen::MatrixXf((fg::scores(q, k) | fg::given(mask) | fg::softmax()) * k) == expected);
}
