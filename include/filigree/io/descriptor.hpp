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

/// The descriptor of an open file, which its destructor closes.
class Descriptor {
 public:
  explicit Descriptor(int number) : number_(number) {}
  Descriptor(Descriptor&& other) noexcept : number_(std::exchange(other.number_, -1)) {}
  Descriptor(const Descriptor&) = delete;
  Descriptor& operator=(const Descriptor&) = delete;
  Descriptor& operator=(Descriptor&&) = delete;
  ~Descriptor() { close(); }

  /// Closes the file. Returns true on success: some file systems report a failed write only on closing.
  bool close();
  operator int() const { return number_; }

 private:
  int number_;
};

/// The status of a file.
struct FileStatus {
  bool exists = false, missing = false;  // both false if the status cannot be read
  bool regular = false;
  unsigned mode = 0;  // permissions
  std::size_t size = 0;
};

/// Throws an Error that ends with the system's description of errno.
[[noreturn]] inline void fail_errno(const std::string& path, const char* what) {
  const std::string reason = std::generic_category().message(errno);
  fail(path, ": ", what, ": ", reason);
}
inline void require_errno(bool ok, const std::string& path, const char* what) {
  if (!ok) fail_errno(path, what);
}

/// Throws an Error if the path is empty or contains a zero byte.
inline void require_path(const std::string& path) {
  require(!path.empty(), "the path of a file must not be empty");
  require(path.find('\0') == std::string::npos, in_quotes(path), ": the path of a file must not contain a zero byte");
}

}  // namespace filigree::detail
