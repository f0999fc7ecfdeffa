// SPDX-License-Identifier: MIT
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <utility>

#include "filigree/core/list.hpp"
#include "filigree/io/arrays.hpp"
#include "filigree/io/crc32.hpp"
#include "filigree/io/file.hpp"
#include "filigree/io/file_kind.hpp"
#include "filigree/io/npy.hpp"
#include "filigree/io/zip.hpp"
#include "filigree/io/zip_write.hpp"

namespace filigree {

/// The codec of uncompressed .npz files. zlib{} of io/zlib.hpp is the codec of compressed ones.
struct stored {};

namespace detail {

/// A type that compresses and decompresses bytes by deflate (RFC 1951).
template <class T>
concept Codec = requires(const T& codec, std::span<const std::byte> from, std::span<std::byte> to) {
  { codec.inflate(from, to) } -> std::same_as<bool>;
  { codec.deflate(from) } -> std::same_as<Bytes>;
};

/// Returns the decompressed bytes of an entry. Before memory for all of them is allocated, the first bytes are checked:
/// they must be the header of an .npy file of the size that the archive states.
template <Codec C>
Bytes inflate_entry(const ZipEntry& entry, const std::string& name, const C& codec) {
  constexpr std::uint64_t max_ratio = 1032;  // the largest compression ratio of deflate
  require(entry.size / max_ratio <= entry.packed, name, ": ", entry.packed, " bytes cannot inflate to ", entry.size,
          " bytes");
  bool complete = true;
  const auto first = [&](std::uint64_t size) {
    return Bytes::filled(static_cast<std::size_t>(size),
                         [&](std::span<std::byte> to) { complete = codec.inflate(entry.bytes.span(), to); });
  };
  constexpr std::uint64_t longest_header = 1 << 17;
  if (entry.size > longest_header) read_npy_header(Cursor(first(longest_header), name), entry.size);
  Bytes bytes = first(entry.size);
  require(complete, name, ": ", entry.packed, " bytes must inflate to exactly ", entry.size, " bytes");
  return bytes;
}

}  // namespace detail

/// Returns the arrays of an .npz file (a zip archive of .npy files), in their order, from its bytes. Error messages
/// name the file `name`. The entry "W.npy" becomes the array "W". A name such as "a/b" is not used as a path: nothing
/// is extracted to disk.
///
/// Throws     Error if the file has another format; if the archive is inconsistent, truncated or encrypted; if an entry
///            is compressed and the codec is stored{}; if an entry is no .npy file, has a wrong checksum or has the
///            name of another entry; and for the reasons of parse_npy
/// Reference  PKWARE, APPNOTE.TXT 6.3
template <class C = stored>
Arrays parse_npz(const Bytes& bytes, const std::string& name, const C& codec = {}) {
  if (!bytes.text().starts_with("PK") || detail::kind_of(bytes) == detail::torch_checkpoint)
    detail::require_format(bytes, name, "an .npz file");
  Arrays arrays(name);
  for (const detail::ZipEntry& entry : detail::read_zip(bytes, name)) {
    const std::string inner = name + ": " + detail::in_quotes(entry.name);
    constexpr std::string_view ending = ".npy";
    detail::require(entry.name.ends_with(ending), inner, ": must be an .npy file");
    Bytes content = entry.bytes;
    if (entry.method == detail::ZipEntry::deflated) {
      if constexpr (detail::Codec<C>)
        content = detail::inflate_entry(entry, inner, codec);
      else
        detail::fail(inner, ": is compressed: pass zlib{} of filigree/io/zlib.hpp too");
    }
    const std::uint32_t crc = detail::crc32(content.span());
    detail::require(crc == entry.crc, inner, ": its checksum must be ", entry.crc, ", is ", crc);
    arrays.add(entry.name.substr(0, entry.name.size() - ending.size()), parse_npy(content, inner));
  }
  return arrays;
}

/// Reads an .npz file: load_npz("params.npz")["W_enc"].as<Matrix>(). Compressed files need load_npz(path, zlib{}).
///
/// Throws     Error if the file cannot be read, and for the reasons of parse_npz
template <class C = stored>
Arrays load_npz(const std::string& path, const C& codec = {}) {
  return parse_npz(read_file(path), path, codec);
}

/// Writes an .npz file, with the same bytes as numpy.savez. The codec zlib{} compresses it.
///
/// Throws     Error if a name is not UTF-8 or is longer than 65531 bytes, if an array is inconsistent, and for the
///            reasons of write_file
template <class C = stored>
void save_npz(const std::string& path, const Arrays& arrays, const C& codec = {}) {
  detail::ZipWriter zip;
  for (const auto& [name, array] : arrays) {
    detail::require(detail::invalid_utf8(name) == std::string::npos, "save_npz(path, arrays): the name ",
                    detail::in_quotes(name), " must be UTF-8");
    detail::require(name.size() <= 0xFFFF - 4, "save_npz(path, arrays): a name must have at most 65531 bytes, has ",
                    name.size());
    detail::ZipEntry entry;
    entry.name = name + ".npy";
    constexpr std::uint16_t utf8 = 1U << 11;
    if (std::any_of(name.begin(), name.end(), [](char c) { return static_cast<unsigned char>(c) > 127; }))
      entry.flags = utf8;
    detail::List<Bytes> pieces = detail::npy_pieces(array, false);
    for (const Bytes& piece : pieces) {
      entry.crc = detail::crc32(piece.span(), entry.crc);
      entry.size += piece.size();
    }
    if constexpr (detail::Codec<C>) {
      entry.method = detail::ZipEntry::deflated;
      const std::string content = std::string(pieces[0].text()).append(pieces[1].text());
      pieces = {codec.deflate(std::as_bytes(std::span(content)))};
    }
    for (const Bytes& piece : pieces) entry.packed += piece.size();
    zip.add(entry, pieces);
  }
  const detail::List<Bytes> pieces = std::move(zip).finish();
  write_file(path, {pieces.data(), static_cast<std::size_t>(pieces.size())});
}

}  // namespace filigree
