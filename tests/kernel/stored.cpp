// SPDX-License-Identifier: MIT
// Kernels that read numbers of 16 bits: the same bits as from widened numbers, for any number of queries.
#include <algorithm>
#include <cstdint>
#include <filigree/kernel/kernels.hpp>
#include <filigree/kernel/stored_kernels.hpp>
#include <limits>
#include <vector>

#include "catch.hpp"
#include "inputs.hpp"

namespace kernel = filigree::kernel;
using kernel::Column;
using test::Index;
using test::Random;

namespace {

/// Random numbers of 16 bits, and the same numbers widened.
template <class S>
struct Numbers {
  Numbers(Random& random, Index count, kernel::Storage storage) {
    const auto& kernels = kernel::kernels<S>();
    std::vector<S> numbers(static_cast<std::size_t>(count));
    for (S& x : numbers) x = static_cast<S>(random.normal());
    bits.resize(numbers.size());
    widened.resize(numbers.size());
    const bool half = storage == kernel::Storage::half;
    (half ? kernels.narrow_half : kernels.narrow_bfloat)(numbers.data(), count, bits.data());
    (half ? kernels.widen_half : kernels.widen_bfloat)(bits.data(), count, widened.data());
    stored = {bits.data(), storage, kernel::stored_kernels<S>()};
  }
  Numbers(const Numbers&) = delete;
  Numbers& operator=(const Numbers&) = delete;

  std::vector<std::uint16_t> bits;
  std::vector<S> widened;
  kernel::StoredNumbers<S> stored;
};

template <class S>
std::vector<S> random_numbers(Random& random, Index count) {
  std::vector<S> numbers(static_cast<std::size_t>(count));
  for (S& x : numbers) x = static_cast<S>(random.normal());
  return numbers;
}

/// Returns true if the first `rows` rows of `count` numbers have the same bits.
template <class S>
bool same_rows(const std::vector<S>& a, const std::vector<S>& b, Index rows, Index count, Index stride) {
  for (Index r = 0; r < rows; ++r)
    for (Index c = 0; c < count; ++c) {
      const auto at = static_cast<std::size_t>(r * stride + c);
      if (!test::same_bits(a[at], b[at])) return false;
    }
  return true;
}

constexpr kernel::Storage storages[] = {kernel::Storage::half, kernel::Storage::bfloat16};

}  // namespace

TEMPLATE_TEST_CASE("scores of keys of 16 bits", "", float, double) {
  using S = TestType;
  Random random(3301);
  const auto& kernels = kernel::kernels<S>();
  const Index height = kernels.height, width = kernels.width, lanes = kernels.lanes, stride = width + lanes;
  for (const kernel::Storage storage : storages)
    for (const Index d : {0, 1, 2, 7, 64})
      for (Index present = 1; present <= height; ++present) {
        CAPTURE(int(storage), d, present);
        const Numbers<S> keys(random, d * width, storage);
        const std::vector<S> q = random_numbers<S>(random, d * height);
        std::vector<S> expected(static_cast<std::size_t>(height * stride)), got = expected;
        kernels.score_panel(q.data(), 1, keys.widened.data(), d, S(0.3), expected.data(), stride);
        kernels.score_panel_stored(q.data(), present, keys.stored, d, S(0.3), got.data(), stride);
        REQUIRE(same_rows(got, expected, present, width, stride));
        const Index begin = random.between(0, width - 1), end = random.between(begin + 1, width);
        std::fill(got.begin(), got.end(), S(0));
        kernels.score_columns_stored(q.data(), keys.stored, d, S(0.3), got.data(), stride, begin, end);
        for (Index r = 0; r < height; ++r)
          for (Index c = begin; c < end; ++c)
            REQUIRE(test::same_bits(got[static_cast<std::size_t>(r * stride + c)],
                                    expected[static_cast<std::size_t>(r * stride + c)]));

        const Index capacity = 2 * width + 2 * lanes;
        const auto lists = [&](std::vector<S>& values, std::vector<Column>& columns, std::vector<Column>& counts,
                               std::vector<S>& bounds) {
          values.assign(static_cast<std::size_t>(height * capacity), S(0));
          columns.assign(static_cast<std::size_t>(height * capacity), 0);
          counts.assign(static_cast<std::size_t>(height), 0);
          bounds.assign(static_cast<std::size_t>(height), S(0.1));
          return kernel::Candidates<S>{values.data(), columns.data(), capacity, counts.data(), bounds.data()};
        };
        std::vector<S> values[2], bounds[2];
        std::vector<Column> columns[2], counts[2];
        kernels.append_panel(q.data(), 1, keys.widened.data(), d, S(0.3), 1000,
                             lists(values[0], columns[0], counts[0], bounds[0]));
        kernels.append_panel_stored(q.data(), present, keys.stored, d, S(0.3), 1000,
                                    lists(values[1], columns[1], counts[1], bounds[1]));
        for (Index r = 0; r < present; ++r) {
          const auto count = counts[0][static_cast<std::size_t>(r)];
          REQUIRE(counts[1][static_cast<std::size_t>(r)] == count);
          for (Index e = r * capacity; e < r * capacity + count; ++e) {
            REQUIRE(test::same_bits(values[1][static_cast<std::size_t>(e)], values[0][static_cast<std::size_t>(e)]));
            REQUIRE(columns[1][static_cast<std::size_t>(e)] == columns[0][static_cast<std::size_t>(e)]);
          }
        }
      }
}

TEMPLATE_TEST_CASE("products with values of 16 bits", "", float, double) {
  using S = TestType;
  Random random(3302);
  const auto& kernels = kernel::kernels<S>();
  const Index height = kernels.height, lanes = kernels.lanes, m = 70, stride = m + 2 * lanes;
  for (const kernel::Storage storage : storages)
    for (const Index vectors : {0, 1, 3, 4, 5, 9, 16})
      for (Index present = 1; present <= height; ++present) {
        const Index dv = vectors * lanes;
        CAPTURE(int(storage), dv, present);
        const Numbers<S> values(random, m * dv, storage);
        std::vector<S> scores = random_numbers<S>(random, height * stride);
        const Index begin = random.between(0, 20), end = random.between(begin + 1, m);
        const kernel::Segment segment{begin, end};
        for (Index r = 0; r < height; ++r)
          for (Index c = 0; c < stride; ++c)
            if (c < begin || c >= end || c % 11 == 3)
              scores[static_cast<std::size_t>(r * stride + c)] = -std::numeric_limits<S>::infinity();
        for (const bool careful : {false, true}) {
          std::vector<S> out[2], maximum[2], sum[2];
          for (const int stored : {0, 1}) {
            std::vector<S> tile = scores;
            out[stored].assign(static_cast<std::size_t>(height * dv + 1), S(7));
            maximum[stored].assign(static_cast<std::size_t>(height), S(7));
            sum[stored].assign(static_cast<std::size_t>(height * lanes), S(7));
            const kernel::SoftmaxState<S> to{out[stored].data(), dv, maximum[stored].data(), sum[stored].data()};
            if (stored == 1)
              (careful ? kernels.attend_nonfinite_stored : kernels.attend_chunk_stored)(
                  tile.data(), stride, &segment, 1, values.stored, dv, dv, present, nullptr, to);
            else
              (careful ? kernels.attend_nonfinite : kernels.attend_chunk)(
                  tile.data(), stride, &segment, 1, values.widened.data(), dv, dv, present, nullptr, to);
          }
          REQUIRE(same_rows(out[1], out[0], present, dv, dv));
          REQUIRE(same_rows(maximum[1], maximum[0], 1, present, present));
          REQUIRE(same_rows(sum[1], sum[0], present, lanes, lanes));
        }

        std::vector<Column> columns;
        for (Column c = 0; c < m; ++c)
          if (random.chance(0.3)) columns.push_back(c);
        const auto count = static_cast<Index>(columns.size());
        std::vector<S> weights = random_numbers<S>(random, count), out(static_cast<std::size_t>(dv + 1)), got = out;
        kernels.gather(out.data(), weights.data(), columns.data(), count, values.widened.data(), dv, dv);
        kernels.gather_stored(got.data(), weights.data(), columns.data(), count, values.stored, dv, dv);
        REQUIRE(same_rows(got, out, 1, dv, dv));
        std::fill(got.begin(), got.end(), S(7));
        const Index half = count / 2;  // the second call continues the sums of the first
        kernels.gather_stored(got.data(), weights.data(), columns.data(), half, values.stored, dv, dv);
        kernels.gather_stored(got.data(), weights.data() + half, columns.data() + half, count - half, values.stored, dv,
                              dv, true);
        REQUIRE(same_rows(got, out, 1, dv, dv));
      }
}
