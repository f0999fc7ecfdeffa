// SPDX-License-Identifier: MIT
#pragma once

#include <algorithm>
#include <cerrno>
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

/// A regular file, open for reading, and its size.
inline std::pair<Descriptor, std::size_t> open_file(const std::string& path) {
  require_path(path);
  Descriptor file = open_to_read(path);
  require_errno(file >= 0, path, "cannot be opened");
  const FileStatus status = status_of(file);
  require_errno(status.exists, path, "cannot be asked for its size");
  require(status.regular, path, ": must be a regular file");
  return {std::move(file), status.size};
}

/// Whether there is nothing of that name; false if that cannot be told.
inline bool is_missing(const std::string& path) { return status_of(path).missing; }

/// A new file beside another one, removed at the end unless it has taken its place.
///
/// It is locked while it is written. So one that is not locked is left from a program that was ended, and removed.
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

  /// The content must be on the disk before the name is, or a crash could leave the name on an empty file.
  void replace() {
    require_errno(synchronize(file_), path_, "cannot be written to the disk");
    require_errno(rename_and_close(file_, temporary_, path_), path_, "cannot be replaced");
    done_ = true;
    while (remove_stale(temporary_ = name(++number_))) {
    }
  }

 private:
  /// The name beside the file with a number; a long one is cut, and a hash stands for the rest.
  [[nodiscard]] std::string name(int number) const {
    constexpr std::size_t longest = 255;
    const std::size_t begin = name_begin(path_);
    const std::string file = path_.substr(begin), end = ".filigree-" + std::to_string(number) + ".part";
    if (file.size() + end.size() <= longest) return path_ + end;
    std::uint64_t hash = 14695981039346656037U;  // FNV-1a
    for (const char c : file) hash = (hash ^ static_cast<unsigned char>(c)) * 1099511628211U;
    std::size_t kept = longest - end.size() - 21;
    while (kept > 0 && (static_cast<unsigned char>(file[kept]) & 0xC0U) == 0x80U) --kept;  // whole UTF-8 characters
    return path_.substr(0, begin) + file.substr(0, kept) + "." + std::to_string(hash) + end;
  }

  [[nodiscard]] Descriptor create() {
    constexpr int most = 10000;
    for (; number_ < most; ++number_) {
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

/// Returns all bytes of a file.
///
/// Throws     Error if it is no regular file, has more than `most` bytes, cannot be read, or shrinks meanwhile
inline Bytes read_file(const std::string& path, std::size_t most = std::size_t(-1)) {
  const auto [file, size] = detail::open_file(path);
  detail::require(size <= most, path, ": must have at most ", most, " bytes, has ", size);
  return Bytes::filled(size, [&, &from = file](std::span<std::byte> to) {
    while (!to.empty()) {
      const std::ptrdiff_t count = detail::read_some(from, to);
      detail::require_errno(count >= 0, path, "cannot be read");
      detail::require(count > 0, path, ": ends ", to.size(), " bytes before the size that it had");
      to = to.subspan(static_cast<std::size_t>(count));
    }
  });
}

/// The same bytes, mapped into memory: the disk is read where they are looked at, and programs share them.
///
/// Edge case  who shortens the file meanwhile ends the program: a file to map is one that nobody writes in place
///            (write_file never does). Windows replaces no file that is mapped
/// Throws     Error if it is no regular file or cannot be mapped
inline Bytes map_file(const std::string& path) {
  const auto [file, size] = detail::open_file(path);
  if (size == 0) return {};
  const std::shared_ptr<const void> memory = detail::map(file, size);
  detail::require_errno(memory != nullptr, path, "cannot be mapped");
  return {std::span<const std::byte>(static_cast<const std::byte*>(memory.get()), size), memory};
}

/// Writes a file from pieces, one after another, all or nothing: into a new file beside it, which takes its name once
/// it is on the disk. Who reads meanwhile, or after a crash, sees the old content or the new.
///
/// An old file passes on its permissions; where path is a symbolic link, what it points to is replaced or made.
/// Throws     Error if that cannot be done, or path is something other than a regular file; the old content stays
inline void write_file(const std::string& path, std::span<const Bytes> pieces) {
  detail::require_path(path);
  const std::string target = detail::followed(path);
  const detail::FileStatus old = detail::status_of(target);
  detail::require_errno(old.exists || old.missing, path, "cannot be written");
  detail::require(!old.exists || old.regular, path, ": must be a regular file");

  detail::Replacement file(target);
  if (old.exists) file.permit(old.mode);
  for (const Bytes& piece : pieces) file.write(piece.span());
  file.replace();
}

/// The same of one piece.
inline void write_file(const std::string& path, const Bytes& bytes) { write_file(path, {&bytes, 1}); }

}  // namespace filigree
