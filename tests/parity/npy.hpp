// SPDX-License-Identifier: MIT
// A reader for the subset of NumPy's .npy format that the fixtures use: little-endian, C order, float32, float64,
// int64.
#pragma once

#include <Eigen/Core>
#include <bit>
#include <cstdint>
#include <cstring>
#include <fstream>
#include <iterator>
#include <stdexcept>
#include <string>
#include <type_traits>
#include <vector>

namespace parity {

static_assert(std::endian::native == std::endian::little);

template <class T>
struct Array {
  std::vector<Eigen::Index> shape;
  std::vector<T> values;
};

/// Returns the text between `before` and `after`.
inline std::string between(const std::string& text, const std::string& before, const std::string& after) {
  const std::size_t key = text.find(before), begin = key + before.size();
  const std::size_t end = key == std::string::npos ? key : text.find(after, begin);
  if (end == std::string::npos) throw std::runtime_error("the header lacks " + before);
  return text.substr(begin, end - begin);
}

template <class Stored, class T>
void copy_values(const std::string& bytes, std::size_t begin, std::vector<T>& values) {
  if (bytes.size() - begin != values.size() * sizeof(Stored))
    throw std::runtime_error("holds " + std::to_string(bytes.size() - begin) + " bytes of data, its shape needs " +
                             std::to_string(values.size() * sizeof(Stored)));
  for (std::size_t i = 0; i < values.size(); ++i) {
    Stored value;
    std::memcpy(&value, bytes.data() + begin + i * sizeof value, sizeof value);
    values[i] = static_cast<T>(value);
  }
}

/// Parses the bytes of a file. Converts floating-point numbers to T; reads integers only if T is an integer type.
template <class T>
Array<T> parse_npy(const std::string& bytes) {
  if (bytes.size() < 10 || bytes.compare(0, 7, "\x93NUMPY\x01") != 0)
    throw std::runtime_error("is not a .npy file of version 1");
  const auto byte = [&](std::size_t at) { return static_cast<std::size_t>(static_cast<unsigned char>(bytes[at])); };
  const std::size_t begin = 10 + byte(8) + 256 * byte(9);
  if (bytes.size() < begin) throw std::runtime_error("ends within its header");
  const std::string header = bytes.substr(10, begin - 10);
  if (header.find("'fortran_order': False") == std::string::npos) throw std::runtime_error("is not in C order");

  Array<T> array;
  std::size_t count = 1;
  const std::string shape = between(header, "'shape': (", ")");
  for (std::size_t at = 0; at < shape.size(); at = shape.find(',', at) + 1) {
    if (shape.find_first_of("0123456789", at) == std::string::npos) break;
    array.shape.push_back(std::stoll(shape.substr(at)));
    count *= static_cast<std::size_t>(array.shape.back());
    if (shape.find(',', at) == std::string::npos) break;
  }
  array.values.resize(count);

  const std::string type = between(header, "'descr': '", "'");
  if (std::is_floating_point_v<T> && type == "<f4")
    copy_values<float>(bytes, begin, array.values);
  else if (std::is_floating_point_v<T> && type == "<f8")
    copy_values<double>(bytes, begin, array.values);
  else if (std::is_integral_v<T> && type == "<i8")
    copy_values<std::int64_t>(bytes, begin, array.values);
  else
    throw std::runtime_error("holds " + type + ", expected " + (std::is_integral_v<T> ? "<i8" : "<f4 or <f8"));
  return array;
}

template <class T>
Array<T> read_npy(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  if (!file) throw std::runtime_error(path + ": cannot be opened");
  try {
    return parse_npy<T>({std::istreambuf_iterator<char>(file), {}});
  } catch (const std::runtime_error& error) {
    throw std::runtime_error(path + ": " + error.what());
  }
}

}  // namespace parity
