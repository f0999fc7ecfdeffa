// SPDX-License-Identifier: MIT
// Queries and keys give the same packed numbers, however they are stored, and packing allocates nothing when its memory
// is used again.
#include <filigree/filigree.hpp>
#include <span>
#include <type_traits>
#include <vector>

#include "allocations.hpp"
#include "catch.hpp"
#include "inputs.hpp"

namespace {

namespace fg = filigree;
using fg::Column;
using test::Index;
using test::Matrix;
using test::Random;
template <class X>
using Rows = fg::detail::RowsOf<fg::detail::Reader<std::remove_cvref_t<X>>>;

static_assert(fg::detail::Queries<Rows<Matrix<float>>>);
static_assert(fg::detail::Queries<fg::detail::GatheredQueries<Rows<Matrix<float>>, Index>>);
static_assert(fg::detail::PackableQueries<fg::detail::TransformedQueries<Rows<Matrix<float>>, fg::MinMaxBound>>);
static_assert(!fg::detail::Queries<fg::detail::TransformedQueries<Rows<Matrix<float>>, fg::MinMaxBound>>);
static_assert(fg::detail::Keys<fg::detail::PanelKeys<float>>);
static_assert(fg::detail::Keys<fg::detail::GatheredKeys<double>>);
static_assert(fg::detail::Keys<fg::detail::StreamedKeys<fg::detail::Reader<Matrix<float>>, float>>);
static_assert(!fg::detail::Keys<Rows<Matrix<float>>>);
static_assert(!fg::detail::Queries<Matrix<float>>);

/// Rows [first, first + count) of x as groups [.][d][height], written with loops over all indices.
template <class S>
std::vector<S> groups_of(const Matrix<S>& x, Index first, Index count) {
  const Index height = fg::kernel::kernels<S>().height, groups = (count + height - 1) / height;
  std::vector<S> packed;
  for (Index g = 0; g < groups; ++g)
    for (Index f = 0; f < x.cols(); ++f)
      for (Index r = 0; r < height; ++r) packed.push_back(g * height + r < count ? x(first + g * height + r, f) : S(0));
  return packed;
}

template <class S, fg::detail::PackableQueries Q>
bool packs(const Q& queries, const Matrix<S>& expected, Index first, Index count) {
  static fg::detail::WorkerScratch scratch;
  std::vector<S> packed = groups_of(expected, first, count);
  const std::vector<S> right = packed;
  for (S& number : packed) number = S(77);
  queries.pack(first, count, packed.data(), scratch);
  bool good = packed == right && queries.rows() == expected.rows() && queries.d() == expected.cols();
#if FILIGREE_COUNTS_ALLOCATIONS
  good = good && test::allocated_by([&] { queries.pack(first, count, packed.data(), scratch); }) == 0;
#endif
  return good;
}

}  // namespace

TEMPLATE_TEST_CASE("queries are packed in groups", "", FILIGREE_TEST_SCALARS) {
  using S = TestType;
  Random random(611);
  for (const Index d : {1, 3, 16, 33}) {
    const Matrix<S> x = test::normal<S>(random, 30, d);
    const Eigen::Matrix<S, Eigen::Dynamic, Eigen::Dynamic> by_column = x;
    const auto half = x * S(0.5);
    const Rows<Matrix<S>> rows{fg::detail::reader_of(x)};
    const Rows<decltype(by_column)> columns{fg::detail::reader_of(by_column)};
    const Rows<decltype(half)> expression{fg::detail::reader_of(half)};
    const std::vector<Index> order = {29, 0, 7, 7, 12, 3, 4, 5, 28};
    Matrix<S> chosen(9, d), bounds(30, 2 * d);
    for (Index i = 0; i < 9; ++i) chosen.row(i) = x.row(order[static_cast<std::size_t>(i)]);
    bounds << x.cwiseMax(S(0)), x.cwiseMin(S(0));
    const fg::detail::GatheredQueries<Rows<Matrix<S>>, Index> gathered{rows, order};
    const fg::detail::TransformedQueries<Rows<Matrix<S>>, fg::MinMaxBound> transformed{rows};
    for (const Index first : {0, 2})
      for (const Index count : {0, 1, 5, 6, 7}) {
        CHECK(packs<S>(rows, x, first, count));
        CHECK(packs<S>(columns, x, first, count));
        CHECK(packs<S>(expression, Matrix<S>(half), first, count));
        CHECK(packs<S>(gathered, chosen, first, count));
        CHECK(packs<S>(transformed, bounds, first, count));
      }
  }
}

TEMPLATE_TEST_CASE("keys give the same numbers from panels and from rows", "", FILIGREE_TEST_SCALARS) {
  using S = TestType;
  Random random(612);
  const Index width = fg::kernel::kernels<S>().width, m = 2 * width + 3, d = 5;
  const Matrix<S> k = test::normal<S>(random, m, d);
  const fg::detail::StreamedKeys<fg::detail::Reader<Matrix<S>>, S> streamed{fg::detail::reader_of(k)};
  const auto packed_keys = fg::pack(k);
  const fg::detail::PanelKeys<S> packed{packed_keys.panels()};
  fg::detail::WorkerScratch scratch;
  streamed.reserve(scratch);
  const std::vector<Column> order = {5, 0, static_cast<Column>(m - 1), 2, 2};
  std::vector<S> memory(static_cast<std::size_t>(fg::detail::PackedPanels<S>::size(5, d)));
  const auto gathered = fg::detail::gather_keys(packed, std::span<const Column>(order), memory.data());
  CHECK(gathered.rows() == 5);
  const auto key = [&](const auto& keys, Index j) {
    Matrix<S> copied(1, d), from_panel(1, d);
    keys.copy(j, copied.data());
    const S* panel = keys.panel(j / width, scratch);
    for (Index f = 0; f < d; ++f) from_panel(0, f) = panel[f * width + j % width];
    CHECK(copied == from_panel);
    return copied;
  };
  for (Index j = 0; j < m; ++j) {
    CHECK(key(streamed, j) == k.row(j));
    CHECK(key(packed, j) == k.row(j));
  }
  for (Index j = 0; j < 5; ++j) {
    Matrix<S> copied(1, d);
    gathered.copy(j, copied.data());
    CHECK(copied == k.row(order[static_cast<std::size_t>(j)]));
  }
  CHECK(streamed.in_place().data == k.data());
  CHECK(packed.in_place().data == nullptr);
  CHECK(streamed.packed() == nullptr);
  CHECK(packed.packed() == packed_keys.panels().data);
}
