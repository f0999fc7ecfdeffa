// SPDX-License-Identifier: MIT
// Lazy expressions own their temporary operands, so `auto` never dangles. Most effective under AddressSanitizer.
#include <filigree/filigree.hpp>
#include <memory>

#include "catch.hpp"
#include "inputs.hpp"

namespace fg = filigree;
using test::Index;
using test::Matrix;
using test::Random;

namespace {

struct Fixture {
  Random random{441};
  Matrix<float> q = test::normal<float>(random, 12, 5), k = test::normal<float>(random, 30, 5),
                v = test::normal<float>(random, 30, 4);
};

template <class T>
void overwrite_the_stack(T value) {
  volatile T noise[4096];
  for (auto& x : noise) x = value;
}

}  // namespace

TEST_CASE("scores and products own their temporary operands") {
  const Fixture f;
  const Matrix<float> expected = (fg::scores(f.q, f.k.topRows(20)) | fg::top_k(4) | fg::softmax()) * f.v.topRows(20);
  const auto a = fg::scores(Matrix<float>(f.q), f.k.topRows(20)) | fg::top_k(4) | fg::softmax();
  overwrite_the_stack(1.0F);
  CHECK(test::same(Matrix<float>(a * f.v.topRows(20)), expected));
  const auto product = (fg::scores(Matrix<float>(f.q), Matrix<float>(f.k.topRows(20))) | fg::top_k(4) | fg::softmax()) *
                       Matrix<float>(f.v.topRows(20));
  overwrite_the_stack(2.0F);
  CHECK(test::same(Matrix<float>(product), expected));
  CHECK(test::same(Matrix<float>(product), expected));  // again
  const auto copy = product;
  CHECK(test::same(Matrix<float>(copy), expected));
  const auto sum =
      (fg::scores(f.q + f.q, f.k.topRows(20) * 0.5F) | fg::top_k(4) | fg::softmax()) * (f.v.topRows(20) * 1.0F);
  overwrite_the_stack(3.0F);
  CHECK(test::same(Matrix<float>(sum), expected));
}

TEST_CASE("weights outlive the variables of the stages and scores that they were made from") {
  const Fixture f;
  const Matrix<float> expected = (fg::scores(f.q, f.k) | fg::causal() | fg::top_k(4) | fg::softmax()) * f.v;
  const auto make = [&](Index k) {
    const auto stages = fg::causal() | fg::top_k(k) | fg::softmax();
    const auto scores = fg::scores(f.q, f.k);
    return scores | stages;
  };
  const auto a = make(4);
  const auto product = make(4) * f.v;
  overwrite_the_stack(1.0F);
  CHECK(test::same(Matrix<float>(a * f.v), expected));
  CHECK(test::same(Matrix<float>(product), expected));
  const auto rows = [&] {
    const auto whole = make(4);
    return whole.middleRows(3, 5);
  }();
  overwrite_the_stack(2.0F);
  CHECK(test::same(Matrix<float>(rows * f.v), Matrix<float>(expected.middleRows(3, 5))));
}

TEST_CASE("stages own their temporary arguments") {
  const Fixture f;
  const Matrix<float> b = Matrix<float>::Random(12, 30);
  const std::vector<int> ids(30, 1);
  const Eigen::VectorXf table = Eigen::VectorXf::LinSpaced(7, -1, 1);
  Eigen::SparseMatrix<float, Eigen::RowMajor> s = (b | fg::threshold(0));
  const Matrix<float> expected = fg::scores(f.q, f.k) | (fg::documents(ids) && fg::given(s)) | fg::bias(b) |
                                 fg::relative_bias(table) | fg::top_k(4);
  const auto stages =
      (fg::documents(std::vector<int>(ids)) && fg::given(Eigen::SparseMatrix<float, Eigen::RowMajor>(s))) |
      fg::bias(Matrix<float>(b)) | fg::relative_bias(Eigen::VectorXf(table)) | fg::top_k(4);
  overwrite_the_stack(1.0F);
  CHECK(test::same(Matrix<float>(fg::scores(f.q, f.k) | stages), expected));
  const auto lazy = fg::scores(f.q, f.k) | (fg::documents(std::vector<int>(ids)) && fg::given(2 * s)) |
                    fg::bias(b + b - b * 1.0F) | fg::relative_bias(table.head(7) * 1.0F) | fg::top_k(4);
  overwrite_the_stack(2.0F);
  CHECK(Matrix<float>(lazy).isApprox(expected, 1e-5F));
  auto shared = std::make_shared<std::vector<int>>(100, 1);
  const auto where =
      fg::where([shared](Index p, Index j) { return (*shared)[static_cast<std::size_t>(p + j)] == 1; }) | fg::top_k(2);
  shared.reset();
  CHECK(Eigen::SparseMatrix<float>(fg::scores(f.q, f.k) | where).nonZeros() == 24);
}

TEST_CASE("scores and products hold lvalues by reference") {
  Fixture f;
  const auto a = fg::scores(f.q, f.k) | fg::top_k(4) | fg::softmax();
  const auto product = a * f.v;
  f.v *= 2;
  f.k.setRandom();
  CHECK(test::same(Matrix<float>(product), Matrix<float>((fg::scores(f.q, f.k) | fg::top_k(4) | fg::softmax()) * f.v)));
}

TEST_CASE("dense sources own temporary matrices and expressions") {
  const Fixture f;
  const auto owned = Matrix<float>(f.k) | fg::top_k(2) | fg::softmax();
  const auto expression = (f.k + f.k) | fg::top_k(2);
  overwrite_the_stack(1.0F);
  CHECK(test::same(Matrix<float>(owned), Matrix<float>(f.k | fg::top_k(2) | fg::softmax())));
  CHECK(test::same(Matrix<float>(expression), Matrix<float>(2 * Matrix<float>(f.k | fg::top_k(2)))));
  const auto product = (f.k * f.q.transpose()) | fg::relu();
  overwrite_the_stack(2.0F);
  CHECK(Matrix<float>(product).isApprox(Matrix<float>((f.k * f.q.transpose()).cwiseMax(0))));
}
