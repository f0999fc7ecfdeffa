// SPDX-License-Identifier: MIT
#include "filigree/io/npy.hpp"

#include "io/files.hpp"

namespace fg = filigree;
using fg::Index;
using fg::Type;
using test::raw;

namespace {

/// Returns an .npy file of version 1.0 with the given dictionary.
std::string file(const std::string& dictionary, const std::string& numbers) {
  const auto length = static_cast<std::uint16_t>(dictionary.size());
  return "\x93NUMPY\1" + std::string(1, '\0') + raw<std::uint16_t>({length}) + dictionary + numbers;
}
std::string dictionary(const std::string& type, const std::string& shape) {
  return "{'descr': '" + type + "', 'fortran_order': False, 'shape': " + shape + ", }\n";
}
fg::NdArray parse(const std::string& text) { return fg::parse_npy(fg::Bytes::copy(text), "a.npy"); }

const std::string six = raw<float>({1, 2, 3, 4, 5, 6});

}  // namespace

TEST_CASE("an array is the same after writing and reading, in C and Fortran order") {
  const test::Folder folder;
  const std::string path = folder / "x.npy";
  const Eigen::MatrixXf x = Eigen::MatrixXf::Random(5, 7);
  fg::save_npy(path, x);
  CHECK(fg::load_npy(path).as<Eigen::MatrixXf>() == x);
  CHECK(fg::load_npy(path).name == path);
  CHECK(fg::parse_npy(fg::map_file(path), path).as<Eigen::MatrixXf>() == x);
  fg::save_npy(path, x, {.columns_first = true});
  CHECK(fg::load_npy(path).as<Eigen::MatrixXf>() == x);
  CHECK(test::content(path).substr(128) == std::string(reinterpret_cast<const char*>(x.data()), 5 * 7 * 4));

  // More dimensions, some of which are 1, and an empty array.
  const fg::NdArray numbers = fg::array_of(Eigen::VectorXi::LinSpaced(120, 0, 119));
  for (const std::vector<Index>& shape : {std::vector<Index>{120}, {2, 3, 4, 5}, {5, 1, 24}, {1, 120}, {120, 1, 1}})
    for (const bool columns_first : {false, true}) {
      const fg::NdArray a = numbers.reshaped(shape);
      fg::save_npy(path, a, {.columns_first = columns_first});
      CHECK(test::plain(fg::load_npy(path)) == test::plain(a));
    }
  const fg::NdArray none = fg::array_of(Eigen::MatrixXd(0, 3)).reshaped({3, 0, 2});
  fg::save_npy(path, none, {.columns_first = true});
  CHECK(test::plain(fg::load_npy(path)) == test::plain(none));
}

TEST_CASE("the numbers of a file begin at a multiple of 64 bytes") {
  for (const std::size_t dimensions : {0U, 1U, 2U, 10U, 64U, 30000U}) {
    const std::vector<Index> shape(dimensions, 1);
    const std::string header = fg::detail::npy_header(Type::float64, shape, false);
    CHECK(header.size() % 64 == 0);
    CHECK(parse(header + raw<double>({3})).shape == shape);
  }
}

TEST_CASE("a header is a Python dictionary with keys in any order") {
  const std::vector<Index> shape = {2, 3};
  for (const char* text : {"{'descr': '<f4', 'fortran_order': False, 'shape': (2, 3), }",
                           "{'shape':(2,3),'fortran_order':False,'descr':'<f4'}  \n",
                           " { \"descr\" : \"<f4\" ,\n'shape': ( 2 , 3 , ), 'fortran_order': False }\n"})
    CHECK(parse(file(text, six)).shape == shape);
  CHECK(parse(file(dictionary("<f8", "()"), raw<double>({2}))).shape.empty());
  const fg::NdArray none = parse(file(dictionary("|i1", "(9223372036854775807, 0)"), ""));
  CHECK(none.as<Eigen::MatrixXi>().rows() == 9223372036854775807);
}

TEST_CASE("types are read as by numpy.dtype") {
  const auto type = [](const std::string& text, std::size_t bytes) {
    return parse(file(dictionary(text, "(2L, 3L)"), std::string(6 * bytes, '\0'))).type;
  };
  for (const char* order : {"<", "=", "|", ""}) {
    const std::string before = order;
    CHECK(type(before + "f4", 4) == Type::float32);
    CHECK(type(before + "f8", 8) == Type::float64);
    CHECK(type(before + "f2", 2) == Type::float16);
    CHECK(type(before + "i8", 8) == Type::int64);
    CHECK(type(before + "u2", 2) == Type::uint16);
    CHECK(type(before + "d", 8) == Type::float64);
    CHECK(type(before + "q", 8) == Type::int64);
  }
  for (const char* order : {"<", ">", "=", "|", ""}) {
    const std::string before = order;
    CHECK(type(before + "u1", 1) == Type::uint8);
    CHECK(type(before + "i1", 1) == Type::int8);
    CHECK(type(before + "b1", 1) == Type::boolean);
    CHECK(type(before + "?", 1) == Type::boolean);
    CHECK(type(before + "B", 1) == Type::uint8);
  }
  CHECK(type("float32", 4) == Type::float32);
  CHECK(type("int16", 2) == Type::int16);
  CHECK(type("bool", 1) == Type::boolean);
  CHECK(type("<V2", 2) == Type::bfloat16);
  for (const char* text : {">f4", ">d", "V2", "<float32", "bfloat16", "<<f4", "", "<", "f", "f3", "<c8"})
    if (std::string(text) != "f") CHECK_THROWS_AS(type(text, 4), fg::Error);
}

TEST_CASE("invalid headers are rejected with reason and position") {
  const auto refuses = [](const std::string& text, const std::string& message) {
    CHECK_THROWS_WITH(parse(file(text, six)), "filigree: a.npy: byte " + message);
  };
  refuses("", "10: must be '{', got \"\"");
  refuses("{'descr': '<f4', 'shape': (2, 3)}\n",
          "43: the header must have 'descr', 'fortran_order' and 'shape', lacks 'fortran_order'");
  refuses("{'descr': '<f4', 'descr': '<f4'}", "27: key 'descr' occurs twice");
  refuses("{'color': 3}", "11: a key must be 'descr', 'fortran_order' or 'shape', got \"color\"");
  refuses("{'descr': [('a', '<f4')]}", "21: 'descr' must be one type, got a list: records are not supported");
  refuses("{'descr': '>f4'}", "20: 'descr' must be little-endian, got \">f4\": save a.astype(\"<f4\")");
  refuses("{'descr': '|O'}",
          "20: 'descr' must be one of |b1, |i1, <i2, <i4, <i8, |u1, <u2, <u4, <u8, <f2, <f4, <f8, <V2, "
          "got \"|O\"");
  refuses("{'fortran_order': 0}", "28: 'fortran_order' must be True or False");
  refuses("{'shape': (2, 3}", "25: must be ',' or ')'");
  refuses("{'shape': (6)}", "23: 'shape' must be a tuple, got a number");
  refuses("{'shape': (2, -3)}", "24: a size must be a whole number below 2^63");
  refuses("{'shape': (06,)}", "21: a size must not begin with 0");
  refuses("{'shape': (9223372036854775808,)}", "21: a size must be a whole number below 2^63");
  refuses(dictionary("<f4", "(2, 3)") + "x", "70: only spaces and line ends may follow the dictionary");
  refuses("{'descr': '<f4", "21: a string has no end");
  refuses(dictionary("<f4", "(7,)"), "68: the numbers of shape (7,) need 28 bytes, the file has 24");
  refuses(dictionary("<f4", "(4294967296, 4294967296)"), "88: shape (4294967296, 4294967296) is too large");

  CHECK_THROWS_WITH(parse("PK\3\4 and so on"), "filigree: a.npy: must be an .npy file, is a zip archive");
  CHECK_THROWS_WITH(parse("numbers"), "filigree: a.npy: byte 6: must begin with \\x93NUMPY");
  CHECK_THROWS_WITH(parse(""), "filigree: a.npy: byte 0: the signature needs 6 bytes, 0 are left");
  CHECK_THROWS_WITH(parse("\x93NUMPY\4" + std::string(9, '\0')),
                    "filigree: a.npy: byte 8: the version must be 1.0, 2.0 or 3.0, got 4.0");
  CHECK_THROWS_WITH(parse("\x93NUMPY\2" + std::string(1, '\0') + "\xFF\xFF\xFF\xFF{}"),
                    "filigree: a.npy: byte 12: the header needs 4294967295 bytes, 2 are left");
}

TEST_CASE("damaged files are rejected") {
  for (const char* type : {"<f4", "<i4", "<u4"})
    for (const bool padded : {false, true}) {
      const std::string header = file(dictionary(type, "(2, 3)") + (padded ? std::string(20, ' ') : ""), "");
      test::notices_damage(header + six, header.size(),
                           [](const fg::Bytes& bytes) { return test::plain(fg::parse_npy(bytes, "a.npy")); });
    }
}
