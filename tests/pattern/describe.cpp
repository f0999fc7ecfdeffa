// SPDX-License-Identifier: MIT
#include "filigree/pattern/describe.hpp"

#include <string>

#include "any_pattern.hpp"

namespace fg = filigree;
using namespace test;

namespace {

std::string first_line(const std::string& text) { return text.substr(0, text.find('\n')); }

}  // namespace

TEST_CASE("describe draws one character per pair") {
  CHECK(fg::describe(fg::causal() && (fg::window(1) || fg::first(1)), 5, 5) ==
        "5 x 5, 48 %\n"
        "█····\n"
        "██···\n"
        "███··\n"
        "█·██·\n"
        "█··██\n");
  // The last query is at the position of the last key.
  CHECK(fg::describe(fg::causal(), 2, 6) ==
        "2 x 6, 91.7 %\n"
        "█████·\n"
        "██████\n");
  CHECK(fg::describe(fg::global({-1}) && fg::causal(), 6, 2) ==
        "6 x 2, 16.7 %\n"
        "··\n··\n··\n··\n··\n██\n");
  CHECK(fg::describe(!fg::first(9), 1, 1) == "1 x 1, 0 %\n·\n");
  CHECK(fg::describe(fg::where([](Index p, Index j) { return p < j; }), 3, 3) == "3 x 3, 33.3 %\n·██\n··█\n···\n");
}

TEST_CASE("describe draws cells of several pairs as shades") {
  CHECK(fg::describe(fg::window(19) || fg::global({0}), 6, 256) ==
        "6 x 256, 9.18 %; a character is 1 x 4 pairs\n"
        "▒························································▒██████\n"
        "▒·························································██████\n"
        "▒·························································▓█████\n"
        "▒·························································▓█████\n"
        "▒·························································▒█████\n"
        "▒··························································█████\n");
}

TEST_CASE("describe agrees with keeps() and with a plan for random patterns") {
  fg::Generator g(741);
  for (int trial = 0; trial < 200; ++trial) {
    const Index n = 1 + g.below(20), m = 1 + g.below(20);
    const Grid grid{.n = n, .m = m, .query_at = m - n, .key_at = 0};
    const Any pattern = expression(g, grid, 3);
    std::string expected;
    for (Index p = m - n; p < m; ++p, expected += '\n')
      for (Index j = 0; j < m; ++j) expected += pattern.keeps(p, j, grid) ? "█" : "·";
    const std::string text = fg::describe(pattern, n, m);
    REQUIRE(text.substr(text.find('\n') + 1) == expected);
    REQUIRE(fg::describe(fg::plan(pattern, n, m), n, m) == text);
  }
}

TEST_CASE("describe is exact for large patterns with inexpensive ranges and estimates others") {
  CHECK(first_line(fg::describe(fg::window(256) || fg::global({0, 1}), 65536, 65536)) ==
        "65536 x 65536, 0.787 %; a character is 1024 x 1024 pairs");
  CHECK(first_line(fg::describe(fg::bigbird(64, 3, 1), 65536, 65536)) ==
        "65536 x 65536, 0.975 %; a character is 1024 x 1024 pairs");
  CHECK(first_line(fg::describe(fg::where([](Index p, Index j) { return (p * p + 3 * j) % 10 == 0; }), 1000, 1000)) ==
        "1000 x 1000, 10 %; a character is 16 x 16 pairs");
  // Too many pairs to evaluate, so describe samples.
  const std::string line = first_line(fg::describe(fg::where([](Index, Index j) { return j % 4 == 0; }), 70000, 70000));
  CHECK_THAT(line, contains("70000 x 70000, about 2"));
}

TEST_CASE("describe names an invalid argument") {
  CHECK_THROWS_WITH(fg::describe(fg::causal(), 0, 4), "filigree: describe(pattern, n, m): n must be at least 1, got 0");
  CHECK_THROWS_WITH(fg::describe(fg::causal(), 4, -2),
                    "filigree: describe(pattern, n, m): m must be at least 1, got -2");
  CHECK_THROWS_WITH(fg::describe(fg::plan(fg::causal(), 3, 3), 4, 4), contains("plan(pattern, n, m): the plan is for"));
}
