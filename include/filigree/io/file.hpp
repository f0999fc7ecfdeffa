// SPDX-License-Identifier: MIT
#pragma once

#include <fcntl.h>
#include <limits.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <cstdint>
#include <cstdlib>
#include <memory>
#include <span>
#include <string>
#include <system_error>
#include <utility>

#include "filigree/core/check.hpp"
#include "filigree/io/bytes.hpp"

namespace filigree {

namespace detail {

/// A file descriptor, closed at the end.
class Descriptor {
 public:
  explicit Descriptor(int number) : number_(number) {}
  Descriptor(Descriptor&& other) noexcept : number_(std::exchange(other.number_, -1)) {}
  Descriptor(const Descriptor&) = delete;
  Descriptor& operator=(const Descriptor&) = delete;
  Descriptor& operator=(Descriptor&&) = delete;
  ~Descriptor() { close(); }

  /// Whether that went well; a file system may tell of a failed write only here.
  bool close() { return number_ < 0 || ::close(std::exchange(number_, -1)) == 0; }
  operator int() const { return number_; }

 private:
  int number_;
};

[[noreturn]] inline void fail_errno(const std::string& path, const char* what) {
  const std::string reason = std::generic_category().message(errno);
  fail(path, ": ", what, ": ", reason);
}
inline void require_errno(bool ok, const std::string& path, const char* what) {
  if (!ok) fail_errno(path, what);
}

/// A regular file, open for reading, and its size.
inline std::pair<Descriptor, std::size_t> open_file(const std::string& path) {
  // Without O_NONBLOCK a pipe that nobody writes to would be waited for.
  Descriptor file(::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK));
  require_errno(file >= 0, path, "cannot be opened");
  struct stat status {};
  require_errno(::fstat(file, &status) == 0, path, "cannot be asked for its size");
  require(S_ISREG(status.st_mode), path, ": must be a regular file");
  return {std::move(file), static_cast<std::size_t>(status.st_size)};
}

/// The folder of a file: "." for a name without one.
inline std::string folder_of(const std::string& path) {
  const std::size_t slash = path.find_last_of('/');
  return slash == std::string::npos ? "." : path.substr(0, slash + 1);
}

/// Whether there is nothing of that name; false if that cannot be told.
inline bool is_missing(const std::string& path) {
  struct stat status {};
  return ::stat(path.c_str(), &status) != 0 && (errno == ENOENT || errno == ENOTDIR);
}

inline void write_all(int file, std::span<const std::byte> bytes, const std::string& path) {
  constexpr std::size_t most = std::size_t{1} << 30;  // Linux writes at most 2 GiB at once
  while (!bytes.empty()) {
    const ssize_t written = ::write(file, bytes.data(), (std::min)(bytes.size(), most));
    if (written < 0 && errno == EINTR) continue;
    require_errno(written >= 0, path, "cannot be written");
    bytes = bytes.subspan(static_cast<std::size_t>(written));
  }
}

/// A new file beside another one, removed at the end unless it has taken its place.
class Replacement {
 public:
  explicit Replacement(const std::string& path) : path_(path), temporary_(name_beside(path)), file_(create()) {}
  Replacement(const Replacement&) = delete;
  Replacement& operator=(const Replacement&) = delete;
  ~Replacement() {
    if (!done_) ::unlink(temporary_.c_str());
  }

  void permit(mode_t mode) { require_errno(::fchmod(file_, mode) == 0, path_, "cannot be given its old permissions"); }
  void write(std::span<const std::byte> bytes) { write_all(file_, bytes, path_); }

  /// The content must be on the disk before the name is, or a crash could leave the name on an empty file.
  void replace() {
    require_errno(::fsync(file_) == 0, path_, "cannot be written to the disk");
    require_errno(file_.close(), path_, "cannot be written");
    require_errno(::rename(temporary_.c_str(), path_.c_str()) == 0, path_, "cannot be replaced");
    done_ = true;
    const std::string folder = folder_of(path_);
    const Descriptor parent(::open(folder.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
    if (parent >= 0) ::fsync(parent);  // not every file system can; the file itself is complete by now
  }

 private:
  static std::string name_beside(const std::string& path) {
    static std::atomic<unsigned> counter = 0;
    return path + "." + std::to_string(::getpid()) + "-" + std::to_string(counter++) + ".part";
  }
  [[nodiscard]] Descriptor create() const {
    Descriptor file(::open(temporary_.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0666));
    require_errno(file >= 0, path_, "cannot be written");
    return file;
  }

  std::string path_, temporary_;
  Descriptor file_;
  bool done_ = false;
};

}  // namespace detail

/// All bytes of a file.
///
/// Throws     Error if it is no regular file, has more than `most` bytes, cannot be read, or shrinks meanwhile
inline Bytes read_file(const std::string& path, std::size_t most = std::size_t(-1)) {
  const auto [file, size] = detail::open_file(path);
  detail::require(size <= most, path, ": must have at most ", most, " bytes, has ", size);
  return Bytes::filled(size, [&, descriptor = int(file)](std::span<std::byte> to) {
    constexpr std::size_t at_once = std::size_t{1} << 30;
    while (!to.empty()) {
      const ssize_t count = ::read(descriptor, to.data(), (std::min)(to.size(), at_once));
      if (count < 0 && errno == EINTR) continue;
      detail::require_errno(count >= 0, path, "cannot be read");
      detail::require(count > 0, path, ": ends ", to.size(), " bytes before the size that it had");
      to = to.subspan(static_cast<std::size_t>(count));
    }
  });
}

/// The same bytes, mapped into memory: the disk is read where they are looked at, and programs share them.
///
/// Edge case  who shortens the file meanwhile ends the program: a file to map is one that nobody writes in place
///            (write_file never does)
/// Throws     Error if it is no regular file or cannot be mapped
inline Bytes map_file(const std::string& path) {
  const auto [file, size] = detail::open_file(path);
  if (size == 0) return {};
  void* const memory = ::mmap(nullptr, size, PROT_READ, MAP_PRIVATE, file, 0);
  // MAP_FAILED itself is an integer cast to a pointer.
  detail::require_errno(memory != MAP_FAILED, path, "cannot be mapped");  // NOLINT(performance-no-int-to-ptr)
  const std::shared_ptr<const void> owner(memory, [bytes = size](void* mapped) { ::munmap(mapped, bytes); });
  return {std::span<const std::byte>(static_cast<const std::byte*>(memory), size), owner};
}

/// Writes a file from pieces, one after another, all or nothing: into a new file beside it, which takes its name once
/// it is on the disk. Who reads meanwhile, or after a crash, sees the old content or the new.
///
/// An old file passes on its permissions; where path is a symbolic link, what it points to is replaced.
/// Throws     Error if that cannot be done, or path is something other than a regular file; the old content stays
inline void write_file(const std::string& path, std::span<const Bytes> pieces) {
  struct stat old {};
  const bool exists = ::stat(path.c_str(), &old) == 0;
  detail::require_errno(exists || errno == ENOENT || errno == ENOTDIR, path, "cannot be written");
  std::string target = path;
  if (exists) {
    detail::require(S_ISREG(old.st_mode), path, ": must be a regular file");
    char resolved[PATH_MAX];
    detail::require_errno(::realpath(path.c_str(), resolved) != nullptr, path, "cannot be written");
    target = resolved;
  }

  detail::Replacement file(target);
  if (exists) file.permit(old.st_mode & 07777);
  for (const Bytes& piece : pieces) file.write(piece.span());
  file.replace();
}

/// The same of one piece.
inline void write_file(const std::string& path, const Bytes& bytes) { write_file(path, {&bytes, 1}); }

}  // namespace filigree
