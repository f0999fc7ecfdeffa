// SPDX-License-Identifier: MIT
#pragma once

#include <fcntl.h>
#include <limits.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
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
#include "filigree/io/cursor.hpp"

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

/// Throws an Error unless a path is one that the system can take.
inline void require_path(const std::string& path) {
  require(!path.empty(), "the path of a file must not be empty");
  require(path.find('\0') == std::string::npos, in_quotes(path), ": the path of a file must not contain a byte of 0");
}

/// A regular file, open for reading, and its size.
inline std::pair<Descriptor, std::size_t> open_file(const std::string& path) {
  require_path(path);
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

/// The file that a path leads to, links followed, whether or not it is there.
///
/// Throws     Error if the links are a circle, or lead through what stands for the open files of a process
///            (/dev/stdout)
inline std::string followed(std::string path) {
  for (int links = 0; links < 40; ++links) {
    char text[PATH_MAX];
    const ssize_t size = ::readlink(path.c_str(), text, sizeof text);
    if (size < 0) return path;
    char folder[PATH_MAX];
    require_errno(::realpath(folder_of(path).c_str(), folder) != nullptr, path, "cannot be written");
    const std::string place = folder;
    require(!place.starts_with("/proc/") && place != "/dev/fd", path,
            ": must be a file that can be replaced, is an open file of this program");
    const std::string next(text, static_cast<std::size_t>(size));
    path = next.starts_with('/') ? next : (place + "/").append(next);
  }
  errno = ELOOP;
  fail_errno(path, "cannot be written");
}

/// A new file beside another one, removed at the end unless it has taken its place.
///
/// It is locked while it is written. So one that is not locked is left from a program that was ended, and removed.
class Replacement {
 public:
  explicit Replacement(const std::string& path) : path_(path), file_(create()) {}
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
    require_errno(::rename(temporary_.c_str(), path_.c_str()) == 0, path_, "cannot be replaced");
    done_ = true;
    require_errno(file_.close(), path_, "cannot be written");
    const std::string folder = folder_of(path_);
    const Descriptor parent(::open(folder.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
    if (parent >= 0) ::fsync(parent);  // not every file system can; the file itself is complete by now
    while (remove_stale(temporary_ = name(++number_))) {
    }
  }

 private:
  enum class State { locked, stale, taken };

  /// The name beside the file with a number; a long one is cut, and a hash stands for the rest.
  [[nodiscard]] std::string name(int number) const {
    constexpr std::size_t longest = 255;
    const std::size_t slash = path_.find_last_of('/'), begin = slash == std::string::npos ? 0 : slash + 1;
    const std::string file = path_.substr(begin), end = ".filigree-" + std::to_string(number) + ".part";
    if (file.size() + end.size() <= longest) return path_ + end;
    std::uint64_t hash = 14695981039346656037U;  // FNV-1a
    for (const char c : file) hash = (hash ^ static_cast<unsigned char>(c)) * 1099511628211U;
    std::size_t kept = longest - end.size() - 21;
    while (kept > 0 && (static_cast<unsigned char>(file[kept]) & 0xC0U) == 0x80U) --kept;  // whole UTF-8 characters
    return path_.substr(0, begin) + file.substr(0, kept) + "." + std::to_string(hash) + end;
  }

  /// Locks a file that is open under that name. `created` says that this program has just made it.
  [[nodiscard]] static State lock(int file, const std::string& name, bool created) {
    if (::flock(file, LOCK_EX | LOCK_NB) != 0)  // a file system without locks can tell of no stale file
      return created && errno != EWOULDBLOCK ? State::locked : State::taken;
    struct stat open {
    }, named{};
    const bool same = ::fstat(file, &open) == 0 && ::lstat(name.c_str(), &named) == 0 && open.st_dev == named.st_dev &&
                      open.st_ino == named.st_ino;
    if (!same) return State::taken;  // its writer was done a moment ago, and it has another name by now
    if (created) return State::locked;
    return S_ISREG(open.st_mode) && open.st_nlink == 1 && open.st_uid == ::geteuid() ? State::stale : State::taken;
  }

  /// Removes the file of that name if its writer is gone; whether it did.
  static bool remove_stale(const std::string& name) {
    const Descriptor old(::open(name.c_str(), O_WRONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC));
    return old >= 0 && lock(old, name, false) == State::stale && ::unlink(name.c_str()) == 0;
  }

  [[nodiscard]] Descriptor create() {
    constexpr int most = 10000;
    for (; number_ < most; ++number_) {
      temporary_ = name(number_);
      for (int tries = 0; tries < 3; ++tries) {
        Descriptor file(::open(temporary_.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0666));
        require_errno(file >= 0 || errno == EEXIST, path_, "cannot be written");
        if (file >= 0 && lock(file, temporary_, true) == State::locked) return file;
        if (file < 0 && !remove_stale(temporary_)) break;
      }
    }
    errno = EEXIST;
    fail_errno(path_, "cannot be written");
  }

  std::string path_, temporary_;
  int number_ = 0;
  bool done_ = false;
  Descriptor file_;
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
/// An old file passes on its permissions; where path is a symbolic link, what it points to is replaced or made.
/// Throws     Error if that cannot be done, or path is something other than a regular file; the old content stays
inline void write_file(const std::string& path, std::span<const Bytes> pieces) {
  detail::require_path(path);
  const std::string target = detail::followed(path);
  struct stat old {};
  const bool exists = ::stat(target.c_str(), &old) == 0;
  detail::require_errno(exists || errno == ENOENT || errno == ENOTDIR, path, "cannot be written");
  detail::require(!exists || S_ISREG(old.st_mode), path, ": must be a regular file");

  detail::Replacement file(target);
  if (exists) file.permit(old.st_mode & 07777);
  for (const Bytes& piece : pieces) file.write(piece.span());
  file.replace();
}

/// The same of one piece.
inline void write_file(const std::string& path, const Bytes& bytes) { write_file(path, {&bytes, 1}); }

}  // namespace filigree
