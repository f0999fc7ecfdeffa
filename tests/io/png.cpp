// SPDX-License-Identifier: MIT
#define STB_IMAGE_WRITE_IMPLEMENTATION
#include "filigree/io/png.hpp"

#define STB_IMAGE_IMPLEMENTATION
#include <stb_image.h>

#include <memory>

#include "filigree/io/tiles.hpp"
#include "io/files.hpp"

namespace fg = filigree;

TEST_CASE("save_png writes a row of a matrix as a row of pixels") {
  const test::Folder folder;
  const std::string path = folder / "x.png";
  const Eigen::MatrixXf x = Eigen::MatrixXf{{0, 0.5F, 1}, {2, -1, 0.2F}};
  for (const bool inverted : {false, true}) {
    fg::save_png(path, x, inverted ? fg::gray{.black = 1, .white = 0} : fg::gray{});
    int width = 0, height = 0, channels = 0;
    const std::unique_ptr<unsigned char, void (*)(void*)> pixels(stbi_load(path.c_str(), &width, &height, &channels, 0),
                                                                 stbi_image_free);
    REQUIRE(pixels);
    CHECK(width == 3);
    CHECK(height == 2);
    CHECK(channels == 1);
    const int expected[2][6] = {{0, 128, 255, 255, 0, 51}, {255, 128, 0, 0, 255, 204}};
    for (int i = 0; i < 6; ++i) CHECK(pixels.get()[i] == expected[inverted][i]);
  }
  fg::save_png(path, fg::tiles(Eigen::MatrixXd::Random(10, 6), 2, 3));
  CHECK(test::content(path).substr(1, 3) == "PNG");
}

TEST_CASE("an empty matrix and an invalid path are rejected") {
  CHECK_THROWS_WITH(fg::save_png("/no/such/folder/x.png", Eigen::MatrixXd(0, 2)),
                    "filigree: save_png(path, x, range): a picture must have pixels, got 0 x 2");
  CHECK_THROWS_WITH(fg::save_png("/no/such/folder/x.png", Eigen::Matrix2d::Zero()),
                    "filigree: /no/such/folder/x.png: cannot be written: No such file or directory");
}
