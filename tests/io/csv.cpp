// SPDX-License-Identifier: MIT
#include "filigree/io/csv.hpp"

#include <cmath>
#include <limits>

#include "io/files.hpp"

namespace fg = filigree;
using Matrix = Eigen::MatrixXd;

namespace {

template <class M = Matrix>
M parse(const std::string& text, fg::csv options = {}) {
  return fg::parse_csv<M>(fg::Bytes::copy(text), "a.csv", options);
}

}  // namespace

TEST_CASE("parse_csv reads tables of numbers") {
  const Matrix x{{1, -2.5}, {3e2, 0.1}};
  for (const char* text : {"1,-2.5\n3e2,0.1\n", "1,-2.5\n3e2,0.1", "1,-2.5\r\n300,.1\r\n", " 1 ,\t-2.5\n300 , 0.1 \n",
                           "\xEF\xBB\xBF"
                           "1,-2.5\n300,1e-1\n"})
    CHECK(parse(text) == x);
  CHECK(parse("a b\n\nc\n1,-2.5\n300,0.1\n", {.skip_rows = 3}) == x);
  CHECK(parse("1;-2.5\n300;0.1\n", {.separator = ';'}) == x);
  CHECK(parse("1\t-2.5\n300\t0.1\n", {.separator = '\t'}) == x);
  CHECK(parse<Eigen::VectorXf>("1\n2\n3\n") == Eigen::Vector3f(1, 2, 3));
  CHECK(parse<Eigen::RowVector2i>("1,-2\n") == Eigen::RowVector2i(1, -2));
  CHECK(parse<Eigen::Matrix<std::int8_t, 1, 2>>("65,-128") == (Eigen::Matrix<std::int8_t, 1, 2>(65, -128)));
  CHECK(parse("1,-2.5\n300,0.1\n\n \t\r\n\n") == x);
  CHECK(parse("+1,-2.5\n+3e+2,+.1\n") == x);
  CHECK(parse("1,-2.5\n300,0.1\n\n", {.skip_rows = 0}) == x);
  CHECK(parse("\n \n").rows() == 0);
  CHECK(parse("").rows() == 0);
  CHECK(parse("a,b\n", {.skip_rows = 1}).size() == 0);
  CHECK(parse("a,b\n", {.skip_rows = 5}).size() == 0);
  CHECK(std::isnan(parse("nan")(0, 0)));
  CHECK(parse("-inf,inf")(0, 0) == -std::numeric_limits<double>::infinity());
}

TEST_CASE("an invalid number is reported with its line and column") {
  const auto refuses = [](const std::string& text, const std::string& message) {
    CHECK_THROWS_WITH(parse(text), "filigree: a.csv: line " + message);
  };
  refuses("1,2\n3,x\n", "2, column 2: must be a number, got \"x\"");
  refuses("1,2\n3,4,5\n", "2: must have 2 numbers as the first row, has 3");
  refuses("1,2\n3\n", "2: must have 2 numbers as the first row, has 1");
  refuses("1,2\n\n3,4\n", "2, column 1: must be a number, got \"\"");
  for (const char* sign : {"+", "++1", "+-1", "-+1", "+ 1"})
    refuses(sign, std::string("1, column 1: must be a number, got \"") + sign + "\"");
  refuses("1,2,\n", "1, column 3: must be a number, got \"\"");
  refuses("1,1.5.2\n", "1, column 2: must be a number, got \"1.5.2\"");
  refuses("\"1\",2\n", "1, column 1: must be a number, got \"\"1\"\"");
  refuses("0x10\n", "1, column 1: must be a number, got \"0x10\"");
  refuses("1e999\n", "1, column 1: must be within the range of the matrix's scalar, got \"1e999\"");
  refuses(std::string("1\0", 2), "1, column 1: must be a number, got \"1?\"");
  CHECK_THROWS_WITH(parse<Eigen::VectorXi>("7\n1.5\n"),
                    "filigree: a.csv: line 2, column 1: must be a whole number, got \"1.5\"");
  CHECK_THROWS_WITH((parse<Eigen::Matrix<std::uint8_t, 1, 2>>("255,256\n")),
                    "filigree: a.csv: line 1, column 2: must be within the range of the matrix's scalar, got \"256\"");
  CHECK_THROWS_WITH(parse<Eigen::Matrix2d>("1,2,3\n"), "filigree: a.csv: must be 2 x 2, has shape (1, 3)");
  CHECK_THROWS_WITH(parse("1", {.separator = '.'}), "filigree: csv{separator}: must not occur in a number, is .");
  CHECK_THROWS_WITH(parse("1", {.skip_rows = -1}), "filigree: csv{skip_rows}: must be at least 0, got -1");
}

TEST_CASE("a number that is too small for the scalar is rounded to 0, and one that is too large is an error") {
  using Row = Eigen::RowVectorXf;
  const Row small = parse<Row>(
      "1e-46,-1e-46,0.00000000000000000000000000000000000000000000000001,1e-999999999999999999999,"
      "1e-45,100e-48");
  for (const Eigen::Index i : {0, 1, 2, 3, 5}) CHECK(small(i) == 0);
  CHECK(std::signbit(small(1)));
  CHECK_FALSE(std::signbit(small(0)));
  CHECK(small(4) == std::numeric_limits<float>::denorm_min());
  CHECK(parse("1e-400,-0.0001e-321")(0, 0) == 0);
  for (const char* large :
       {"1e39", "-1e39", "10000000000000000000000000000000000000000", "0.0001e44", "1e99999999999999999999"})
    CHECK_THROWS_WITH(parse<Row>(large), contains("must be within the range of the matrix's scalar"));
}

TEST_CASE("numbers have the same bits after writing and reading") {
  const test::Folder folder;
  const std::string path = folder / "x.csv";
  const Matrix x{{1.0 / 3, 1e300, std::numeric_limits<double>::denorm_min()}, {-0.0, 1e21, 123456789}};
  fg::save_csv(path, x);
  CHECK(fg::load_csv<Matrix>(path) == x);
  CHECK(std::signbit(fg::load_csv<Matrix>(path)(1, 0)));
  const Eigen::MatrixXf random = Eigen::MatrixXf::Random(50, 9);
  fg::save_csv(path, random.transpose(), {.separator = ';'});
  CHECK(fg::load_csv<Eigen::MatrixXf>(path, {.separator = ';'}) == random.transpose());
  fg::save_csv(path, Eigen::Vector2i(-1, 2));
  CHECK(test::content(path) == "-1\n2\n");
  fg::save_csv(path, Matrix(0, 3));
  CHECK(test::content(path).empty());
  CHECK_THROWS_WITH(fg::save_csv(path, x, {.skip_rows = 1}),
                    "filigree: save_csv(path, x, options): skip_rows must be 0, got 1");
}
