// SPDX-License-Identifier: MIT
// Packed panels of keys and groups of queries.
#include <filigree/kernel/kernels.hpp>
#include <vector>

#include "catch.hpp"
#include "inputs.hpp"

using test::Index;
using test::Random;

TEMPLATE_TEST_CASE("a panel is the transpose of its rows, with padding 0", "", float, double) {
  using S = TestType;
  const auto& kernels = filigree::kernel::kernels<S>();
  Random random(106);
  for (int number = 0; number < 300; ++number) {
    const Index width = kernels.width, count = random.between(1, width), d = random.between(0, 70);
    const Index stride = d + random.between(0, 5);
    std::vector<S> rows(static_cast<std::size_t>(count * stride + 1)),
        out(static_cast<std::size_t>(d * width + 1), S(-9));
    for (S& x : rows) x = static_cast<S>(random.normal());
    kernels.pack_panel(rows.data(), stride, count, d, out.data());
    INFO("case " << number << ", " << count << " rows of " << d << ", stride " << stride);
    for (Index f = 0; f < d; ++f)
      for (Index c = 0; c < width; ++c) {
        const S expected = c < count ? rows[static_cast<std::size_t>(c * stride + f)] : S(0);
        REQUIRE(test::same_bits(out[static_cast<std::size_t>(f * width + c)], expected));
      }
    REQUIRE(out.back() == S(-9));
  }
}

TEMPLATE_TEST_CASE("a group is the transpose of its rows", "", float, double) {
  using S = TestType;
  const auto& kernels = filigree::kernel::kernels<S>();
  Random random(107);
  for (const Index d : {0, 1, 3, 64, 67}) {
    const auto rows = test::normal<S>(random, kernels.height, d + 2);
    std::vector<S> out(static_cast<std::size_t>(d * kernels.height + 1), S(-9));
    kernels.pack_group(rows.data(), rows.outerStride(), d, out.data());
    for (Index f = 0; f < d; ++f)
      for (Index r = 0; r < kernels.height; ++r)
        REQUIRE(test::same_bits(out[static_cast<std::size_t>(f * kernels.height + r)], rows(r, f)));
    REQUIRE(out.back() == S(-9));
  }
}
