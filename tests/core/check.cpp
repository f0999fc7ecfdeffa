// SPDX-License-Identifier: MIT
#include "filigree/core/check.hpp"

#include <cstdint>
#include <cstdlib>
#include <limits>
#include <stdexcept>
#include <string>
#include <string_view>
#include <type_traits>

#include "catch.hpp"

namespace fg = filigree;

namespace {

template <class... Parts>
std::string message(const Parts&... parts) {
  try {
    fg::detail::require(false, parts...);
  } catch (const fg::Error& error) {
    return error.what();
  }
  return "nothing was thrown";
}

constexpr int twice(int k) {
  fg::detail::require(k >= 0, "twice(k): k must not be negative, got ", k);
  return 2 * k;
}
static_assert(twice(3) == 6);

}  // namespace

TEST_CASE("require throws an Error with the given message only if the check fails") {
  CHECK(message("top_k(k): k must be at least 1, got ", 0) == "filigree: top_k(k): k must be at least 1, got 0");
  CHECK_NOTHROW(fg::detail::require(true, "not formatted ", 1));
  CHECK_THROWS_AS(twice(-1), fg::Error);
  CHECK_THROWS_AS(twice(-1), std::invalid_argument);
}

TEST_CASE("messages accept any kind of string") {
  const std::string string = "string";
  const char* pointer = "pointer";
  CHECK(message(string, ' ', pointer, ' ', std::string_view("view"), "") == "filigree: string pointer view");
  CHECK(message(true, '/', false) == "filigree: true/false");
}

TEST_CASE("integers of any width are printed as decimal numbers") {
  CHECK(message(std::numeric_limits<std::int64_t>::min()) == "filigree: -9223372036854775808");
  CHECK(message(std::numeric_limits<std::uint64_t>::max()) == "filigree: 18446744073709551615");
  CHECK(message(std::uint8_t{65}, ' ', std::int8_t{-1}, ' ', short{7}) == "filigree: 65 -1 7");
}

TEST_CASE("floating-point numbers have the fewest digits that parse as the same value") {
  CHECK(message(0.1, ' ', 0.1f, ' ', 1.0 / 3, ' ', -2.0) == "filigree: 0.1 0.1 0.3333333333333333 -2");
  CHECK(message(0.0, ' ', -0.0, ' ', 100000.0, ' ', 1234567.0, ' ', 1e-4) == "filigree: 0 -0 100000 1234567 0.0001");
  CHECK(message(1e15, ' ', 2.5e-5, ' ', 1e300, ' ', 5e-324) == "filigree: 1e+15 2.5e-05 1e+300 5e-324");
  CHECK(message(0.5L) == "filigree: 0.5");
}

TEST_CASE("infinity and NaN are printed as inf, -inf and nan") {
  const double inf = std::numeric_limits<double>::infinity();
  const float nan = std::numeric_limits<float>::quiet_NaN();
  CHECK(message(inf, ' ', -inf, ' ', nan, ' ', -nan) == "filigree: inf -inf nan nan");
}

TEST_CASE("the longest numbers fit the buffer") {
  using Long = std::numeric_limits<long double>;
  for (const long double x : {-Long::max(), -Long::min(), -Long::denorm_min(), -1.0L / 3, -999999999999999.9L})
    CHECK(std::strtold(message(x).c_str() + 10, nullptr) == x);
}
