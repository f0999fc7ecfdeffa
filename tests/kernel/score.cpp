// SPDX-License-Identifier: MIT
// Compares score tiles and gathers with explicit chains of multiply-adds.
#include <cmath>
#include <filigree/kernel/kernels.hpp>
#include <vector>

#include "catch.hpp"
#include "inputs.hpp"

using filigree::kernel::Column;
using test::Index;
using test::Random;

namespace {

template <class S>
S multiply_add(S a, S b, S c) {
  if (filigree::kernel::kernels<S>().fused()) return std::fma(a, b, c);
  const volatile S product = a * b;
  return product + c;
}

}  // namespace

TEMPLATE_TEST_CASE("each score of a tile is one chain of multiply-adds", "", float, double) {
  using S = TestType;
  const auto& kernels = filigree::kernel::kernels<S>();
  const Index width = kernels.width, height = kernels.height;
  Random random(121);
  for (const Index d : {0, 1, 2, 3, 17, 64, 65})
    for (const Index groups : {1, 2, 3}) {
      const auto q = test::normal<S>(random, groups * height, d), k = test::normal<S>(random, width, d);
      std::vector<S> queries(static_cast<std::size_t>(groups * height * d + 1)),
          keys(static_cast<std::size_t>(width * d + 1));
      for (Index i = 0; i < groups * height; ++i)
        for (Index f = 0; f < d; ++f)
          queries[static_cast<std::size_t>(((i / height) * d + f) * height + i % height)] = q(i, f);
      for (Index c = 0; c < width; ++c)
        for (Index f = 0; f < d; ++f) keys[static_cast<std::size_t>(f * width + c)] = k(c, f);
      const Index stride = width + 5;
      const S scale = S(0.3);
      std::vector<S> out(static_cast<std::size_t>(groups * height * stride), S(-9));
      kernels.score_panel(queries.data(), groups, keys.data(), d, scale, out.data(), stride);
      for (Index i = 0; i < groups * height; ++i)
        for (Index c = 0; c < stride; ++c) {
          S chain = 0;
          for (Index f = 0; c < width && f < d; ++f) chain = multiply_add(q(i, f), k(c, f), chain);
          REQUIRE(test::same_bits(out[static_cast<std::size_t>(i * stride + c)], c < width ? chain * scale : S(-9)));
        }
    }
}

TEMPLATE_TEST_CASE("each output of a gather is one chain of multiply-adds", "", float, double) {
  using S = TestType;
  const auto& kernels = filigree::kernel::kernels<S>();
  Random random(122);
  for (int number = 0; number < 200; ++number) {
    const Index dv = kernels.lanes * random.between(0, 9), m = random.between(1, 50), count = random.between(0, 30);
    const auto v = test::normal<S>(random, m, dv + 3);
    std::vector<S> weights(static_cast<std::size_t>(count)), out(static_cast<std::size_t>(dv + 1), S(5));
    std::vector<Column> columns(weights.size());
    for (S& w : weights) w = static_cast<S>(random.normal());
    for (Column& c : columns) c = static_cast<Column>(random.between(0, m - 1));
    kernels.gather(out.data(), weights.data(), columns.data(), count, v.data(), dv + 3, dv);
    for (Index f = 0; f < dv; ++f) {
      S chain = 0;
      for (std::size_t e = 0; e < weights.size(); ++e) chain = multiply_add(weights[e], v(columns[e], f), chain);
      REQUIRE(test::same_bits(out[static_cast<std::size_t>(f)], chain));
    }
    REQUIRE(out.back() == S(5));
  }
}
