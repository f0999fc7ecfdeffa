// SPDX-License-Identifier: MIT
#pragma once

#include <fcntl.h>
#include <io.h>
#include <share.h>
#include <sys/stat.h>
#include <sys/types.h>

#include <algorithm>
#include <cerrno>
#include <cstddef>
#include <ctime>
#include <filesystem>
#include <memory>
#include <span>
#include <string>
#include <system_error>
#include <utility>

#include "filigree/io/descriptor.hpp"

// The same interface as files_posix.hpp, on the C library of Windows. Paths are UTF-8. <windows.h> is not included,
// since it defines hundreds of macros; the declarations below are copied from it.
extern "C" {
struct _SECURITY_ATTRIBUTES;
__declspec(dllimport) void* __stdcall CreateFileMappingW(void*, struct _SECURITY_ATTRIBUTES*, unsigned long,
                                                         unsigned long, unsigned long, const wchar_t*);
__declspec(dllimport) void* __stdcall MapViewOfFile(void*, unsigned long, unsigned long, unsigned long, std::size_t);
__declspec(dllimport) int __stdcall UnmapViewOfFile(const void*);
__declspec(dllimport) int __stdcall CloseHandle(void*);
}

namespace filigree::detail {

inline bool Descriptor::close() { return number_ < 0 || ::_close(std::exchange(number_, -1)) == 0; }

inline std::filesystem::path wide_path(const std::string& path) { return std::u8string(path.begin(), path.end()); }

template <class Stat>
FileStatus file_status(const Stat& status) {
  return {.exists = true,
          .regular = (status.st_mode & _S_IFMT) == _S_IFREG,
          .mode = static_cast<unsigned>(status.st_mode) & 0777U,
          .size = static_cast<std::size_t>(status.st_size)};
}
inline FileStatus status_of(const std::string& path) {
  struct _stat64 status {};
  if (::_wstat64(wide_path(path).c_str(), &status) != 0) return {.missing = errno == ENOENT || errno == ENOTDIR};
  return file_status(status);
}
inline FileStatus status_of(const Descriptor& file) {
  struct _stat64 status {};
  return ::_fstat64(file, &status) != 0 ? FileStatus{} : file_status(status);
}

/// Opens a file with the given sharing mode. Returns -1 and sets errno on failure.
inline Descriptor open_file_as(const std::string& path, int flags, int share) {
  int file = -1;
  const int error =
      ::_wsopen_s(&file, wide_path(path).c_str(), flags | _O_BINARY | _O_NOINHERIT, share, _S_IREAD | _S_IWRITE);
  if (error != 0) errno = error;
  return Descriptor(error == 0 ? file : -1);
}
inline Descriptor open_to_read(const std::string& path) { return open_file_as(path, _O_RDONLY, _SH_DENYNO); }

inline std::ptrdiff_t read_some(const Descriptor& file, std::span<std::byte> to) {
  return ::_read(file, to.data(), static_cast<unsigned>((std::min)(to.size(), std::size_t{1} << 30)));
}
inline std::ptrdiff_t write_some(const Descriptor& file, std::span<const std::byte> from) {
  return ::_write(file, from.data(), static_cast<unsigned>((std::min)(from.size(), std::size_t{1} << 30)));
}

inline std::shared_ptr<const void> map(const Descriptor& file, std::size_t) {
  constexpr unsigned long read_only = 2, map_read = 4;
  void* const mapping =
      ::CreateFileMappingW(reinterpret_cast<void*>(::_get_osfhandle(file)), nullptr, read_only, 0, 0, nullptr);
  if (mapping == nullptr) return errno = EACCES, nullptr;
  void* const memory = ::MapViewOfFile(mapping, map_read, 0, 0, 0);
  ::CloseHandle(mapping);  // the view keeps the mapping open
  if (memory == nullptr) return errno = ENOMEM, nullptr;
  return {memory, [](void* mapped) { ::UnmapViewOfFile(mapped); }};
}

inline std::size_t name_begin(const std::string& path) { return path.find_last_of("/\\:") + 1; }

/// Returns the path with its symbolic links resolved. The file need not exist.
inline std::string resolve_links(const std::string& path) {
  std::error_code error;
  std::filesystem::path target = wide_path(path);
  for (int links = 0; links < 40 && std::filesystem::is_symlink(target, error); ++links) {
    const std::filesystem::path next = std::filesystem::read_symlink(target, error);
    if (error) break;
    target = next.is_absolute() ? next : target.parent_path() / next;
  }
  const std::u8string text = target.u8string();
  return {text.begin(), text.end()};
}

inline Descriptor create_file(const std::string& name) {
  return open_file_as(name, _O_WRONLY | _O_CREAT | _O_EXCL, _SH_DENYRW);
}

enum class LockState { locked, stale, taken };
/// Returns `locked`, since Windows does not let other processes open a file that is open for its writer.
inline LockState lock_file(const Descriptor&, const std::string&, bool) { return LockState::locked; }

inline bool remove_file(const std::string& name) { return ::_wunlink(wide_path(name).c_str()) == 0; }

/// Removes a temporary file whose writer has ended. Returns true if the file was removed.
///
/// The file must be unchanged for a minute, since a writer does not hold it between closing and renaming.
inline bool remove_stale(const std::string& name) {
  {
    const Descriptor old = open_file_as(name, _O_WRONLY, _SH_DENYRW);
    struct _stat64 status {};
    constexpr double minute = 60;
    if (old < 0 || ::_fstat64(old, &status) != 0 || (status.st_mode & _S_IFMT) != _S_IFREG ||
        std::difftime(std::time(nullptr), static_cast<std::time_t>(status.st_mtime)) < minute)
      return false;
  }
  return remove_file(name);
}

inline bool set_permissions(const Descriptor&, unsigned) { return true; }  // files have the permissions of their folder
inline bool synchronize(const Descriptor& file) { return ::_commit(file) == 0; }

inline bool rename_and_close(Descriptor& file, const std::string& from, const std::string& to) {
  if (!file.close()) return false;
  std::error_code error;
  std::filesystem::rename(wide_path(from), wide_path(to), error);
  if (error) errno = error.default_error_condition().value();
  return !error;
}

}  // namespace filigree::detail
