// SPDX-License-Identifier: MIT
#pragma once

#include <algorithm>
#include <concepts>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <initializer_list>
#include <string>
#include <string_view>
#include <utility>

#include "filigree/core/list.hpp"
#include "filigree/io/bytes.hpp"
#include "filigree/io/cursor.hpp"
#include "filigree/io/utf8.hpp"

// The part of the zip format that .npz files use: PKWARE's APPNOTE.TXT, sections 4.3 to 4.5.
namespace filigree::detail {

/// An entry of a zip archive.
struct ZipEntry {
  std::string name;
  std::uint16_t flags = 0, method = 0;
  std::uint32_t crc = 0;
  std::uint64_t packed = 0, size = 0;  // compressed and uncompressed size in bytes
  std::uint64_t header = 0;            // the position of its local header
  Bytes bytes;                         // the compressed bytes

  static constexpr std::uint16_t stored = 0, deflated = 8;
};

inline constexpr std::uint32_t zip_local = 0x04034B50, zip_central = 0x02014B50, zip_end = 0x06054B50,
                               zip64_end = 0x06064B50, zip64_locator = 0x07064B50;

/// The value of a field of 16 or 32 bits whose number is stored in a 64-bit field.
template <std::unsigned_integral T>
inline constexpr T zip64_marker = static_cast<T>(~T{0});

/// Replaces the numbers that are zip64 marks by the values of the zip64 field (kind 1), in the order of `numbers`.
inline void read_zip64_field(const Bytes& fields, std::string_view name, std::size_t at,
                             std::initializer_list<std::uint64_t*> numbers) {
  Cursor cursor(fields, name);
  const auto where = [&] { return Cursor({}, name, at + cursor.at()); };
  bool seen = false;
  while (cursor.left() >= 4) {
    const auto kind = cursor.number<std::uint16_t>("a field");
    const auto size = cursor.number<std::uint16_t>("a field");
    if (size > cursor.left()) where().fail("a field needs ", size, " bytes, ", cursor.left(), " are left");
    const Bytes field = cursor.take(size, "a field");
    if (kind != 1) continue;
    if (std::exchange(seen, true)) where().fail("the zip64 field occurs twice");
    std::size_t begin = 0;
    for (std::uint64_t* number : numbers) {
      if (*number != zip64_marker<std::uint32_t>) continue;
      if (field.size() - begin < 8) where().fail("the zip64 field lacks a number");
      std::memcpy(number, field.data() + begin, 8);
      begin += 8;
    }
  }
}

/// The position and size of the central directory, and its number of entries.
struct ZipDirectory {
  std::uint64_t begin = 0, size = 0, count = 0;
};

/// Returns the position of the end record of an archive: 22 bytes, followed by a comment of at most 65535 bytes. It is
/// the last position with the signature of an end record.
inline std::size_t find_zip_end(const Bytes& file, std::string_view name) {
  constexpr std::size_t length = 22, longest_comment = 65535;
  require(file.size() >= length, name, ": must be a zip archive, has ", file.size(), " bytes");
  const std::size_t last = file.size() - length, first = last - (std::min)(last, longest_comment);
  for (std::size_t at = last + 1; at-- > first;)
    if (std::memcmp(file.data() + at, &zip_end, sizeof zip_end) == 0) return at;
  fail(name, ": is a zip archive without an end record, probably truncated");
}

/// Reads and checks the end records of an archive.
inline ZipDirectory read_zip_end(const Bytes& file, std::string_view name) {
  constexpr std::size_t locator_length = 20, end64_length = 56;
  const std::size_t end = find_zip_end(file, name);
  Cursor cursor(file, name, end);
  cursor.expect(zip_end, "the signature of the end record");
  for (int i = 0; i < 2; ++i) cursor.expect(std::uint16_t{0}, "the number of a disk");
  const auto count = cursor.number<std::uint16_t>("the number of entries");
  cursor.expect(count, "the second number of entries");
  const auto size = cursor.number<std::uint32_t>("the size of the directory");
  const auto begin = cursor.number<std::uint32_t>("the position of the directory");
  const auto comment = cursor.number<std::uint16_t>("the length of the comment");
  cursor.require(comment == cursor.left(), "the comment must have ", comment, " bytes, has ", cursor.left());

  ZipDirectory directory{.begin = begin, .size = size, .count = count};
  std::size_t directory_end = end;
  const auto is_locator = [&](Cursor at) { return at.number<std::uint32_t>("a signature") == zip64_locator; };
  if (end >= locator_length + end64_length && is_locator(Cursor(file, name, end - locator_length))) {
    Cursor locator(file, name, end - locator_length + 4);
    locator.expect(std::uint32_t{0}, "the number of a disk");
    directory_end = end - locator_length - end64_length;
    locator.expect(std::uint64_t{directory_end}, "the position of the zip64 end record");
    locator.expect(std::uint32_t{1}, "the number of disks");

    Cursor end64(file, name, directory_end);
    end64.expect(zip64_end, "the signature of the zip64 end record");
    end64.expect(std::uint64_t{end64_length - 12}, "the size of the zip64 end record");
    end64.take(4, "versions");
    for (int i = 0; i < 2; ++i) end64.expect(std::uint32_t{0}, "the number of a disk");
    const auto read = [&](std::uint64_t short_form, std::uint64_t mark, std::string_view what) {
      const auto number = end64.number<std::uint64_t>(what);
      end64.require(short_form == mark || short_form == number, what, " must be ", short_form,
                    " as in the end record, got ", number);
      return number;
    };
    directory.count = read(count, zip64_marker<std::uint16_t>, "the number of entries");
    end64.expect(directory.count, "the second number of entries");
    directory.size = read(size, zip64_marker<std::uint32_t>, "the size of the directory");
    directory.begin = read(begin, zip64_marker<std::uint32_t>, "the position of the directory");
  }
  require(directory.begin <= directory_end && directory.size == directory_end - directory.begin, name,
          ": the directory must end at byte ", directory_end, ", begins at ", directory.begin, " with ", directory.size,
          " bytes");
  return directory;
}

/// Checks the local header of an entry against the directory, and sets its bytes.
inline void read_zip_local(const Bytes& file, std::string_view name, std::uint64_t directory, ZipEntry& entry) {
  require(entry.header < directory, name, ": ", in_quotes(entry.name), ": its header must be before byte ", directory,
          ", is at ", entry.header);
  Cursor cursor(file.slice(0, static_cast<std::size_t>(directory)), name, static_cast<std::size_t>(entry.header));
  cursor.expect(zip_local, "the signature of an entry");
  cursor.take(2, "the version");
  cursor.expect(entry.flags, "the flags of the entry, as in the directory,");
  cursor.expect(entry.method, "the method of the entry, as in the directory,");
  cursor.take(4, "the time");
  const auto crc = cursor.number<std::uint32_t>("the checksum");
  std::uint64_t packed = cursor.number<std::uint32_t>("the packed size");
  std::uint64_t size = cursor.number<std::uint32_t>("the size");
  const auto name_length = cursor.number<std::uint16_t>("the length of the name");
  const auto fields_length = cursor.number<std::uint16_t>("the length of the fields");
  const Bytes local_name = cursor.take(name_length, "the name");
  const std::size_t at = cursor.at();
  read_zip64_field(cursor.take(fields_length, "the fields"), name, at, {&size, &packed});

  cursor.require(local_name.text() == entry.name, "the name must be that of the directory, ", in_quotes(entry.name),
                 ", got ", in_quotes(local_name.text()));
  constexpr unsigned sizes_follow = 1U << 3;
  const bool sizes_are_later = (entry.flags & sizes_follow) != 0 && crc == 0 && packed == 0 && size == 0;
  cursor.require(sizes_are_later || (crc == entry.crc && packed == entry.packed && size == entry.size),
                 in_quotes(entry.name), ": sizes and checksum must be those of the directory");
  entry.bytes = cursor.take(entry.packed, in_quotes(entry.name));
}

/// Returns the entries of an archive with their bytes, in the order of its directory.
///
/// Throws     Error if the directory and a local header disagree, if two entries overlap, if a name is not UTF-8, or if
///            an entry is encrypted or compressed by another method than deflate
inline List<ZipEntry> read_zip(const Bytes& file, std::string_view name) {
  const ZipDirectory directory = read_zip_end(file, name);
  const auto end = static_cast<std::size_t>(directory.begin + directory.size);
  const Bytes head = file.slice(0, end);
  Cursor cursor(head, name, static_cast<std::size_t>(directory.begin));
  List<ZipEntry> entries;
  for (std::uint64_t i = 0; i < directory.count; ++i) {
    ZipEntry entry;
    cursor.expect(zip_central, "the signature of an entry in the directory");
    cursor.take(4, "versions");
    entry.flags = cursor.number<std::uint16_t>("the flags");
    constexpr unsigned known = 0x2 | 0x4 | 0x8 | 0x800;  // deflate options, sizes after the data, names in UTF-8
    cursor.require((entry.flags & ~known) == 0, "the flags must be within ", known, ", got ", entry.flags,
                   " (1 is encryption)");
    entry.method = cursor.number<std::uint16_t>("the method");
    cursor.require(entry.method == ZipEntry::stored || entry.method == ZipEntry::deflated,
                   "the method must be 0 (stored) or 8 (deflate), got ", entry.method);
    cursor.take(4, "the time");
    entry.crc = cursor.number<std::uint32_t>("the checksum");
    entry.packed = cursor.number<std::uint32_t>("the packed size");
    entry.size = cursor.number<std::uint32_t>("the size");
    const auto name_length = cursor.number<std::uint16_t>("the length of the name");
    const auto fields_length = cursor.number<std::uint16_t>("the length of the fields");
    const auto comment_length = cursor.number<std::uint16_t>("the length of the comment");
    cursor.expect(std::uint16_t{0}, "the number of a disk");
    cursor.take(6, "the attributes");
    entry.header = cursor.number<std::uint32_t>("the position of the entry");
    entry.name = cursor.take(name_length, "the name").text();
    const std::size_t at = cursor.at();
    read_zip64_field(cursor.take(fields_length, "the fields"), name, at, {&entry.size, &entry.packed, &entry.header});
    cursor.take(comment_length, "the comment");
    const std::size_t bad = invalid_utf8(entry.name);
    cursor.require(bad == std::string::npos, "the name ", in_quotes(entry.name), " must be UTF-8, is invalid at byte ",
                   bad);
    cursor.require(entry.method == ZipEntry::deflated || entry.packed == entry.size, in_quotes(entry.name),
                   " is stored: its compressed size must be ", entry.size, ", got ", entry.packed);
    read_zip_local(file, name, directory.begin, entry);
    entries.push_back(std::move(entry));
  }
  cursor.require(cursor.left() == 0, "the directory must end after ", directory.count, " entries, ", cursor.left(),
                 " bytes follow");

  List<const ZipEntry*> order;
  order.reserve(entries.size());
  for (const ZipEntry& entry : entries) order.push_back(&entry);
  std::sort(order.begin(), order.end(), [](const auto* a, const auto* b) { return a->header < b->header; });
  for (Eigen::Index i = 1; i < order.size(); ++i) {
    const auto last = static_cast<std::uint64_t>(order[i - 1]->bytes.data() - file.data()) + order[i - 1]->packed;
    require(last <= order[i]->header, name, ": ", in_quotes(order[i - 1]->name), " and ", in_quotes(order[i]->name),
            " overlap from byte ", order[i]->header, " on");
  }
  return entries;
}

}  // namespace filigree::detail
