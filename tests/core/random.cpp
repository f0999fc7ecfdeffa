// SPDX-License-Identifier: MIT
// The expected values were computed by a separate program in Python. The program knows the values of normal() only to a
// few ulp; their remaining bits are the output of this library, kept as a regression test.
#include "filigree/core/generator.hpp"

#include <Eigen/Core>

#include <algorithm>
#include <array>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <limits>
#include <map>
#include <numbers>
#include <random>
#include <set>
#include <vector>

#include "catch.hpp"

namespace fg = filigree;
using Eigen::Index;
using fg::Generator;
using fg::detail::philox;

static_assert(std::uniform_random_bit_generator<Generator>);
static_assert(Generator(42, 7)() == 0xe55410cc67ee6f2c, "a generator works at compile time");

namespace {

// P(chi² with f degrees of freedom >= f + 2 sqrt(20 f) + 40) <= exp(-20)   (Laurent and Massart 2000, lemma 1)
double chi_square_bound(double freedom) { return freedom + 2 * std::sqrt(20 * freedom) + 40; }

double chi_square(const std::vector<double>& counts) {
  double total = 0;
  for (const double count : counts) total += count;
  const double expected = total / static_cast<double>(counts.size());
  double sum = 0;
  for (const double count : counts) sum += (count - expected) * (count - expected) / expected;
  return sum;
}

void check_uniform(const std::vector<double>& counts) {
  CHECK(chi_square(counts) < chi_square_bound(static_cast<double>(counts.size()) - 1));
}

// Checks the largest distance between the empirical and the true distribution. The probability that it exceeds
// sqrt(10 / n) is at most 2 exp(-20)   (Massart 1990)
template <class Distribution>
void check_distribution(std::vector<double> sample, Distribution below) {
  std::sort(sample.begin(), sample.end());
  const auto n = static_cast<double>(sample.size());
  double distance = 0;
  for (std::size_t i = 0; i < sample.size(); ++i) {
    const double p = below(sample[i]);
    distance = std::max({distance, p - static_cast<double>(i) / n, static_cast<double>(i + 1) / n - p});
  }
  CHECK(distance < std::sqrt(10 / n));
}

double ulps(double x, long double truth) {
  const double size = std::abs(static_cast<double>(truth));
  const long double ulp = std::nextafter(size, std::numeric_limits<double>::infinity()) - size;
  return static_cast<double>(std::abs(static_cast<long double>(x) - truth) / ulp);
}

}  // namespace

TEST_CASE("bits_from returns the least bits whose number is at least p") {
  using fg::detail::bits_from;
  using fg::detail::unit;
  CHECK(bits_from(0) == 0);
  CHECK(bits_from(0.5) == std::uint64_t{1} << 63);
  CHECK(bits_from(1e-300) == 2048);
  fg::Generator g(8);
  for (int trial = 0; trial < 1000; ++trial) {
    const double u = g.uniform() * std::exp2(-static_cast<double>(g.below(60)));
    for (const double p : {u, std::nextafter(u, 0.0), std::nextafter(u, 1.0), 1 - u * 0.5}) {
      if (p == 1) continue;
      const std::uint64_t bits = bits_from(p);
      CAPTURE(p, bits);
      CHECK(unit(bits) >= p);
      CHECK((bits == 0 || unit(bits - 1) < p));
    }
  }
}

TEST_CASE("philox matches the known answers of Random123") {
  using Block = std::array<std::uint32_t, 4>;
  CHECK(philox({0, 0, 0, 0}, {0, 0}) == Block{0x6627e8d5, 0xe169c58d, 0xbc57ac4c, 0x9b00dbd8});
  CHECK(philox({0xffffffff, 0xffffffff, 0xffffffff, 0xffffffff}, {0xffffffff, 0xffffffff}) ==
        Block{0x408f276d, 0x41c83b0e, 0xa20bc7c6, 0x6d5451fd});
  CHECK(philox({0x243f6a88, 0x85a308d3, 0x13198a2e, 0x03707344}, {0xa4093822, 0x299f31d0}) ==
        Block{0xd16cfe09, 0x94fdcceb, 0x5001e420, 0x24126ea1});
}

TEST_CASE("the numbers of a stream have the expected bits") {
  Generator g(42, 7);
  for (const std::uint64_t bits : {0xe55410cc67ee6f2cu, 0x557398d36c7eca35u, 0x600f6196e5dde940u, 0x2c8ed8398fcdf8f1u})
    CHECK(g.bits64() == bits);
  g.seek(0);
  for (const double x : {0x1.caa82198cfdcdp-1, 0x1.55ce634db1fb2p-2, 0x1.803d865b9777ap-2, 0x1.6476c1cc7e6fcp-3})
    CHECK(g.uniform() == x);
  g.seek(0);
  for (const double x : {0x1.0aa82198cfdcdp+2, -0x1.518ce5927027p-2, 0x1.ec32dcbbbdp-10}) CHECK(g.uniform(-3, 5) == x);
  g.seek(0);
  for (const double x : {-0x1.e2c277fcf9eadp-3, 0x1.493e12d59bbabp-1, 0x1.4ae53c0f8f8dep-3, 0x1.2f769a70f7fa6p+0,
                         0x1.be7e26f419c37p-1, -0x1.7b92131b5becfp-2})
    CHECK(g.normal() == x);
  g.seek(0);
  for (const Index k : {89, 33, 37, 17, 93, 82, 49, 98}) CHECK(g.below(100) == k);
}

TEST_CASE("samples and shuffles have the expected values") {
  Generator g(42, 7);
  std::array<Index, 6> sample{};
  g.sample_without_replacement(1000, sample);
  CHECK(sample == std::array<Index, 6>{174, 333, 375, 824, 895, 937});
  g.sample_without_replacement(8, sample);
  CHECK(sample == std::array<Index, 6>{0, 2, 4, 5, 6, 7});
  std::array<int, 8> cards{0, 1, 2, 3, 4, 5, 6, 7};
  g.shuffle(cards);
  CHECK(cards == std::array<int, 8>{2, 5, 3, 0, 7, 6, 1, 4});
  Generator again(42, 7);
  again.seek(14);
  Eigen::VectorXi vector = Eigen::VectorXi::LinSpaced(8, 0, 7);
  again.shuffle(vector);
  CHECK(std::equal(cards.begin(), cards.end(), vector.data()));
}

TEST_CASE("random_bits has the expected bits and no repeated values") {
  CHECK(fg::random_bits(42, 0, 0) == 0x417141ba1e36901d);
  CHECK(fg::random_bits(42, -1, 5) == 0x5684ddd89b3fd57c);
  CHECK(fg::random_bits(42, 5, -1) == 0x7c779602174de926);
  CHECK(fg::uniform_at(42, 3, -4) == 0x1.b281627b2c21bp-1);
  std::set<std::uint64_t> seen;
  for (Index a = -40; a < 40; ++a)
    for (Index b = -40; b < 40; ++b) seen.insert(fg::random_bits(1, a, b));
  for (std::uint64_t stream = 0; stream < 40; ++stream) {
    Generator g(1, stream);
    for (int i = 0; i < 80; ++i) seen.insert(g.bits64());
  }
  CHECK(seen.size() == 80 * 80 + 40 * 80);
}

TEST_CASE("a generator can be saved and restored at any position") {
  Generator g(5, 9);
  std::vector<std::uint64_t> words(20);
  for (auto& word : words) word = g();
  CHECK(g.position() == 20);
  for (const std::size_t p : {7u, 0u, 19u, 4u, 5u, 12u}) {
    Generator restored(g.seed(), g.stream());
    restored.seek(p);
    for (std::size_t i = p; i < words.size(); ++i) CHECK(restored() == words[i]);
    CHECK(restored.position() == 20);
  }
  g.seek(3);
  Generator copy = g;
  CHECK(g.normal() == copy.normal());
  CHECK(g.position() == 5);
  g.seek(std::numeric_limits<std::uint64_t>::max() - 1);
  CHECK_NOTHROW(g());
}

TEST_CASE("different seeds and streams give different numbers") {
  std::set<std::uint64_t> seen;
  for (std::uint64_t i = 0; i < 64; ++i) {
    seen.insert(Generator(std::uint64_t{1} << i)());
    seen.insert(Generator(0, std::uint64_t{1} << i)());
  }
  CHECK(seen.size() == 128);
}

TEST_CASE("every bit is unbiased and depends on every bit of the key") {
  const int n = 20000;
  std::array<int, 64> ones{}, flips{};
  for (int i = 0; i < n; ++i) {
    const std::uint64_t bits = fg::random_bits(3, i, -i);
    const std::uint64_t other = fg::random_bits(3, i ^ (std::int64_t{1} << i % 64), -i);
    for (std::size_t b = 0; b < 64; ++b) {
      ones[b] += static_cast<int>(bits >> b & 1);
      flips[b] += static_cast<int>((bits ^ other) >> b & 1);
    }
  }
  // 128 binomial counts: the probability of exceeding 6 standard deviations is below 128 · 2e-9
  for (const int count : ones) CHECK(std::abs(count - n / 2) < 3 * std::sqrt(n));
  for (const int count : flips) CHECK(std::abs(count - n / 2) < 3 * std::sqrt(n));
}

TEST_CASE("uniform has the uniform distribution on [0, 1)") {
  Generator g(11);
  std::vector<double> sample(100000), keyed(100000);
  for (double& x : sample) x = g.uniform();
  for (std::size_t i = 0; i < keyed.size(); ++i)
    keyed[i] = fg::uniform_at(11, static_cast<Index>(i % 317) - 100, Index(i / 317));
  for (auto* all : {&sample, &keyed}) {
    const auto [lowest, highest] = std::minmax_element(all->begin(), all->end());
    CHECK(*lowest >= 0);
    CHECK(*highest < 1);
    check_distribution(*all, [](double x) { return x; });
  }
}

TEST_CASE("uniform(lo, hi) stays below hi") {
  Generator g(12);
  for (int i = 0; i < 1000; ++i) {
    const double x = g.uniform(1, std::nextafter(1.0, 2.0));
    CHECK(x == 1.0);
    const double y = g.uniform(-2e-300, 1e300);
    CHECK((y >= -2e-300 && y < 1e300));
  }
  CHECK(g.uniform(2.5, 2.5) == 2.5);
  const double huge = std::numeric_limits<double>::max();
  CHECK_THROWS_AS(g.uniform(-huge, huge), fg::Error);
  CHECK_THROWS_AS(g.uniform(0, std::numeric_limits<double>::quiet_NaN()), fg::Error);
  CHECK_THROWS_WITH(g.uniform(1, 0.5),
                    "filigree: Generator::uniform(lo, hi): needs lo <= hi and a finite hi - lo, got 1 and 0.5");
}

TEST_CASE("normal has the moments and the distribution of N(0, 1)") {
  Generator g(13);
  std::vector<double> sample(200000);
  double mean = 0, variance = 0, skew = 0, fourth = 0, lag = 0, last = 0;
  const auto n = static_cast<double>(sample.size());
  for (double& x : sample) {
    x = g.normal();
    mean += x / n;
    variance += x * x / n;
    skew += x * x * x / n;
    fourth += x * x * x * x / n;
    lag += x * last / n;
    last = x;
  }
  // 6 standard errors; var(x^k) = E x^2k - (E x^k)² = 1, 2, 15, 96 for k = 1..4
  CHECK(std::abs(mean) < 6 * std::sqrt(1 / n));
  CHECK(std::abs(variance - 1) < 6 * std::sqrt(2 / n));
  CHECK(std::abs(skew) < 6 * std::sqrt(15 / n));
  CHECK(std::abs(fourth - 3) < 6 * std::sqrt(96 / n));
  CHECK(std::abs(lag) < 6 * std::sqrt(1 / n));
  check_distribution(sample, [](double x) { return std::erfc(-x / std::numbers::sqrt2) / 2; });
}

TEST_CASE("portable_log is within 3 ulp") {
  CHECK(fg::detail::portable_log(1.0) == 0.0);
  Generator g(14);
  double worst = 0;
  for (int i = 0; i < 200000; ++i) {
    double x = std::ldexp(g.uniform() + 0x1p-53, -static_cast<int>(g.below(60)));
    if (i % 4 == 0) x = 1 - std::ldexp(g.uniform(), -static_cast<int>(g.below(52)));  // near 1, where ln x is near 0
    if (x > 0 && x < 1)
      worst = std::max(worst, ulps(fg::detail::portable_log(x), std::log(static_cast<long double>(x))));
  }
  for (const double x : {0x1p-53, 1 - 0x1p-53, std::numbers::sqrt2 / 2, std::nextafter(std::numbers::sqrt2 / 2, 0.0)})
    worst = std::max(worst, ulps(fg::detail::portable_log(x), std::log(static_cast<long double>(x))));
  CHECK(worst < 3);
}

TEST_CASE("portable_cos is within 3 ulp") {
  constexpr std::uint64_t turn = std::uint64_t{1} << 53;
  const auto cosine = [](std::uint64_t k) { return fg::detail::portable_cos(k); };
  CHECK(cosine(0) == 1.0);
  CHECK(cosine(turn) == 1.0);
  CHECK(cosine(turn / 2) == -1.0);
  CHECK(cosine(turn / 4) == 0.0);
  CHECK(cosine(turn / 4 * 3) == 0.0);
  Generator g(15);
  double worst = 0;
  for (int i = 0; i < 200000; ++i) {
    std::uint64_t k = g() >> 11;
    if (i % 2 == 0) k = (k >> 50 << 50) + (g() >> (14 + g.below(50)));  // near the multiples of an eighth of a turn
    // The exact value, by symmetry from the first eighth, where the long double argument is exact to its last bit.
    const std::uint64_t folded = std::min(k % turn, turn - k % turn), quarter = turn / 4;
    const auto angle = [](std::uint64_t x) {
      return 2 * std::numbers::pi_v<long double> * static_cast<long double>(x) / static_cast<long double>(turn);
    };
    long double truth = 0;
    if (folded <= turn / 8)
      truth = std::cos(angle(folded));
    else if (folded <= quarter)
      truth = std::sin(angle(quarter - folded));
    else if (folded <= turn / 8 * 3)
      truth = -std::sin(angle(folded - quarter));
    else
      truth = -std::cos(angle(turn / 2 - folded));
    worst = std::max(worst, ulps(cosine(k), truth));
  }
  CHECK(worst < 3);
}

TEST_CASE("below is unbiased") {
  Generator g(16);
  for (const Index bound : {2, 3, 10, 100}) {
    std::vector<double> counts(static_cast<std::size_t>(bound));
    for (int i = 0; i < 50000; ++i) ++counts[static_cast<std::size_t>(g.below(bound))];
    check_uniform(counts);
  }
  // 2^64 words for 3 · 2^61 values: without rejection, values with remainder 0, 1, 2 modulo 3 would get 3, 3, 2 words
  // each.
  const Index bound = (Index{1} << 62) + (Index{1} << 61);
  std::vector<double> thirds(3);
  for (int i = 0; i < 50000; ++i) ++thirds[static_cast<std::size_t>(g.below(bound) % 3)];
  check_uniform(thirds);
  CHECK(g.below(1) == 0);
  CHECK_THROWS_WITH(g.below(0), "filigree: Generator::below(bound): bound must be at least 1, got 0");
}

TEST_CASE("sample_without_replacement gives all subsets equally often, in ascending order") {
  Generator g(17);
  for (const auto [population, count] : {std::array<Index, 2>{7, 2}, {6, 3}, {7, 5}, {5, 1}, {6, 4}}) {
    std::map<std::vector<Index>, double> seen;
    std::vector<Index> sample(static_cast<std::size_t>(count));
    for (int i = 0; i < 20000; ++i) {
      g.sample_without_replacement(population, sample);
      REQUIRE(std::adjacent_find(sample.begin(), sample.end(), std::greater_equal<>()) == sample.end());
      REQUIRE((sample.front() >= 0 && sample.back() < population));
      ++seen[sample];
    }
    const std::map<std::array<Index, 2>, std::size_t> subsets{
        {{7, 2}, 21}, {{6, 3}, 20}, {{7, 5}, 21}, {{5, 1}, 5}, {{6, 4}, 15}};
    CHECK(seen.size() == subsets.at({population, count}));
    std::vector<double> counts;
    for (const auto& [subset, times] : seen) counts.push_back(times);
    check_uniform(counts);
  }
}

TEST_CASE("sample_without_replacement draws no value, all values, or throws for too many") {
  Generator g(18);
  g.sample_without_replacement(0, {});
  g.sample_without_replacement(5, {});
  CHECK(g.position() == 0);
  std::vector<Index> all(1000);
  g.sample_without_replacement(1000, all);
  for (Index i = 0; i < 1000; ++i) CHECK(all[static_cast<std::size_t>(i)] == i);
  g.sample_without_replacement(std::numeric_limits<Index>::max(), all);
  CHECK(std::adjacent_find(all.begin(), all.end(), std::greater_equal<>()) == all.end());
  CHECK_THROWS_AS(g.sample_without_replacement(-1, {}), fg::Error);
  CHECK_THROWS_WITH(g.sample_without_replacement(999, all), contains("cannot draw 1000 distinct values"));
}

TEST_CASE("shuffle gives all orders equally often") {
  Generator g(19);
  std::map<std::array<int, 4>, double> seen;
  for (int i = 0; i < 24000; ++i) {
    std::array<int, 4> cards{0, 1, 2, 3};
    g.shuffle(cards);
    ++seen[cards];
  }
  std::vector<double> counts;
  for (const auto& [order, times] : seen) counts.push_back(times);
  CHECK(counts.size() == 24);
  check_uniform(counts);
}

TEST_CASE("fill_normal and fill_uniform fill row by row in any storage order") {
  Eigen::Matrix<double, 4, 3, Eigen::RowMajor> rows;
  Eigen::MatrixXd columns(4, 3);
  Eigen::ArrayXXf large = Eigen::ArrayXXf::Zero(9, 9);
  std::vector<double> raw(24);
  Eigen::Map<Eigen::MatrixXd, 0, Eigen::Stride<6, 2>> mapped(raw.data(), 3, 4);
  Generator a(20), b(20), c(20), d(20), truth(20);
  fg::fill_normal(rows, a);
  fg::fill_normal(columns, b);
  fg::fill_normal(large.block(2, 3, 4, 3), c);
  fg::fill_normal(mapped.transpose(), d);
  CHECK(rows == columns);
  CHECK(rows.cast<float>() == large.block(2, 3, 4, 3).matrix());
  CHECK(rows == mapped.transpose());
  CHECK(large.block(0, 0, 2, 9).isZero(0));
  for (Index i = 0; i < 4; ++i)
    for (Index j = 0; j < 3; ++j) CHECK(rows(i, j) == truth.normal());
  CHECK(a.position() == 24);

  Eigen::RowVectorXf vector(5);
  fg::fill_uniform(vector, -1, 2, a);
  for (Index j = 0; j < 5; ++j) CHECK(vector(j) == static_cast<float>(truth.uniform(-1, 2)));
  Eigen::MatrixXd empty(0, 3);
  fg::fill_uniform(empty, 0, 1, a);
  CHECK(a.position() == truth.position());
}
