// SPDX-License-Identifier: MIT
#include "parity/npy.hpp"

#include <array>

#include "catch.hpp"

namespace {

std::string file(const std::string& header, const std::string& data) {
  const auto size = static_cast<unsigned>(header.size());
  return std::string("\x93NUMPY\x01") + '\0' + static_cast<char>(size % 256) + static_cast<char>(size / 256) + header +
         data;
}
template <class T, std::size_t count>
std::string bytes(const std::array<T, count>& values) {
  std::string result(sizeof values, ' ');
  std::memcpy(result.data(), values.data(), sizeof values);
  return result;
}
std::string header(const std::string& type, const std::string& shape) {
  return "{'descr': '" + type + "', 'fortran_order': False, 'shape': " + shape + ", }   \n";
}

}  // namespace

TEST_CASE("parse_npy reads arrays of each type and shape") {
  const auto floats = parity::parse_npy<double>(file(header("<f4", "(2, 3)"), bytes<float, 6>({1, -2, 3, 4, 5, 6.5F})));
  CHECK(floats.shape == std::vector<Eigen::Index>{2, 3});
  CHECK(floats.values == std::vector<double>{1, -2, 3, 4, 5, 6.5});
  const auto doubles = parity::parse_npy<float>(file(header("<f8", "(2,)"), bytes<double, 2>({0.5, -4})));
  CHECK(doubles.shape == std::vector<Eigen::Index>{2});
  CHECK(doubles.values == std::vector<float>{0.5F, -4});
  const auto number = parity::parse_npy<std::int64_t>(file(header("<i8", "()"), bytes<std::int64_t, 1>({-7})));
  CHECK(number.shape.empty());
  CHECK(number.values == std::vector<std::int64_t>{-7});
  CHECK(parity::parse_npy<double>(file(header("<f8", "(0, 5)"), "")).values.empty());
  CHECK(parity::parse_npy<double>(file(header("<f8", "(1, 1, 1, 2)"), std::string(16, '\0'))).shape.size() == 4);
}

TEST_CASE("parse_npy refuses other files, types and orders") {
  using parity::parse_npy;
  const std::string eight(8, '\0');
  CHECK_THROWS_WITH(parse_npy<double>(""), "is not a .npy file of version 1");
  CHECK_THROWS_WITH(parse_npy<double>("PK\x03\x04 an archive"), "is not a .npy file of version 1");
  CHECK_THROWS_WITH(parse_npy<double>(file(header("<f8", "(1,)"), eight).substr(0, 30)), "ends within its header");
  CHECK_THROWS_WITH(parse_npy<double>(file(header("<f8", "(2,)"), eight)), "holds 8 bytes of data, its shape needs 16");
  CHECK_THROWS_WITH(parse_npy<double>(file(header("<i8", "(1,)"), eight)), "holds <i8, expected <f4 or <f8");
  CHECK_THROWS_WITH(parse_npy<int>(file(header("<f8", "(1,)"), eight)), "holds <f8, expected <i8");
  CHECK_THROWS_WITH(parse_npy<double>(file("{'descr': '<f8', 'fortran_order': True, 'shape': (1,), }", eight)),
                    "is not in C order");
  CHECK_THROWS_WITH(parse_npy<double>(file("{'descr': '<f8', 'fortran_order': False, }", eight)),
                    "the header lacks 'shape': (");
  CHECK_THROWS_WITH(parity::read_npy<double>("nowhere.npy"), "nowhere.npy: cannot be opened");
}
