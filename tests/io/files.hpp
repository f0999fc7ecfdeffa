// SPDX-License-Identifier: MIT
// A temporary folder for files of tests, and a check that a reader detects damaged files.
#pragma once

#include <cstdio>
#include <filesystem>
#include <initializer_list>
#include <random>
#include <string>
#include <tuple>
#include <vector>

#include "catch.hpp"
#include "filigree/io/arrays.hpp"
#include "filigree/io/file.hpp"

namespace test {

/// A new temporary folder, which is removed with its contents by the destructor.
class Folder {
 public:
  Folder() {
    std::random_device random;
    do {
      path_ = (std::filesystem::temp_directory_path() / ("filigree_io_" + std::to_string(random()))).string();
    } while (!std::filesystem::create_directory(path_));
  }
  Folder(const Folder&) = delete;
  Folder& operator=(const Folder&) = delete;
  ~Folder() { std::filesystem::remove_all(path_); }

  std::string operator/(const std::string& name) const { return path_ + "/" + name; }
  [[nodiscard]] std::vector<std::string> names() const {
    std::vector<std::string> result;
    for (const auto& entry : std::filesystem::directory_iterator(path_))
      result.push_back(entry.path().filename().string());
    return result;
  }

 private:
  std::string path_;
};

inline std::string content(const std::string& path) { return std::string(filigree::read_file(path).text()); }
inline void write(const std::string& path, const std::string& text) {
  filigree::write_file(path, std::vector{filigree::Bytes::copy(text)});
}

/// Returns numbers as little-endian bytes.
template <class T>
std::string raw(std::initializer_list<T> numbers) {
  return {reinterpret_cast<const char*>(numbers.begin()), numbers.size() * sizeof(T)};
}

/// An array without its name, for comparisons.
using Plain = std::tuple<filigree::Type, std::vector<filigree::Index>, std::string>;
inline Plain plain(const filigree::NdArray& array) {
  return {array.type, array.shape, std::string(array.bytes.text())};
}
inline std::vector<Plain> plain(const filigree::Arrays& arrays) {
  std::vector<Plain> result;
  for (const auto& [name, array] : arrays) result.push_back(plain(array));
  return result;
}

/// Checks that read(bytes) throws an Error for every truncation of a file. If one bit of the header is changed, it must
/// throw an Error or return the same values. No other exception is allowed.
template <class Read>
void notices_damage(const std::string& file, std::size_t header, Read&& read) {
  const auto whole = read(filigree::Bytes::copy(file));
  for (std::size_t size = 0; size < file.size(); ++size) {
    INFO("cut to " << size << " of " << file.size());
    CHECK_THROWS_AS(read(filigree::Bytes::copy(file.substr(0, size))), filigree::Error);
  }
  std::size_t noticed = 0;
  for (std::size_t bit = 0; bit < 8 * header; ++bit) {
    std::string damaged = file;
    damaged[bit / 8] = static_cast<char>(damaged[bit / 8] ^ (1 << bit % 8));
    INFO("byte " << bit / 8 << ", bit " << bit % 8);
    try {
      const auto got = read(filigree::Bytes::copy(damaged));
      if (got != whole) FAIL_CHECK("other values");
    } catch (const filigree::Error&) {
      ++noticed;
    }
  }
  CHECK(noticed > 0);
}

}  // namespace test
