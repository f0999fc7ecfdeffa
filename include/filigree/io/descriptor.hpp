// SPDX-License-Identifier: MIT
#pragma once

#include <cerrno>
#include <cstddef>
#include <string>
#include <system_error>
#include <utility>

#include "filigree/core/check.hpp"
#include "filigree/io/cursor.hpp"

namespace filigree::detail {

/// The number of an open file, which is closed at the end.
class Descriptor {
 public:
  explicit Descriptor(int number) : number_(number) {}
  Descriptor(Descriptor&& other) noexcept : number_(std::exchange(other.number_, -1)) {}
  Descriptor(const Descriptor&) = delete;
  Descriptor& operator=(const Descriptor&) = delete;
  Descriptor& operator=(Descriptor&&) = delete;
  ~Descriptor() { close(); }

  /// Whether that went well; a file system may tell of a failed write only here.
  bool close();
  operator int() const { return number_; }

 private:
  int number_;
};

/// What the system says of a file.
struct FileStatus {
  bool exists = false, missing = false;  // neither: that cannot be told
  bool regular = false;
  unsigned mode = 0;  // permissions
  std::size_t size = 0;
};

[[noreturn]] inline void fail_errno(const std::string& path, const char* what) {
  const std::string reason = std::generic_category().message(errno);
  fail(path, ": ", what, ": ", reason);
}
inline void require_errno(bool ok, const std::string& path, const char* what) {
  if (!ok) fail_errno(path, what);
}

/// Throws an Error unless a path is one that the system can take.
inline void require_path(const std::string& path) {
  require(!path.empty(), "the path of a file must not be empty");
  require(path.find('\0') == std::string::npos, in_quotes(path), ": the path of a file must not contain a byte of 0");
}

}  // namespace filigree::detail
