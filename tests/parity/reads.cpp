// SPDX-License-Identifier: MIT
// reads [file...]: reads each file in the format of its extension, .npy, .csv or .safetensors. For each array it prints
// the line "name type shape bytes", with name and bytes in hexadecimal digits, or "error message". A line with a period
// ends each file. tests/parity/differential.py compares the output with the results of Python's libraries.
#include <cstdio>
#include <filigree/io/csv.hpp>
#include <filigree/io/npy.hpp>
#include <filigree/io/safetensors.hpp>
#include <iostream>
#include <string>

namespace fg = filigree;

namespace {

std::string hexadecimal(const std::byte* bytes, std::size_t count) {
  std::string text;
  for (std::size_t i = 0; i < count; ++i) {
    char digits[3];
    std::snprintf(digits, sizeof digits, "%02x", static_cast<unsigned>(bytes[i]));
    text += digits;
  }
  return text;
}

void print(const std::string& name, const fg::NdArray& array) {
  std::string shape;
  for (const auto size : array.shape) shape += (shape.empty() ? "" : ",") + std::to_string(size);
  std::cout << hexadecimal(reinterpret_cast<const std::byte*>(name.data()), name.size()) << ' '
            << fg::name_of(array.type) << ' ' << '(' << shape << ") "
            << hexadecimal(array.bytes.data(), array.bytes.size()) << '\n';
}

void read(const std::string& path) {
  if (path.ends_with(".npy")) return print("", fg::load_npy(path));
  if (path.ends_with(".csv"))
    return print("", fg::array_of(fg::load_csv<Eigen::Matrix<double, -1, -1, Eigen::RowMajor>>(path)));
  const fg::Safetensors file = fg::load_safetensors(path);
  for (const auto& [name, array] : file.tensors) print(name, array);
  for (const auto& [key, value] : file.metadata)
    std::cout << "metadata " << hexadecimal(reinterpret_cast<const std::byte*>(key.data()), key.size()) << ' '
              << hexadecimal(reinterpret_cast<const std::byte*>(value.data()), value.size()) << '\n';
}

}  // namespace

int main(int count, char** arguments) {
  for (int i = 1; i < count; ++i) {
    try {
      read(arguments[i]);
    } catch (const fg::Error& error) {
      std::cout << "error " << error.what() << '\n';
    }
    std::cout << ".\n";
  }
}
