// SPDX-License-Identifier: MIT
// Lazy expressions own their temporary operands, so `auto` never dangles. Most effective under AddressSanitizer.
#include <algorithm>
#include <filigree/filigree.hpp>
#include <memory>
#include <span>
#include <utility>
#include <vector>

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

TEST_CASE("heads own temporary operands and hold lvalues by reference") {
  Fixture f;
  const Matrix<float> q = test::normal<float>(f.random, 12, 8), k = test::normal<float>(f.random, 30, 8);
  Matrix<float> v = test::normal<float>(f.random, 30, 4);
  const auto head = fg::causal() | fg::top_k(4) | fg::softmax();
  const Matrix<float> expected = fg::multi_head({2}, q, k, v, head);
  const auto owned = fg::multi_head({2}, Matrix<float>(q), Matrix<float>(k), Matrix<float>(v), head);
  const auto lazy = fg::multi_head({2}, q * 1.0F, k.topRows(30), v + 0 * v, head);
  const auto referring = fg::multi_head({2}, q, k, v, head);
  overwrite_the_stack(1.0F);
  CHECK(test::same(Matrix<float>(owned), expected));
  CHECK(test::same(Matrix<float>(lazy), expected));
  v *= 2;
  CHECK(test::same(Matrix<float>(referring), Matrix<float>(2 * expected)));
  CHECK(test::same(Matrix<float>(owned), expected));
}

TEST_CASE("stages hold lvalue arguments by reference") {
  const Fixture f;
  const auto scores = fg::scores(f.q, f.k);
  Matrix<float> b = Matrix<float>::Random(12, 30);
  Eigen::VectorXf table = Eigen::VectorXf::LinSpaced(7, -1, 1);
  std::vector<int> ids(30, 1);
  Eigen::Array<bool, Eigen::Dynamic, Eigen::Dynamic> mask = b.array() > 0;
  Eigen::SparseMatrix<float, Eigen::RowMajor> s = (b | fg::threshold(0));
  const auto bias = scores | fg::bias(b);
  const auto relative_bias = scores | fg::relative_bias(table);
  const auto documents = scores | fg::documents(ids);
  const auto masked = scores | fg::given(mask);
  const auto given = scores | fg::given(s);
  b *= 2;
  table *= 3;
  std::fill(ids.begin() + 15, ids.end(), 2);
  mask = b.array() < 0;
  s = (b | fg::top_k(2));
  CHECK(test::same(Matrix<float>(bias), Matrix<float>(scores | fg::bias(Matrix<float>(b)))));
  CHECK(test::same(Matrix<float>(relative_bias), Matrix<float>(scores | fg::relative_bias(Eigen::VectorXf(table)))));
  CHECK(test::same(Matrix<float>(documents), Matrix<float>(scores | fg::documents(std::vector<int>(ids)))));
  CHECK(test::same(Matrix<float>(masked), Matrix<float>(scores | fg::given(b.array() < 0))));
  CHECK(Eigen::SparseMatrix<float>(given).nonZeros() == 24);
  CHECK(test::same(Matrix<float>(given),
                   Matrix<float>(scores | fg::given(Eigen::SparseMatrix<float, Eigen::RowMajor>(s)))));
}

TEST_CASE("stages and sources hold views by value, and read the memory of the viewed matrix") {
  Fixture f;
  Matrix<float> b = Matrix<float>::Random(12, 60);
  Eigen::VectorXf table = Eigen::VectorXf::LinSpaced(14, -1, 1);
  std::vector<int> ids(40, 1);
  std::fill(ids.begin() + 20, ids.end(), 2);
  const auto make = [&] {
    const auto q = f.q.topRows(12);
    const Eigen::Map<const Matrix<float>> k(f.k.data(), 30, 5);
    const auto columns = b.rightCols(30);
    const Eigen::Map<const Eigen::VectorXf, 0, Eigen::InnerStride<2>> every_other(table.data(), 7);
    const std::span<const int> span(ids.data(), 30);
    return fg::scores(q, k) | fg::documents(span) | fg::bias(columns) | fg::relative_bias(every_other);
  };
  const auto make_product = [&](const auto& a) {
    const auto v = f.v.leftCols(3);
    return a * v;
  };
  const auto make_source = [&] {
    const auto row = b.row(3);
    return row | fg::top_k(5);
  };
  const auto a = make();
  const auto product = make_product(a);
  const auto source = make_source();
  overwrite_the_stack(1.0F);
  b *= 2;
  table *= 3;
  f.k *= 0.5F;
  f.v *= 0.25F;
  const Eigen::VectorXf every_other = Eigen::Map<const Eigen::VectorXf, 0, Eigen::InnerStride<2>>(table.data(), 7);
  const Matrix<float> expected = fg::scores(f.q, f.k) | fg::documents(std::vector<int>(ids.begin(), ids.begin() + 30)) |
                                 fg::bias(Matrix<float>(b.rightCols(30))) | fg::relative_bias(every_other);
  CHECK(test::same(Matrix<float>(a), expected));
  CHECK(test::same(Matrix<float>(product), Matrix<float>((fg::scores(f.q, f.k) | fg::documents(ids) |
                                                          fg::bias(b.rightCols(30)) | fg::relative_bias(every_other)) *
                                                         Matrix<float>(f.v.leftCols(3)))));
  CHECK(test::same(Matrix<float>(source), Matrix<float>(Matrix<float>(b.row(3)) | fg::top_k(5))));
}

TEST_CASE("stages evaluate expressions whose entries are not in memory, once") {
  const Fixture f;
  const auto scores = fg::scores(f.q, f.k);
  Matrix<float> b = Matrix<float>::Random(12, 30);
  Eigen::VectorXf table = Eigen::VectorXf::LinSpaced(7, -1, 1);
  Eigen::VectorXi ids = Eigen::VectorXi::LinSpaced(30, 0, 29);
  const auto& sum = b + b;  // an lvalue
  const auto a = scores | (fg::documents(ids / 4) && fg::given(b.array() > 0)) | fg::bias(sum) |
                 fg::bias(f.q * f.k.transpose()) | fg::relative_bias(2 * table);
  const Matrix<float> expected = scores |
                                 (fg::documents(Eigen::VectorXi(ids / 4)) &&
                                  fg::given(Eigen::Array<bool, Eigen::Dynamic, Eigen::Dynamic>(b.array() > 0))) |
                                 fg::bias(Matrix<float>(b + b)) | fg::bias((f.q * f.k.transpose()).eval()) |
                                 fg::relative_bias(Eigen::VectorXf(2 * table));
  b.setZero();
  table.setZero();
  ids.setZero();
  overwrite_the_stack(1.0F);
  CHECK(test::same(Matrix<float>(a), expected));
}

TEST_CASE("words that convert their arguments copy them") {
  Fixture f;
  const auto scores = fg::scores(f.q, f.k), squares = fg::scores(f.k, f.k);
  Matrix<float> keys = f.k;
  fg::IndexMatrix indices(12, 3);
  for (Index i = 0; i < 12; ++i) indices.row(i) << i, (i + 7) % 30, (2 * i + 1) % 30;
  std::vector<int> tokens = {1, 4};
  Matrix<float> rotations = test::normal<float>(f.random, 5, 4);
  const auto packed = fg::scores(f.q, fg::pack(keys)) | fg::top_k(4);
  const auto random = scores | fg::random(indices);
  const auto sampled = scores | fg::prob_sparse(1, indices) | fg::softmax();
  const auto global = scores | fg::global(tokens);
  const auto hashed = squares | fg::lsh(2, 4, 5, rotations) | fg::softmax();
  const auto stages =
      fg::random(fg::IndexMatrix(indices)) | fg::prob_sparse(1, fg::IndexMatrix(indices)) | fg::softmax();
  const auto hash = fg::lsh(2, 4, 5, Matrix<float>(rotations)) | fg::softmax();
  const Matrix<float> expected[] = {packed, random, sampled, global, hashed, scores | stages, squares | hash};
  keys.setZero();
  indices.setZero();
  rotations.setRandom();
  tokens = {9};
  overwrite_the_stack(1.0F);
  CHECK(test::same(Matrix<float>(packed), expected[0]));
  CHECK(test::same(Matrix<float>(packed), Matrix<float>(scores | fg::top_k(4))));
  CHECK(test::same(Matrix<float>(random), expected[1]));
  CHECK(test::same(Matrix<float>(sampled), expected[2]));
  CHECK(test::same(Matrix<float>(global), expected[3]));
  CHECK(test::same(Matrix<float>(hashed), expected[4]));
  CHECK(test::same(Matrix<float>(scores | stages), expected[5]));
  CHECK(test::same(Matrix<float>(squares | hash), expected[6]));
  CHECK(test::same(expected[4], expected[6]));
}

TEST_CASE("scores hold packed keys by reference or own them") {
  const Fixture f;
  const Matrix<float> expected = (fg::scores(f.q, f.k) | fg::softmax()) * f.v;
  auto keys = fg::pack(f.k);
  const auto owned = fg::scores(f.q, fg::pack(f.k)) | fg::softmax();
  const auto moved = fg::scores(f.q, std::move(keys)) | fg::softmax();
  const auto packed = fg::pack(f.k);
  const auto referring = fg::scores(f.q, packed) | fg::softmax();
  overwrite_the_stack(1.0F);
  CHECK(test::same(Matrix<float>(owned * f.v), expected));
  CHECK(test::same(Matrix<float>(moved * f.v), expected));
  CHECK(test::same(Matrix<float>(referring * f.v), expected));
}

TEST_CASE("a result may be assigned to a view that a stage holds") {
  const Fixture f;
  const auto pipeline = fg::top_k(4) | fg::softmax();
  Matrix<float> b = Matrix<float>::Random(12, 60);
  const Matrix<float> before = b;
  const Matrix<float> expected = fg::scores(f.q, f.k) | fg::bias(Matrix<float>(b.rightCols(30))) | pipeline;
  {
    auto columns = b.rightCols(30);
    columns = fg::scores(f.q, f.k) | fg::bias(columns) | pipeline;
  }
  CHECK(test::same(Matrix<float>(b.rightCols(30)), expected));
  b = before;
  b.middleCols(17, 30) = fg::scores(f.q, f.k) | fg::bias(b.rightCols(30)) | pipeline;
  CHECK(test::same(Matrix<float>(b.middleCols(17, 30)), expected));
  b = before;
  b.rightCols(30) = fg::scores(f.q, f.k) | fg::bias(2 * b.rightCols(30) - b.rightCols(30)) | pipeline;
  CHECK(Matrix<float>(b.rightCols(30)).isApprox(expected, 1e-5F));
}
