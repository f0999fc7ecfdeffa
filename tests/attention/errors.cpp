// SPDX-License-Identifier: MIT
// The complete message of each error.
#include <filigree/filigree.hpp>
#include <string>

#include "catch.hpp"
#include "inputs.hpp"

namespace fg = filigree;
using test::Index;
using test::Matrix;

namespace {

using M = Matrix<float>;

template <class F>
std::string message(F&& f) {
  try {
    f();
  } catch (const fg::Error& error) {
    return error.what();
  }
  return "nothing was thrown";
}

M ones(Index rows, Index cols) { return M::Ones(rows, cols); }

}  // namespace

TEST_CASE("scores checks its shapes") {
  const M q = ones(3, 64), k = ones(5, 32);
  CHECK(message([&] { (void)fg::scores(q, k); }) == "filigree: scores(Q, K): Q.cols() = 64 must equal K.cols() = 32");
  CHECK(message([&] { (void)fg::scores(q, fg::pack(k), 0.5); }) ==
        "filigree: scores(Q, K): Q.cols() = 64 must equal K.cols() = 32");
  const Eigen::Map<const M> one_query(nullptr, 1, 0), huge_k(nullptr, 2147483647, 0);
  CHECK(message([&] { (void)fg::scores(one_query, huge_k); }) ==
        "filigree: scores(Q, K): K.rows() must be at most 2147482623, got 2147483647");
}

TEST_CASE("dense sources check their width") {
  const Eigen::Map<const M> wide(nullptr, 0, 2147483648);
  CHECK(message([&] { (void)(wide | fg::relu()); }) ==
        "filigree: X | stages: a row of X must have at most 2147483647 entries, got 2147483648");
}

TEST_CASE("A * V and attend check the rows of V") {
  const M q = ones(3, 4), k = ones(5, 4), v = ones(6, 2);
  const auto a = fg::scores(q, k) | fg::top_k(2) | fg::softmax();
  CHECK(message([&] { (void)(a * v); }) == "filigree: A * V: V.rows() = 6 must equal A.cols() = 5");
  CHECK(message([&] { (void)((q | fg::relu()) * v); }) == "filigree: A * V: V.rows() = 6 must equal A.cols() = 4");
  CHECK(message([&] { (void)fg::attend(a, v); }) == "filigree: attend(A, V): V.rows() = 6 must equal A.cols() = 5");
}

TEST_CASE("merge checks the shapes of its parts") {
  const M k = ones(5, 4), v = ones(5, 2);
  const auto x = fg::attend(fg::scores(ones(3, 4), k) | fg::softmax(), v),
             y = fg::attend(fg::scores(ones(4, 4), k) | fg::softmax(), v);
  CHECK(message([&] { (void)fg::merge(x, y); }) == "filigree: merge(a, b): b.out is 4x2, it must be 3x2 like a.out");
  const auto z = fg::attend(fg::scores(ones(3, 4), k) | fg::softmax(), ones(5, 7));
  CHECK(message([&] { (void)fg::merge(x, x, z); }) == "filigree: merge(a, b): b.out is 3x7, it must be 3x2 like a.out");
}

TEST_CASE("multi_head checks the numbers of heads and the shapes") {
  const M q = ones(3, 12), k = ones(5, 12), v = ones(5, 8);
  const auto head = fg::top_k(2) | fg::softmax();
  const auto check = [&](fg::heads count, const M& queries, const M& keys, const M& values) {
    return message([&] { (void)fg::multi_head(count, queries, keys, values, head); });
  };
  CHECK(check({0}, q, k, v) == "filigree: multi_head(heads{h, hkv}, ...): h must be at least 1, got 0");
  CHECK(check({-2}, q, k, v) == "filigree: multi_head(heads{h, hkv}, ...): h must be at least 1, got -2");
  CHECK(check({4, 3}, q, k, v) == "filigree: multi_head(heads{h, hkv}, ...): hkv must divide h = 4, got 3");
  CHECK(check({4, -1}, q, k, v) == "filigree: multi_head(heads{h, hkv}, ...): hkv must divide h = 4, got -1");
  CHECK(check({5}, q, k, v) == "filigree: multi_head(heads, Q, K, V, ...): Q.cols() = 12 must be a multiple of h = 5");
  CHECK(check({4, 2}, q, k, v) ==
        "filigree: multi_head(heads, Q, K, V, ...): K.cols() = 12 must be hkv = 2 times the 3 columns of a head of Q");
  CHECK(check({3}, q, k, v) == "filigree: multi_head(heads, Q, K, V, ...): V.cols() = 8 must be a multiple of hkv = 3");
  CHECK(check({4}, q, k, ones(6, 8)) ==
        "filigree: multi_head(heads, Q, K, V, ...): V.rows() = 6 must equal K.rows() = 5");
  const M b = ones(3, 4);
  CHECK(message([&] { (void)fg::multi_head(fg::heads{4}, q, k, v, fg::bias(b) | fg::softmax()); }) ==
        "filigree: bias(B): B is 3x4 and must have the shape of the scores, 3x5");
}

TEST_CASE("stages must fit the shape of the source") {
  const M q = ones(3, 4), k = ones(5, 4), b = ones(4, 5);
  CHECK(message([&] { (void)(fg::scores(q, k) | fg::bias(b)); }) ==
        "filigree: bias(B): B is 4x5 and must have the shape of the scores, 3x5");
  CHECK(message([&] { (void)(fg::scores(q, k) | (fg::causal() && fg::given(b.sparseView()))); }) ==
        "filigree: given(S): S is 4x5 and must have the shape of the scores, 3x5");
  CHECK(message([&] { (void)(q | fg::bias(b)); }) ==
        "filigree: bias(B): B is 4x5 and must have the shape of the scores, 3x4");
}

TEST_CASE("sizes and positions that could overflow throw") {
  const M q = ones(3, 4), k = ones(5, 4);
  CHECK(message([&] { (void)fg::lsh(Index{1} << 32, Index{1} << 33, 4, 1); }) ==
        "filigree: lsh(rounds, buckets, chunk, ...): rounds * buckets / 2 must be at most 2^31, got 4294967296 * "
        "8589934592 "
        "/ 2");
  for (const Index at : {std::numeric_limits<Index>::max(), std::numeric_limits<Index>::min(), (Index{1} << 60) + 1})
    CHECK(message([&] { (void)fg::scores(q, k, {.query_at = at}); }) ==
          "filigree: scores(Q, K, {.query_at}): must be between -2^60 and 2^60, got " + std::to_string(at));
  const M out = (fg::scores(q, k, {.query_at = (Index{1} << 60) - 2, .key_at = -(Index{1} << 60)}) |
                 (fg::causal() && fg::window(std::numeric_limits<Index>::max())) | fg::alibi(1e-18) | fg::softmax()) *
                k;
  CHECK(out.isApprox(M::Ones(3, 4)));
  const M none(5, 0);
  CHECK(message([&] { (void)fg::multi_head(fg::heads{Index{1} << 40}, M(3, 0), none, none, fg::softmax()); }) ==
        "filigree: multi_head(heads{h, hkv}, ...): h must be at most 65536, got 1099511627776");
  // A product of sizes that overflows must not become a small allocation.
  const auto huge = Eigen::MatrixXf::Constant(5, (Index{1} << 40) + 1, 1.F);
  CHECK(message([&] { (void)((fg::scores(q, k) | fg::softmax()) * huge); }) ==
        "filigree: A * V: V.cols() must be at most 2^40, got 1099511627777");
  CHECK_THROWS_AS(fg::detail::size_product(Index{1} << 32, Index{1} << 32), std::bad_alloc);
}

TEST_CASE("middleRows checks its range") {
  const M q = ones(5, 4), k = ones(5, 4);
  const auto a = fg::scores(q, k) | fg::softmax();
  CHECK(message([&] { (void)a.middleRows(3, 6); }) ==
        "filigree: A.middleRows(first, count): rows 3 to 9 must be within the 5 rows of A");
  CHECK(message([&] { (void)a.middleRows(-1, 2); }) ==
        "filigree: A.middleRows(first, count): rows -1 to 1 must be within the 5 rows of A");
  CHECK(message([&] { (void)a.middleRows(1, 3).middleRows(1, 3); }) ==
        "filigree: A.middleRows(first, count): rows 1 to 4 must be within the 3 rows of A");
}

TEST_CASE("a target of the wrong shape throws and is not changed") {
  const M q = ones(5, 4), k = ones(6, 4), v = ones(6, 3);
  const auto a = fg::scores(q, k) | fg::top_k(2) | fg::softmax();
  const auto check = [&](const std::string& name, const std::string& is, const std::string& must, auto&& target,
                         auto&& assign) {
    target.setConstant(7);
    CHECK(message([&] { assign(target); }) == "filigree: " + name + ": the target must be " + must + ", is " + is);
    CHECK((target.array() == 7).all());
  };
  const auto set = [&](auto&& to) { to = a * v; };
  const auto add = [&](auto&& to) { to += a * v; };
  M big(9, 9), small(2, 2);
  float memory[30];
  check("A * V", "4x3", "5x3", big.topLeftCorner(4, 3), set);
  check("A * V", "5x2", "5x3", Eigen::Map<M>(memory, 5, 2), set);
  check("A * V", "2x2", "5x3", Eigen::Ref<M>(small), set);
  check("A * V", "3x5", "5x3", Eigen::Matrix<float, 3, 5>(), set);
  check("A * V", "2x2", "5x3", small, add);
  check("A * V", "3x3", "5x3", Eigen::Matrix<float, 3, Eigen::Dynamic>(3, 3), set);
  check("A * V", "4x4", "5x3", Eigen::Matrix<float, Eigen::Dynamic, Eigen::Dynamic, 0, 4, 4>(4, 4), set);
  check("A * V", "9x1", "5x3", Eigen::VectorXf(9), set);
  check("A * V", "1x9", "5x3", big.row(2), set);
  check("A * V", "3x5", "5x3", Eigen::Map<M>(memory, 5, 3).transpose(), set);
  check("scores(Q, K) | stages", "4x3", "5x6", big.topLeftCorner(4, 3), [&](auto&& to) { to = a; });
  check("scores(Q, K) | stages", "2x2", "5x6", small, [&](auto&& to) { to -= a; });
  check("X | stages", "2x2", "5x4", Eigen::Ref<M>(small), [&](auto&& to) { to = q | fg::relu(); });
  check("multi_head(heads, Q, K, V, head)", "2x2", "5x3", Eigen::Ref<M>(small),
        [&](auto&& to) { to = fg::multi_head(fg::heads{1}, q, k, v, fg::softmax()); });
  CHECK(message([&] { (void)a.operator Eigen::Matrix<float, 4, 4>(); }) ==
        "filigree: scores(Q, K) | stages: the target must be 5x6, is 4x4");
}

TEST_CASE("a workspace rejects a second evaluation at the same time") {
  const M q = ones(5, 4), k = ones(6, 4), v = ones(6, 3);
  fg::Workspace workspace;
  const auto inner = (fg::scores(q, k) | fg::softmax()).with(workspace);
  M out;
  const auto outer = (fg::scores(q, k) | fg::map([&](float s, Index, Index) {
                        const M nested = inner;
                        return s + nested(0, 0);
                      })).with(workspace);
  CHECK(message([&] { out = outer * v; }) ==
        "filigree: A.with(workspace): the workspace is in use by another evaluation; give each its own");
  CHECK_NOTHROW(out = inner * v);  // the workspace is released
}
