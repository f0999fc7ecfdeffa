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
#include <cstddef>
#include <cstdlib>
#include <memory>
#include <span>
#include <string>
#include <utility>

#include "filigree/io/descriptor.hpp"

// File operations on POSIX. Functions that fail set errno.

namespace filigree::detail {

inline bool Descriptor::close() { return number_ < 0 || ::close(std::exchange(number_, -1)) == 0; }

/// Returns the status of the file that a path refers to.
inline FileStatus status_of(const std::string& path) {
  struct stat status {};
  if (::stat(path.c_str(), &status) != 0) return {.missing = errno == ENOENT || errno == ENOTDIR};
  return {.exists = true, .regular = S_ISREG(status.st_mode), .mode = status.st_mode & 07777U};
}

/// Opens a file for reading. O_NONBLOCK prevents waiting for the writer of a pipe.
inline Descriptor open_to_read(const std::string& path) {
  return Descriptor(::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK));
}
inline FileStatus status_of(const Descriptor& file) {
  struct stat status {};
  if (::fstat(file, &status) != 0) return {};
  return {.exists = true,
          .regular = S_ISREG(status.st_mode),
          .mode = status.st_mode & 07777U,
          .size = static_cast<std::size_t>(status.st_size)};
}

/// Reads or writes up to the given number of bytes. Returns the number of bytes, or -1. One call of Linux transfers at
/// most 2 GiB.
inline std::ptrdiff_t read_some(const Descriptor& file, std::span<std::byte> to) {
  for (;;) {
    const ssize_t count = ::read(file, to.data(), (std::min)(to.size(), std::size_t{1} << 30));
    if (count >= 0 || errno != EINTR) return count;
  }
}
inline std::ptrdiff_t write_some(const Descriptor& file, std::span<const std::byte> from) {
  for (;;) {
    const ssize_t count = ::write(file, from.data(), (std::min)(from.size(), std::size_t{1} << 30));
    if (count >= 0 || errno != EINTR) return count;
  }
}

/// Maps a file into memory. Returns null on failure.
inline std::shared_ptr<const void> map(const Descriptor& file, std::size_t size) {
  void* const memory = ::mmap(nullptr, size, PROT_READ, MAP_PRIVATE, file, 0);
  // MAP_FAILED is an integer cast to a pointer.
  if (memory == MAP_FAILED) return nullptr;  // NOLINT(performance-no-int-to-ptr)
  return {memory, [size](void* mapped) { ::munmap(mapped, size); }};
}

/// Returns the position in a path at which the file name begins.
inline std::size_t name_begin(const std::string& path) { return path.find_last_of('/') + 1; }

/// Returns the folder of a file, or "." for a name without a folder.
inline std::string folder_of(const std::string& path) {
  const std::size_t begin = name_begin(path);
  return begin == 0 ? "." : path.substr(0, begin);
}

/// Returns the path with its symbolic links resolved. The file need not exist.
///
/// Throws     Error if the links form a cycle or lead to an open file of a process, as /dev/stdout does
inline std::string resolve_links(std::string path) {
  for (int links = 0; links < 40; ++links) {
    char text[PATH_MAX];
    const ssize_t size = ::readlink(path.c_str(), text, sizeof text);
    if (size < 0) return path;
    char folder[PATH_MAX];
    require_errno(::realpath(folder_of(path).c_str(), folder) != nullptr, path, "cannot be written");
    const std::string parent = folder;
    require(!parent.starts_with("/proc/") && parent != "/dev/fd", path,
            ": must be a file that can be replaced, is an open file of the program");
    const std::string next(text, static_cast<std::size_t>(size));
    path = next.starts_with('/') ? next : (parent + "/").append(next);
  }
  errno = ELOOP;
  fail_errno(path, "cannot be written");
}

/// Creates a file. Fails if it exists.
inline Descriptor create_file(const std::string& name) {
  return Descriptor(::open(name.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0666));
}

/// The result of lock_file: the caller holds the lock; the caller holds the lock of a file whose writer has ended; or
/// the file belongs to another writer.
enum class LockState { locked, stale, taken };

/// Locks an open file of the given name. `created` is true if the caller has just created the file.
inline LockState lock_file(const Descriptor& file, const std::string& name, bool created) {
  if (::flock(file, LOCK_EX | LOCK_NB) != 0)  // without locks, a file system cannot detect stale files
    return created && errno != EWOULDBLOCK ? LockState::locked : LockState::taken;
  struct stat open {
  }, named{};
  const bool same = ::fstat(file, &open) == 0 && ::lstat(name.c_str(), &named) == 0 && open.st_dev == named.st_dev &&
                    open.st_ino == named.st_ino;
  if (!same) return LockState::taken;  // its writer has just renamed it
  if (created) return LockState::locked;
  return S_ISREG(open.st_mode) && open.st_nlink == 1 && open.st_uid == ::geteuid() ? LockState::stale
                                                                                   : LockState::taken;
}

inline bool remove_file(const std::string& name) { return ::unlink(name.c_str()) == 0; }

/// Removes a temporary file whose writer has ended. Returns true if the file was removed.
inline bool remove_stale(const std::string& name) {
  const Descriptor old(::open(name.c_str(), O_WRONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC));
  return old >= 0 && lock_file(old, name, false) == LockState::stale && remove_file(name);
}

inline bool set_permissions(const Descriptor& file, unsigned mode) { return ::fchmod(file, mode) == 0; }
/// Flushes the content of a file to the disk. Returns true on success.
inline bool synchronize(const Descriptor& file) { return ::fsync(file) == 0; }

/// Renames a locked file, which replaces an existing file of the new name, and closes it. Returns true on success.
inline bool rename_and_close(Descriptor& file, const std::string& from, const std::string& to) {
  if (::rename(from.c_str(), to.c_str()) != 0) return false;
  const bool closed = file.close();
  const std::string folder = folder_of(to);
  const Descriptor parent(::open(folder.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (parent >= 0) ::fsync(parent);  // may fail on some file systems; the file is complete anyway
  return closed;
}

}  // namespace filigree::detail
