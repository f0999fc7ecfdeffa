// SPDX-License-Identifier: MIT
#pragma once

#include <algorithm>
#include <cctype>
#include <cstring>
#include <string_view>

#include "filigree/core/check.hpp"
#include "filigree/io/bytes.hpp"

// Detects the format of a file by its first bytes, for the error messages of readers that expect another format.

namespace filigree::detail {

/// A file format and the signature with which its files begin.
struct FileKind {
  std::string_view signature, name;
};
inline constexpr std::string_view torch_checkpoint =
    "a PyTorch checkpoint: safetensors.torch.save_file(state_dict, path) writes a safetensors file of it";
inline constexpr FileKind file_kinds[] = {
    {"version https://git-lfs", "a git-lfs pointer: `git lfs pull` fetches the file itself"},
    {"\x93NUMPY", "an .npy file"},
    {"\x80\x02\x8a\x0al\xfc\x9c"
     "F\xf9 j\xa8P\x19",
     torch_checkpoint},
    {"\x80\x02", "a Python pickle"},
    {"\x80\x03", "a Python pickle"},
    {"\x80\x04", "a Python pickle"},
    {"\x80\x05", "a Python pickle"},
    {"\x1f\x8b", "a gzip file: unpack it first"},
    {"\x89PNG", "a PNG picture"},
    {"\x89HDF", "an HDF5 file"},
    {"GGUF", "a GGUF file"},
    {"{", "a JSON file"},
};

/// Returns the name of the first entry of a zip archive.
inline std::string_view first_zip_name(std::string_view text) {
  constexpr std::size_t length_at = 26, name_at = 30;
  if (text.size() < name_at) return {};
  const auto byte = [&](std::size_t at) { return static_cast<std::size_t>(static_cast<unsigned char>(text[at])); };
  return text.substr(name_at, byte(length_at) + 256 * byte(length_at + 1));
}

/// Returns the detected format of a file, or an empty string if it is unknown.
inline std::string_view kind_of(const Bytes& file) {
  const std::string_view text = file.text();
  if (text.empty()) return "empty";
  for (const FileKind& kind : file_kinds)
    if (text.starts_with(kind.signature)) return kind.name;
  if (text.starts_with("PK\x03\x04"))
    return first_zip_name(text).ends_with("/data.pkl") ? torch_checkpoint : "a zip archive";
  if (text.size() > 8 && text[8] == '{' && text.substr(3, 5) == std::string_view("\0\0\0\0\0", 5))
    return "a safetensors file";
  const std::size_t begin = text.find_first_not_of(" \t\r\n\xEF\xBB\xBF");
  for (const std::string_view html : {"<!doctype html", "<html"}) {
    const std::string_view head = text.substr((std::min)(begin, text.size()), html.size());
    if (std::equal(head.begin(), head.end(), html.begin(), html.end(),
                   [](char a, char b) { return std::tolower(static_cast<unsigned char>(a)) == b; }))
      return "an HTML page, probably an error page of a server";
  }
  return {};
}

/// Throws an Error that names the actual and the expected format, if the actual format is known.
inline void require_format(const Bytes& file, std::string_view name, std::string_view expected) {
  const std::string_view kind = kind_of(file);
  require(kind.empty(), name, ": must be ", expected, ", is ", kind);
}

}  // namespace filigree::detail
