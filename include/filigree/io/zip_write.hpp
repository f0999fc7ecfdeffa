// SPDX-License-Identifier: MIT
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <string>
#include <utility>

#include "filigree/core/list.hpp"
#include "filigree/io/zip.hpp"

namespace filigree::detail {

/// A builder of archives, with the same bytes as Python's zipfile for entries that may be large: the date is
/// 1980-01-01, the owner can read and write, and each local header has 64-bit sizes.
class ZipWriter {
 public:
  /// Numbers above `largest` are written as 64-bit fields.
  explicit ZipWriter(std::uint64_t largest = (1ULL << 31) - 1) : largest_(largest) {}

  /// Appends an entry, whose compressed bytes are given in pieces.
  void add(const ZipEntry& entry, const List<Bytes>& packed) {
    Record local;
    local.put(zip_local).put(version).put(entry.flags).put(entry.method).put(time).put(date).put(entry.crc);
    local.put(zip64_marker<std::uint32_t>).put(zip64_marker<std::uint32_t>);
    local.put(static_cast<std::uint16_t>(entry.name.size())).put(std::uint16_t{20}).text += entry.name;
    local.put(std::uint16_t{1}).put(std::uint16_t{16}).put(entry.size).put(entry.packed);

    entries_.push_back(entry);
    entries_.back().header = position_;
    write(Bytes::copy(local.text));
    for (const Bytes& piece : packed) write(piece);
  }

  /// Appends the directory and returns the pieces of the archive.
  List<Bytes> finish() && {
    const std::uint64_t begin = position_;
    for (const ZipEntry& entry : entries_) write(Bytes::copy(central(entry)));
    write(Bytes::copy(end(begin, position_ - begin)));
    return std::move(pieces_);
  }

 private:
  /// A sequence of little-endian numbers.
  struct Record {
    std::string text;

    template <std::unsigned_integral T>
    Record& put(T number) {
      for (std::size_t i = 0; i < sizeof number; ++i)
        text += static_cast<char>(static_cast<std::uint64_t>(number) >> (8 * i) & 0xFF);
      return *this;
    }
  };

  static constexpr std::uint16_t version = 45, made_by = 3 << 8 | version, time = 0, date = 0 << 9 | 1 << 5 | 1;
  static constexpr std::uint32_t attributes = 0600U << 16;

  void write(Bytes piece) {
    position_ += piece.size();
    pieces_.push_back(std::move(piece));
  }

  /// Returns the record of an entry in the directory.
  [[nodiscard]] std::string central(const ZipEntry& entry) const {
    Record field;
    const bool large_size = entry.size > largest_ || entry.packed > largest_, large_position = entry.header > largest_;
    if (large_size) field.put(entry.size).put(entry.packed);
    if (large_position) field.put(entry.header);
    const auto narrow = [](std::uint64_t x, bool marked) {
      return marked ? zip64_marker<std::uint32_t> : static_cast<std::uint32_t>(x);
    };
    Record record;
    record.put(zip_central).put(made_by).put(version).put(entry.flags).put(entry.method).put(time).put(date);
    record.put(entry.crc).put(narrow(entry.packed, large_size)).put(narrow(entry.size, large_size));
    record.put(static_cast<std::uint16_t>(entry.name.size()));
    record.put(static_cast<std::uint16_t>(field.text.empty() ? 0 : field.text.size() + 4));
    record.put(std::uint16_t{0}).put(std::uint16_t{0}).put(std::uint16_t{0}).put(attributes);  // comment, disk, text
    record.put(narrow(entry.header, large_position)).text += entry.name;
    if (!field.text.empty())
      record.put(std::uint16_t{1}).put(static_cast<std::uint16_t>(field.text.size())).text += field.text;
    return record.text;
  }

  /// Returns the end records of an archive.
  [[nodiscard]] std::string end(std::uint64_t begin, std::uint64_t size) const {
    const auto count = static_cast<std::uint64_t>(entries_.size());
    const std::uint64_t position = begin + size;
    Record record;
    if (count > zip64_marker<std::uint16_t> || begin > largest_ || size > largest_) {
      record.put(zip64_end)
          .put(std::uint64_t{44})
          .put(version)
          .put(version)
          .put(std::uint32_t{0})
          .put(std::uint32_t{0});
      record.put(count).put(count).put(size).put(begin);
      record.put(zip64_locator).put(std::uint32_t{0}).put(position).put(std::uint32_t{1});
    }
    const auto short_count = static_cast<std::uint16_t>((std::min)(count, std::uint64_t{zip64_marker<std::uint16_t>}));
    record.put(zip_end).put(std::uint16_t{0}).put(std::uint16_t{0}).put(short_count).put(short_count);
    for (const std::uint64_t x : {size, begin})
      record.put(static_cast<std::uint32_t>((std::min)(x, std::uint64_t{zip64_marker<std::uint32_t>})));
    return record.put(std::uint16_t{0}).text;
  }

  std::uint64_t largest_, position_ = 0;
  List<ZipEntry> entries_;
  List<Bytes> pieces_;
};

}  // namespace filigree::detail
