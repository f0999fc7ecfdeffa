// SPDX-License-Identifier: MIT
#pragma once

// Needs nlohmann-json (nlohmann-json3-dev in Debian), so filigree.hpp does not include this header.

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <iterator>
#include <map>
#include <nlohmann/json.hpp>
#include <string>
#include <string_view>
#include <tuple>
#include <utility>
#include <vector>

#include "filigree/io/arrays.hpp"
#include "filigree/io/cursor.hpp"
#include "filigree/io/file.hpp"
#include "filigree/io/file_kind.hpp"
#include "filigree/io/safetensors_header.hpp"
#include "filigree/io/utf8.hpp"

namespace filigree {

/// The contents of a .safetensors file: the tensors in the order of their bytes, and the metadata strings of its
/// writer.
struct Safetensors {
  Arrays tensors;
  std::map<std::string, std::string> metadata;

  /// Returns the tensor of the given name.
  ///
  /// Throws     Error that lists the existing names if there is no such tensor
  const NdArray& operator[](std::string_view name) const& { return tensors[name]; }
  NdArray operator[](std::string_view name) && { return tensors[name]; }
};

namespace detail {

inline constexpr std::uint64_t max_safetensors_header = 100'000'000;

}  // namespace detail

/// Returns the tensors and metadata in the bytes of a .safetensors file. The arrays share the bytes. Error messages
/// name the file `name`.
///
/// Throws     Error if the file has another format, which the message names if it is known; if the header is longer
///            than 100 MB, is not JSON or not UTF-8, or has a duplicate key, an unknown key or an unsupported type; if
///            shape, type and offsets of a tensor disagree; and if the tensors overlap, leave a gap, or do not end at
///            the end of the file
/// Reference  https://github.com/huggingface/safetensors, "Format"
inline Safetensors parse_safetensors(const Bytes& bytes, const std::string& name) {
  if (bytes.size() < 9 || bytes.text()[8] != '{') detail::require_format(bytes, name, "a safetensors file");
  detail::Cursor cursor(bytes, name);
  const auto length = cursor.number<std::uint64_t>("the length of the header");
  cursor.require(length <= detail::max_safetensors_header, "the header must have at most ",
                 detail::max_safetensors_header, " bytes, has ", length);
  const std::size_t begin = cursor.at();
  const std::string_view text = cursor.take(length, "the header").text();
  detail::require(text.starts_with('{'), name, ": byte ", begin, ": the header must begin with {");
  detail::SafetensorsHeader header(text, begin, name);

  std::vector<detail::TensorEntry*> entries;  // in the order of the file; empty tensors in the order of the header
  for (detail::TensorEntry& entry : header.tensors) entries.push_back(&entry);
  std::sort(entries.begin(), entries.end(), [](const auto* a, const auto* b) {
    return std::tuple(a->begin, a->end, a) < std::tuple(b->begin, b->end, b);
  });
  const Bytes data = bytes.slice(cursor.at(), cursor.left());
  Safetensors result{.tensors = Arrays(name), .metadata = std::move(header.metadata)};
  std::uint64_t offset = 0;
  for (detail::TensorEntry* const next : entries) {
    detail::TensorEntry& entry = *next;
    const std::string inner = name + ": " + detail::in_quotes(entry.name);
    detail::require(entry.begin == offset, inner, ": must begin at ", offset,
                    ", where the previous tensor ends, begins at ", entry.begin);
    detail::require(entry.begin <= entry.end && entry.end <= data.size(), inner, ": must end between ", entry.begin,
                    " and ", data.size(), ", the end of the file, ends at ", entry.end);
    const std::uint64_t size = entry.end - entry.begin;
    Index needed = 0;
    const bool fits = detail::bytes_of(entry.type, entry.shape, needed);
    detail::require(fits && static_cast<std::uint64_t>(needed) == size, inner, ": ", name_of(entry.type), " of shape ",
                    detail::shape_text(entry.shape), " cannot have ", size, " bytes");
    NdArray array{.type = entry.type, .shape = std::move(entry.shape), .name = inner};
    array.bytes = data.slice(static_cast<std::size_t>(entry.begin), static_cast<std::size_t>(size));
    result.tensors.add(entry.name, std::move(array));
    offset = entry.end;
  }
  detail::require(offset == data.size(), name, ": the tensors must end at ", data.size(),
                  ", the end of the file, end at ", offset);
  return result;
}

/// Reads a .safetensors file: load_safetensors("sae.safetensors")["W_dec"].as<Matrix>().
///
/// Throws     Error if the file cannot be read, and for the reasons of parse_safetensors
inline Safetensors load_safetensors(const std::string& path) { return parse_safetensors(read_file(path), path); }

/// Maps a .safetensors file into memory. A tensor is read from the disk when it is accessed, and tensor.map<M>() gives
/// access to it without a copy. See map_file.
inline Safetensors map_safetensors(const std::string& path) { return parse_safetensors(map_file(path), path); }

/// Writes a .safetensors file. Tensors are sorted by type, the widest first, so that all of them are aligned, and by
/// name within a type. With at most one metadata string, the bytes are the same as those of the reference library.
///
/// Throws     Error if an array is inconsistent or named "__metadata__", if a string is not UTF-8, if the header
///            exceeds 100 MB, and for the reasons of write_file
inline void save_safetensors(const std::string& path, const Arrays& tensors,
                             const std::map<std::string, std::string>& metadata = {}) {
  const auto text = [](const std::string& x) {
    const bool valid = detail::invalid_utf8(x) == std::string::npos;
    detail::require(valid, "save_safetensors(path, tensors, metadata): ", detail::in_quotes(x), " must be UTF-8");
    return nlohmann::json(x).dump();
  };
  std::string header;
  for (const auto& [key, value] : metadata) header += (header.empty() ? "" : ",") + text(key) + ":" + text(value);
  if (!metadata.empty()) header = "\"__metadata__\":{" + header + "}";

  std::vector<std::pair<const detail::TensorType*, const Arrays::Entry*>> order;
  for (const Arrays::Entry& entry : tensors)
    order.emplace_back(std::find_if(std::begin(detail::tensor_types), std::end(detail::tensor_types),
                                    [&](const auto& x) { return x.type == entry.second.type; }),
                       &entry);
  std::sort(order.begin(), order.end(), [](const auto& a, const auto& b) {
    return std::pair(a.first, std::string_view(a.second->first)) <
           std::pair(b.first, std::string_view(b.second->first));
  });

  std::vector<Bytes> pieces(1);
  std::uint64_t offset = 0;
  for (const auto& [type, entry] : order) {
    const auto& [name, array] = *entry;
    array.check();
    detail::require(name != "__metadata__", "save_safetensors(path, tensors, metadata): no tensor may be named ",
                    detail::in_quotes(name));
    std::string shape;
    for (const Index n : array.shape) shape += (shape.empty() ? "" : ",") + std::to_string(n);
    const std::uint64_t end = offset + array.bytes.size();
    header += (header.empty() ? "" : ",") + text(name) + ":{\"dtype\":\"" + std::string(type->name) + "\",\"shape\":[" +
              shape + "],\"data_offsets\":[" + std::to_string(offset) + "," + std::to_string(end) + "]}";
    pieces.push_back(array.bytes);
    offset = end;
  }
  header = "{" + header + "}";
  header.append(7 - (header.size() + 7) % 8, ' ');
  detail::require(header.size() <= detail::max_safetensors_header,
                  "save_safetensors(path, tensors, metadata): the header must have at most ",
                  detail::max_safetensors_header, " bytes, has ", header.size());
  std::string length;
  for (int i = 0; i < 8; ++i) length += static_cast<char>(header.size() >> (8 * i) & 0xFF);
  pieces[0] = Bytes::copy(length + header);
  write_file(path, pieces);
}

}  // namespace filigree
