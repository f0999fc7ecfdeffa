// SPDX-License-Identifier: MIT
#pragma once

#include <cerrno>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <utility>

#include "filigree/core/check.hpp"
#include "filigree/io/bytes.hpp"
#include "filigree/io/descriptor.hpp"
#if defined(_WIN32)
#include "filigree/io/files_windows.hpp"
#else
#include "filigree/io/files_posix.hpp"
#endif

namespace filigree {

namespace detail {

/// Opens a regular file for reading. Returns the file and its size.
inline std::pair<Descriptor, std::size_t> open_file(const std::string& path) {
  require_path(path);
  Descriptor file = open_to_read(path);
  require_errno(file >= 0, path, "cannot be opened");
  const FileStatus status = status_of(file);
  require_errno(status.exists, path, "its size cannot be read");
  require(status.regular, path, ": must be a regular file");
  return {std::move(file), status.size};
}

/// Returns true if no file of that name exists, and false if it exists or its status cannot be read.
inline bool is_missing(const std::string& path) { return status_of(path).missing; }

/// A temporary file in the folder of another file, which it replaces. It is removed by the destructor unless replace()
/// has succeeded.
///
/// The file is locked while it is written. A temporary file without a lock is left over from a program that was
/// terminated, and is removed.
class Replacement {
 public:
  explicit Replacement(const std::string& path) : path_(path), file_(create()) {}
  Replacement(const Replacement&) = delete;
  Replacement& operator=(const Replacement&) = delete;
  ~Replacement() {
    if (done_) return;
    file_.close();
    remove_file(temporary_);
  }

  /// Sets the permissions of the file.
  void permit(unsigned mode) {
    require_errno(set_permissions(file_, mode), path_, "cannot be given its old permissions");
  }
  void write(std::span<const std::byte> bytes) {
    while (!bytes.empty()) {
      const std::ptrdiff_t written = write_some(file_, bytes);
      require_errno(written >= 0, path_, "cannot be written");
      bytes = bytes.subspan(static_cast<std::size_t>(written));
    }
  }

  /// Renames the file to the path that it replaces. The content is flushed to the disk before that, since a crash could
  /// otherwise leave an empty file.
  void replace() {
    require_errno(synchronize(file_), path_, "cannot be written to the disk");
    require_errno(rename_and_close(file_, temporary_, path_), path_, "cannot be replaced");
    done_ = true;
    while (remove_stale(temporary_ = name(++number_))) {
    }
  }

 private:
  /// Returns the numbered name of a temporary file. A long name is truncated, and a hash of it is appended.
  [[nodiscard]] std::string name(int number) const {
    constexpr std::size_t max_length = 255;
    const std::size_t begin = name_begin(path_);
    const std::string file = path_.substr(begin), end = ".filigree-" + std::to_string(number) + ".part";
    if (file.size() + end.size() <= max_length) return path_ + end;
    std::uint64_t hash = 14695981039346656037U;  // FNV-1a
    for (const char c : file) hash = (hash ^ static_cast<unsigned char>(c)) * 1099511628211U;
    std::size_t kept = max_length - end.size() - 21;
    while (kept > 0 && (static_cast<unsigned char>(file[kept]) & 0xC0U) == 0x80U) --kept;  // at a UTF-8 boundary
    return path_.substr(0, begin) + file.substr(0, kept) + "." + std::to_string(hash) + end;
  }

  /// Creates and locks a temporary file under the first free name.
  [[nodiscard]] Descriptor create() {
    constexpr int max_number = 10000;
    for (; number_ < max_number; ++number_) {
      temporary_ = name(number_);
      for (int tries = 0; tries < 3; ++tries) {
        Descriptor file = create_file(temporary_);
        require_errno(file >= 0 || errno == EEXIST, path_, "cannot be written");
        if (file >= 0 && lock_file(file, temporary_, true) == LockState::locked) return file;
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

/// Returns the bytes of a file.
///
/// Throws     Error if it is not a regular file, has more than `max_size` bytes, cannot be read, or shrinks while it is
///            read
inline Bytes read_file(const std::string& path, std::size_t max_size = std::size_t(-1)) {
  const auto [file, size] = detail::open_file(path);
  detail::require(size <= max_size, path, ": must have at most ", max_size, " bytes, has ", size);
  return Bytes::filled(size, [&, &from = file](std::span<std::byte> to) {
    while (!to.empty()) {
      const std::ptrdiff_t count = detail::read_some(from, to);
      detail::require_errno(count >= 0, path, "cannot be read");
      detail::require(count > 0, path, ": shrank while it was read, lacks ", to.size(), " bytes");
      to = to.subspan(static_cast<std::size_t>(count));
    }
  });
}

/// Returns the bytes of a file, mapped into memory. A page is read from the disk when it is accessed, and programs that
/// map the same file share the memory.
///
/// Edge case  the program crashes if the file is truncated while it is mapped. Map only files that are not modified in
///            place; write_file never does that. Windows does not replace a file while it is mapped
/// Throws     Error if it is not a regular file or cannot be mapped
inline Bytes map_file(const std::string& path) {
  const auto [file, size] = detail::open_file(path);
  if (size == 0) return {};
  const std::shared_ptr<const void> memory = detail::map(file, size);
  detail::require_errno(memory != nullptr, path, "cannot be mapped");
  return {std::span<const std::byte>(static_cast<const std::byte*>(memory.get()), size), memory};
}

/// Writes a file, atomically, as the concatenation of pieces. They are written to a new file in the same folder, which
/// is renamed when its content is on the disk. Readers see the old or the new content, even after a crash.
///
/// A replaced file keeps its permissions. If the path is a symbolic link, its target is replaced or created.
///
/// Throws     Error if the file cannot be written or is not a regular file; the old content is then unchanged
inline void write_file(const std::string& path, std::span<const Bytes> pieces) {
  detail::require_path(path);
  const std::string target = detail::resolve_links(path);
  const detail::FileStatus old = detail::status_of(target);
  detail::require_errno(old.exists || old.missing, path, "cannot be written");
  detail::require(!old.exists || old.regular, path, ": must be a regular file");

  detail::Replacement file(target);
  if (old.exists) file.permit(old.mode);
  for (const Bytes& piece : pieces) file.write(piece.span());
  file.replace();
}

/// Writes a file of one piece.
inline void write_file(const std::string& path, const Bytes& bytes) { write_file(path, {&bytes, 1}); }

}  // namespace filigree
