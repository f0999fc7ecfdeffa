// SPDX-License-Identifier: MIT
#define STB_IMAGE_WRITE_IMPLEMENTATION
#include "filigree/pattern/draw.hpp"

#define STB_IMAGE_IMPLEMENTATION
#include <stb_image.h>

#include <filesystem>
#include <memory>
#include <string>

#include "catch.hpp"
#include "filigree/pattern/pattern.hpp"

namespace fg = filigree;
using fg::Index;

namespace {

struct Picture {
  int width = 0, height = 0, channels = 0;
  std::unique_ptr<unsigned char, void (*)(void*)> pixels{nullptr, stbi_image_free};

  int at(Index i, Index c) const { return pixels.get()[i * width + c]; }
};

template <class P>
Picture drawn(const P& pattern, Index n, Index m) {
  const std::string path = (std::filesystem::temp_directory_path() / "filigree_draw_test.png").string();
  fg::draw(pattern, n, m, path);
  Picture picture;
  picture.pixels.reset(stbi_load(path.c_str(), &picture.width, &picture.height, &picture.channels, 0));
  std::filesystem::remove(path);
  REQUIRE(picture.pixels);
  return picture;
}

}  // namespace

TEST_CASE("draw makes one pixel per pair, dark for kept pairs") {
  const auto pattern = fg::streaming(2, 5);
  const Picture picture = drawn(pattern, 100, 130);
  CHECK(picture.width == 130);
  CHECK(picture.height == 100);
  CHECK(picture.channels == 1);
  const fg::Grid grid{.n = 100, .m = 130, .query_at = 30, .key_at = 0};
  bool same = true;
  for (Index i = 0; i < 100; ++i)
    for (Index c = 0; c < 130; ++c)
      same &= picture.at(i, c) == (fg::detail::keeps(pattern, grid.query_at + i, c, grid) ? 25 : 255);
  CHECK(same);
}

TEST_CASE("draw averages cells of several pairs") {
  // A pixel is 4 x 8 pairs.
  const Picture picture = drawn(fg::window(0) || fg::first(8), 2000, 4096);
  CHECK(picture.width == 512);
  CHECK(picture.height == 500);
  CHECK(picture.at(100, 0) == 25);
  CHECK(picture.at(100, 5) == 255);
  CHECK(picture.at(499, 511) == 225 - 200 * 4 / 32);
  CHECK(picture.at(499, 510) == 255);
}

TEST_CASE("draw names an invalid argument") {
  CHECK_THROWS_WITH(fg::draw(fg::causal(), 0, 4, "x.png"),
                    "filigree: draw(pattern, n, m, path): n must be at least 1, got 0");
  CHECK_THROWS_WITH(fg::draw(fg::causal(), 4, 0, "x.png"),
                    "filigree: draw(pattern, n, m, path): m must be at least 1, got 0");
  CHECK_THROWS_WITH(fg::draw(fg::causal(), 4, 4, "/no/such/folder/x.png"),
                    "filigree: /no/such/folder/x.png: cannot be written: No such file or directory");
}
