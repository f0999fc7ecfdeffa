// SPDX-License-Identifier: MIT
#pragma once

// This header needs nlohmann-json (nlohmann-json3-dev in Debian). Therefore filigree.hpp does not include it.

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <limits>
#include <map>
#include <span>
#include <string>
#include <vector>

#include "filigree/attention/key_value_cache.hpp"
#include "filigree/io/crc32.hpp"
#include "filigree/io/file_metadata.hpp"
#include "filigree/io/safetensors.hpp"

namespace filigree {

namespace detail {

/// The rows of a cache that were not dropped, as they are in a file: the keys [rows][hkv][d] and the values
/// [rows][hkv][dv].
template <class T>
struct CacheContents {
  using Cache = KeyValueCache<T>;
  using Matrix = Eigen::Matrix<T, Eigen::Dynamic, Eigen::Dynamic, Eigen::RowMajor>;

  /// Calls f(j) for each row that was not dropped.
  template <class F>
  static void each_row(const Cache& cache, F&& f) {
    for (Index j = 0; j < cache.dropped_.begin; ++j) f(j);
    for (Index j = cache.dropped_.end; j < cache.rows_; ++j) f(j);
  }
  static Index stored_rows(const Cache& cache) { return cache.rows_ - (cache.dropped_.end - cache.dropped_.begin); }

  static NdArray keys(const Cache& cache) {
    const auto [hkv, d, dv] = cache.shape_;
    const Index width = kernel::kernels<typename Cache::Computed>().width;
    return array_of_rows(cache, d, [&, heads = hkv, size = d](Index place, T* to) {
      for (Index h = 0; h < heads; ++h) {
        const T* from = cache.block_.keys(h) + place / width * width * size + place % width;
        for (Index f = 0; f < size; ++f) *to++ = from[f * width];
      }
    });
  }
  static NdArray values(const Cache& cache) {
    const Index padded = cache.shape_.padded(), dv = cache.shape_.dv;
    return array_of_rows(cache, dv, [&](Index place, T* to) {
      for (Index h = 0; h < cache.shape_.hkv; ++h, to += dv)
        std::copy_n(cache.block_.values(h) + place * padded, dv, to);
    });
  }

  /// Appends `rows` rows to an empty cache, of which those in `dropped` were dropped and are not in K and V.
  static void restore(Cache& cache, Index rows, const Range& dropped, const Matrix& zeros, const auto& k,
                      const auto& v) {
    cache.append(k.topRows(dropped.begin), v.topRows(dropped.begin));
    if (dropped.begin < dropped.end) {
      // The dropped rows that are in memory become zeros.
      const RowGap gap = Cache::gap_of(dropped);
      const Index count = gap.place(dropped.end) - dropped.begin;
      for (Index i = 0; i < count; ++i) cache.append(zeros.row(0).head(k.cols()), zeros.row(0).head(v.cols()));
      cache.rows_ = dropped.end;
      cache.dropped_ = dropped;
      cache.gap_ = gap;
    }
    const Index rest = rows - dropped.end;
    cache.append(k.bottomRows(rest), v.bottomRows(rest));
  }

 private:
  template <class Copy>
  static NdArray array_of_rows(const Cache& cache, Index size, const Copy& copy) {
    const Index hkv = cache.shape_.hkv, rows = stored_rows(cache);
    NdArray array{.type = type_of<T>(), .shape = {rows, hkv, size}};
    const Index numbers = size_product(size_product(rows, hkv), size);
    array.bytes = Bytes::filled(static_cast<std::size_t>(numbers) * sizeof(T), [&](std::span<std::byte> to) {
      if (to.empty()) return;
      std::vector<T> row(static_cast<std::size_t>(hkv * size));
      each_row(cache, [&](Index j) {
        copy(cache.gap_.place(j), row.data());
        std::memcpy(to.data(), row.data(), row.size() * sizeof(T));
        to = to.subspan(row.size() * sizeof(T));
      });
    });
    return array;
  }
};

/// The metadata of a cache file. Its checksum covers all numbers of the file.
struct CacheHeader {
  static constexpr const char* format = "filigree key_value_cache 1";
  Index rows, dropped_begin, dropped_end;

  [[nodiscard]] std::map<std::string, std::string> text(const Arrays& tensors) const {
    return {{"format", format},
            {"rows", std::to_string(rows)},
            {"dropped_begin", std::to_string(dropped_begin)},
            {"dropped_end", std::to_string(dropped_end)},
            {"crc32", std::to_string(checksum(tensors))}};
  }
  /// Returns the checksum of the header, of the shapes and types, and of all numbers.
  [[nodiscard]] std::uint32_t checksum(const Arrays& tensors) const {
    std::string text = std::to_string(rows) + " " + std::to_string(dropped_begin) + " " + std::to_string(dropped_end);
    std::uint32_t sum = 0;
    for (const char* name : {"keys", "values"}) {
      const NdArray& array = tensors[name];
      text += std::string(" ") + name + " " + std::string(name_of(array.type)) + " " + shape_text(array.shape);
      sum = crc32(array.bytes.span(), sum);
    }
    return crc32(std::as_bytes(std::span(text)), sum);
  }

  /// Reads and checks the header of a file.
  static CacheHeader read(const Safetensors& file, const std::string& path) {
    const FileMetadata metadata(file, path, "save_key_value_cache", format);
    const CacheHeader header{metadata.number("rows"), metadata.number("dropped_begin"), metadata.number("dropped_end")};
    for (const auto& [name, array] : file.tensors) {
      require(name == "keys" || name == "values", array.name, ": is not a tensor of a cache");
      require(array.shape.size() == 3, array.name, ": must have 3 dimensions, has shape ", shape_text(array.shape));
    }
    require(header.checksum(file.tensors) == static_cast<std::uint64_t>(metadata.number("crc32")), path,
            ": must have the checksum ", metadata.text("crc32"), ", has ", header.checksum(file.tensors));
    return header;
  }
};

}  // namespace detail

/// Writes a cache to a .safetensors file: the keys as n x hkv x d and the values as n x hkv x dv, in the type in which
/// they are stored, without the rows that were dropped. A checksum covers all numbers.
///
/// Cost       a copy of the keys and values
/// Throws     Error for the reasons of write_file; the old content is then unchanged
template <class T>
void save_key_value_cache(const std::string& path, const KeyValueCache<T>& cache) {
  using Contents = detail::CacheContents<T>;
  const Arrays tensors = {{"keys", Contents::keys(cache)}, {"values", Contents::values(cache)}};
  const detail::CacheHeader header{cache.rows(), cache.dropped().begin, cache.dropped().end};
  save_safetensors(path, tensors, header.text(tensors));
}

/// Returns the cache in the bytes of a file that save_key_value_cache has written. Error messages name the file `path`.
///
/// Throws     Error if the file was not written for this T, or is damaged; if capacity < 0
template <class T = float>
KeyValueCache<T> parse_key_value_cache(const Bytes& bytes, const std::string& path, const cache_options& options = {}) {
  using Contents = detail::CacheContents<T>;
  detail::require(options.capacity >= 0, "load_key_value_cache(path, {.capacity}): capacity must be at least 0, got ",
                  options.capacity);
  const Safetensors file = parse_safetensors(bytes, path);
  const auto header = detail::CacheHeader::read(file, path);
  const NdArray &keys = file["keys"], &values = file["values"];
  for (const NdArray* array : {&keys, &values})
    detail::require(array->type == detail::type_of<T>(), array->name, ": must be ", name_of(detail::type_of<T>()),
                    ", is ", name_of(array->type), ": load_key_value_cache<T> needs the T of the saved cache");
  const Index hkv = keys.shape[1], d = keys.shape[2], dv = values.shape[2];
  const Range dropped{header.dropped_begin, header.dropped_end};
  constexpr Index max_rows = (std::numeric_limits<Column>::max)() - 1024;
  detail::require(dropped.begin <= dropped.end && dropped.end <= header.rows && header.rows <= max_rows, path,
                  ": rows ", dropped.begin, " to ", dropped.end, " cannot be dropped of ", header.rows);
  const Index stored = header.rows - (dropped.end - dropped.begin);
  detail::require(keys.shape[0] == stored && values.shape[0] == stored && values.shape[1] == hkv, path,
                  ": keys and values must have ", stored, " rows of the same heads, have shapes ",
                  detail::shape_text(keys.shape), " and ", detail::shape_text(values.shape));
  const Index memory = KeyValueCache<T>::rows_in_memory(header.rows, dropped);
  KeyValueCache<T> cache(hkv, d, dv, {.capacity = (std::max)(options.capacity, memory)});
  using Matrix = typename Contents::Matrix;
  const NdArray flat_keys = keys.reshaped({stored, hkv * d}), flat_values = values.reshaped({stored, hkv * dv});
  Contents::restore(cache, header.rows, dropped, Matrix::Zero(1, hkv * (std::max)(d, dv)),
                    flat_keys.template map<Matrix>(), flat_values.template map<Matrix>());
  return cache;
}

/// Reads a cache that save_key_value_cache has written: load_key_value_cache<float>("prompt.safetensors").
///
/// Throws     Error for the reasons of read_file and parse_key_value_cache
template <class T = float>
KeyValueCache<T> load_key_value_cache(const std::string& path, const cache_options& options = {}) {
  return parse_key_value_cache<T>(read_file(path), path, options);
}

}  // namespace filigree
