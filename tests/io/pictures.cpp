// SPDX-License-Identifier: MIT
#include <limits>

#include "filigree/io/pgm.hpp"
#include "filigree/io/tiles.hpp"
#include "io/files.hpp"

namespace fg = filigree;
using Levels = Eigen::MatrixXi;
using Matrix = Eigen::MatrixXd;

namespace {

template <class M>
M parse(const std::string& text) {
  return fg::parse_pgm<M>(fg::Bytes::copy(text), "a.pgm");
}

const std::string six("\x00\x01\x02\x80\xFE\xFF", 6);

}  // namespace

TEST_CASE("binary and plain PGM files of 8 and 16 bits are read") {
  const Levels levels{{0, 1, 2}, {128, 254, 255}};
  for (const std::string& header : {std::string("P5\n3 2\n255\n"), std::string("P5 3\t2\r\n255 "),
                                    std::string("P5#c\n# 9 9\n3 # width\n2\n\n255\n"), std::string("P5\n03 2 255\n")})
    CHECK(parse<Levels>(header + six) == levels);
  CHECK(parse<Levels>("P2 3 2 255 0 1 2 128 254 255") == levels);
  CHECK(parse<Levels>("P2\n# c\n3 2\n255\n0 1 2\n128 254 255\n\n") == levels);
  CHECK(parse<Eigen::Matrix<std::uint8_t, 2, 3>>("P5 3 2 255 " + six) == levels.cast<std::uint8_t>());
  CHECK(parse<Matrix>("P5 3 2 255 " + six).isApprox(levels.cast<double>() / 255, 1e-16));
  CHECK(parse<Eigen::MatrixXf>("P5 3 2 255 " + six) == Eigen::MatrixXf(levels.cast<float>() / 255.0F));

  CHECK(parse<Levels>("P5 3 1 1000 " + std::string("\0\1\1\0\3\xE8", 6)) == Levels{{1, 256, 1000}});
  CHECK(parse<Matrix>("P5 3 1 1000 " + std::string("\0\1\1\0\3\xE8", 6))(0, 2) == 1);
  CHECK(parse<Levels>("P2 2 1 65535 65535 0") == Levels{{65535, 0}});
}

TEST_CASE("invalid PGM files are rejected with reason and position") {
  const auto refuses = [](const std::string& text, const std::string& message) {
    CHECK_THROWS_WITH(parse<Levels>(text), "filigree: a.pgm: byte " + message);
  };
  refuses("P6 1 1 255 abc", "0: must begin with P5 or P2");
  refuses("P53 2 255 ", "2: must be whitespace");
  refuses("P5 0 2 255 ", "3: the width must be a whole number from 1 to 16777216");
  refuses("P5 3 -2 255 ", "5: the height must be a whole number from 1 to 16777216");
  refuses("P5 3 2 65536 ", "7: the maximum must be a whole number from 1 to 65535");
  refuses("P5 99999999999 2 255 ", "3: the width must be a whole number from 1 to 16777216");
  refuses("P5 3 2 255", "10: must be whitespace");
  refuses("P5 3 2 255#c\n" + six, "10: must be whitespace");
  refuses("P5 3 2 255 " + six.substr(1), "10: the pixels need 6 bytes, 5 are left");
  refuses("P5 3 2 255 " + six + "x", "10: the pixels need 6 bytes, 7 are left");
  refuses("P5 16777216 16777216 65535 ", "26: the pixels need 562949953421312 bytes, 0 are left");
  refuses("P5 3 2 200 " + six, "15: a level must be at most 200, is 254");
  refuses("P2 3 2 255 0 1 2 3", "10: the pixels need at least 11 bytes, 7 are left");
  refuses("P2 2 1 255 1000 1", "11: a level must be a whole number from 0 to 255");
  refuses("P2 2 1 255 1   ", "15: a level must be a whole number from 0 to 255");
  refuses("P2 2 1 255 1,2", "12: must be whitespace");
  refuses("P2 2 1 255 1 2 3", "15: must end after 2 pixels");
  CHECK_THROWS_WITH((parse<Eigen::Matrix<std::uint8_t, 1, 1>>("P2 1 1 300 299")),
                    "filigree: a.pgm: the number at (0, 0) must fit uint8, got 299");
}

TEST_CASE("damaged files are rejected") {
  const auto read = [](const fg::Bytes& bytes) { return fg::parse_pgm<Matrix>(bytes, "a.pgm"); };
  // The picture contains the level 255. A smaller maximum is therefore an error, and a larger one needs two bytes per
  // pixel.
  const std::string header = "P5\n3 2\n255\n";
  test::notices_damage(header + six, header.size(), read);
}

TEST_CASE("numbers are mapped linearly to gray levels and clamped") {
  const test::Folder folder;
  const std::string path = folder / "x.pgm";
  const Matrix x{{-5, 0, 0.1, 0.5, 1, 7}};
  fg::save_pgm(path, x);
  CHECK(test::content(path) == "P5\n6 1\n255\n" + std::string("\0\0\x1A\x80\xFF\xFF", 6));
  fg::save_pgm(path, x, {.black = 1, .white = -1});
  CHECK(fg::load_pgm<Levels>(path) == Levels{{255, 128, 115, 64, 0, 0}});
  fg::save_pgm(path, Levels{{0, 100, 255}}, {.white = 255});
  CHECK(fg::load_pgm<Levels>(path) == Levels{{0, 100, 255}});
  constexpr double infinity = std::numeric_limits<double>::infinity(), most = std::numeric_limits<double>::max();
  fg::save_pgm(path, Matrix{{-infinity, 0, infinity, most}}, {.black = -most, .white = most});
  CHECK(fg::load_pgm<Levels>(path) == Levels{{0, 128, 255, 255}});

  const std::string call = "filigree: save_pgm(path, x, range): ";
  CHECK_THROWS_WITH(fg::save_pgm(path, Matrix(0, 3)), call + "x must have entries, is 0 x 3");
  CHECK_THROWS_WITH(fg::save_pgm(path, Matrix{{0, std::numeric_limits<double>::quiet_NaN()}}),
                    call + "x(0, 1) must be a number, is nan");
  CHECK_THROWS_WITH(fg::save_pgm(path, x, {.black = 1}),
                    call + "black and white must be two finite numbers, got 1 and 1");
  CHECK(fg::load_pgm<Levels>(path).cols() == 4);
}

TEST_CASE("tiles arranges pictures in a grid, each scaled by its own maximum") {
  const Matrix X{{1, -2, 0, 2}, {0, 0, 0, 0}, {1e-9, 0, 0, 0}};
  const Matrix expected{{0, 0, 0, 0, 0, 0, 0}, {0, .75, 0, 0, .5, .5, 0}, {0, .5, 1, 0, .5, .5, 0},
                        {0, 0, 0, 0, 0, 0, 0}, {0, 1, .5, 0, 0, 0, 0},    {0, .5, .5, 0, 0, 0, 0},
                        {0, 0, 0, 0, 0, 0, 0}};
  CHECK(fg::tiles(X, 2, 2) == expected);
  CHECK(fg::tiles(X.cast<float>(), 1, 4, {.columns = 1, .border = 0}).row(0) == Eigen::RowVector4d(.75, 0, .5, 1));
  CHECK(fg::tiles(X, 1, 4, {.columns = 9, .border = 2}).cols() == 3 * (4 + 2) + 2);
  CHECK(fg::tiles(X, 4, 1, {.columns = 2, .border = 0}).rows() == 8);

  const std::string call = "filigree: tiles(X, height, width): ";
  CHECK_THROWS_WITH(fg::tiles(X, 2, 3), call + "X.cols() = 4 must equal 2 x 3");
  CHECK_THROWS_WITH(fg::tiles(X, 0, 3), call + "a picture must have pixels, got 0 x 3");
  CHECK_THROWS_WITH(fg::tiles(Matrix(0, 4), 2, 2), call + "X must have rows");
  CHECK_THROWS_WITH(fg::tiles(X / 0.0, 2, 2), call + "X(0, 0) must be finite");
  CHECK_THROWS_WITH(fg::tiles(X, 2, 2, {.border = -1}), "filigree: tiling{border}: must be at least 0, got -1");
}
