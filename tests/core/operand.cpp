// SPDX-License-Identifier: MIT
#include "filigree/core/operand.hpp"

#include <array>
#include <concepts>
#include <span>
#include <type_traits>
#include <utility>
#include <vector>

#include "catch.hpp"

namespace fg = filigree;

namespace {

using Dense = Eigen::MatrixXf;
using Sparse = Eigen::SparseMatrix<float, Eigen::RowMajor>;

/// Holds an operand as the expressions and stages of the library do.
template <class Held>
struct Holder {
  Held held;
};
template <class T>
Holder<fg::Operand<T>> hold(T&& x) {
  return {std::forward<T>(x)};
}
template <class T>
Holder<fg::StoredOperand<T>> hold_stored(T&& x) {
  return {std::forward<T>(x)};
}

template <class T, class Held>
constexpr bool holds_as = std::same_as<fg::Operand<T>, Held>;
template <class T, class Held>
constexpr bool stores_as = std::same_as<fg::StoredOperand<T>, Held>;

}  // namespace

TEST_CASE("an lvalue is held by reference and an rvalue by value") {
  static_assert(holds_as<Dense&, const Dense&>);
  static_assert(holds_as<const Dense&, const Dense&>);
  static_assert(holds_as<Dense, Dense>);
  static_assert(holds_as<const Dense, Dense>);
  static_assert(holds_as<Sparse&, const Sparse&>);
  static_assert(holds_as<Sparse, Sparse>);
  static_assert(holds_as<std::vector<int>&, const std::vector<int>&>);
  static_assert(holds_as<const std::vector<int>&, const std::vector<int>&>);
  static_assert(holds_as<std::vector<int>, std::vector<int>>);
  static_assert(holds_as<std::array<int, 3>&, const std::array<int, 3>&>);
  static_assert(stores_as<Dense&, const Dense&>);
  static_assert(stores_as<Dense, Dense>);
  static_assert(stores_as<const Sparse&, const Sparse&>);
  static_assert(stores_as<Sparse, Sparse>);
  static_assert(stores_as<std::vector<int>&, const std::vector<int>&>);
  static_assert(stores_as<std::vector<int>, std::vector<int>>);

  Dense x = Dense::Constant(2, 3, 1.0F);
  const auto by_reference = hold(x);
  const auto by_value = hold(Dense(x));
  const float* const data = x.data();
  CHECK(by_reference.held.data() == data);
  CHECK(hold(std::move(x)).held.data() == data);  // moved, not copied
  CHECK(by_value.held.data() != data);
}

TEST_CASE("a view is held by value, even if it is an lvalue") {
  using Block = decltype(std::declval<Dense&>().topRows(1));
  using Map = Eigen::Map<const Dense>;
  using SparseRows = std::remove_const_t<decltype(std::declval<const Sparse&>().middleRows(0, 1))>;
  static_assert(holds_as<Block&, const Block>);
  static_assert(holds_as<const Map&, const Map>);
  static_assert(holds_as<Map, Map>);
  static_assert(holds_as<std::span<int>&, std::span<int>>);
  static_assert(holds_as<const std::span<const int, 3>&, std::span<const int, 3>>);
  static_assert(holds_as<std::span<int>, std::span<int>>);
  static_assert(stores_as<Block&, const Block>);
  static_assert(stores_as<Map&, const Map>);
  static_assert(stores_as<const std::span<int>&, std::span<int>>);
  static_assert(stores_as<const SparseRows&, const SparseRows>);
  static_assert(stores_as<SparseRows, SparseRows>);

  Dense x = Dense::Constant(4, 3, 1.0F);
  std::vector<int> ids = {1, 2, 3};
  const auto rows = [&] {
    const auto block = x.topRows(2);
    return hold(block);
  }();
  const auto list = [&] {
    const std::span<int> span(ids);
    return hold(span);
  }();
  x(1, 2) = 5;
  ids[2] = 7;
  CHECK(rows.held.data() == x.data());
  CHECK(rows.held(1, 2) == 5);
  CHECK(list.held.data() == ids.data());
  CHECK(list.held[2] == 7);
}

TEST_CASE("an expression whose entries are not in memory is held lazily by Operand and evaluated by StoredOperand") {
  Dense x = Dense::Constant(2, 2, 3.0F);
  Sparse s = x.sparseView();
  const auto lazy = hold(x + x), again = lazy;
  const auto product = hold_stored(x * x);
  const auto sum = hold_stored(x + x);
  const auto sparse = hold_stored(2 * s);
  const auto& expression = x.array() > 2.0F;  // an lvalue
  const auto mask = hold_stored(expression);
  static_assert(std::same_as<decltype(product.held), Dense>);
  static_assert(std::same_as<decltype(sum.held), Dense>);
  static_assert(std::derived_from<decltype(sparse.held), Eigen::SparseCompressedBase<decltype(sparse.held)>>);
  static_assert(std::same_as<decltype(mask.held), Eigen::Array<bool, Eigen::Dynamic, Eigen::Dynamic>>);
  x.setZero();
  s.setZero();
  CHECK(lazy.held.coeff(1, 1) == 0);
  CHECK(again.held.coeff(1, 1) == 0);
  CHECK(product.held(1, 1) == 18);
  CHECK(sum.held(1, 1) == 6);
  CHECK(sparse.held.coeff(1, 1) == 6);
  CHECK(mask.held(1, 1));
}
