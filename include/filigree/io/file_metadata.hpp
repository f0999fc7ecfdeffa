// SPDX-License-Identifier: MIT
#pragma once

#include <charconv>
#include <cstdint>
#include <string>
#include <system_error>

#include "filigree/core/check.hpp"
#include "filigree/io/safetensors.hpp"

namespace filigree::detail {

/// The metadata of a safetensors file that a function of the library writes, such as save_sparse_index. The entry
/// "format" must have the right value.
class FileMetadata {
 public:
  FileMetadata(const Safetensors& file, const std::string& path, const char* writer, const char* format)
      : file_(file), path_(path), writer_(writer) {
    require(text("format") == format, path, ": must have the format ", in_quotes(format), ", has ",
            in_quotes(text("format")));
  }

  [[nodiscard]] const std::string& text(const char* name) const {
    const auto found = file_.metadata.find(name);
    require(found != file_.metadata.end(), path_, ": must be a file of ", writer_, ", has no ", in_quotes(name),
            " in its metadata");
    return found->second;
  }

  /// Returns an integer, which must not be negative.
  [[nodiscard]] Index number(const char* name) const {
    const std::string& digits = text(name);
    std::int64_t value = -1;
    const auto [end, error] = std::from_chars(digits.data(), digits.data() + digits.size(), value);
    require(error == std::errc() && end == digits.data() + digits.size() && value >= 0, path_, ": ", name,
            " must be a number, is ", in_quotes(digits));
    return static_cast<Index>(value);
  }

 private:
  const Safetensors& file_;
  const std::string& path_;
  const char* writer_;
};

}  // namespace filigree::detail
