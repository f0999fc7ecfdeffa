// SPDX-License-Identifier: MIT
#pragma once

// This header needs nlohmann-json (nlohmann-json3-dev in Debian). Therefore filigree.hpp does not include it.

#include <cmath>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <limits>
#include <map>
#include <span>
#include <string>

#include "filigree/io/crc32.hpp"
#include "filigree/io/file_metadata.hpp"
#include "filigree/io/safetensors.hpp"
#include "filigree/retrieval/sparse_index.hpp"

namespace filigree {

namespace detail {

/// The metadata of an index file. Its checksum covers all numbers of the file.
struct IndexHeader {
  static constexpr const char* format = "filigree sparse_index 1";
  Index documents, terms;

  [[nodiscard]] std::uint32_t checksum(const Arrays& tensors) const {
    const std::string sizes = std::to_string(documents) + " " + std::to_string(terms);
    std::uint32_t sum = crc32(std::as_bytes(std::span(sizes)));
    for (const char* name : {"begins", "documents", "weights"}) sum = crc32(tensors[name].bytes.span(), sum);
    return sum;
  }
  [[nodiscard]] std::map<std::string, std::string> text(const Arrays& tensors) const {
    return {{"format", format},
            {"documents", std::to_string(documents)},
            {"terms", std::to_string(terms)},
            {"crc32", std::to_string(checksum(tensors))}};
  }

  static IndexHeader read(const Safetensors& file, const std::string& path) {
    const FileMetadata metadata(file, path, "save_sparse_index", format);
    const IndexHeader header{metadata.number("documents"), metadata.number("terms")};
    const std::uint32_t sum = header.checksum(file.tensors);
    require(Index{sum} == metadata.number("crc32"), path, ": must have the checksum ", metadata.text("crc32"), ", has ",
            sum);
    return header;
  }
};

/// Returns a copy of a one-dimensional tensor of `count` numbers of type T. The bytes of a file may be unaligned.
template <class T>
List<T> index_numbers(const NdArray& array, Index count) {
  require(array.type == type_of<T>(), array.name, ": must be ", name_of(type_of<T>()), ", is ", name_of(array.type));
  require(array.shape.size() == 1 && (count < 0 || array.shape[0] == count), array.name, ": must have shape [",
          count < 0 ? "n" : std::to_string(count), "], has shape ", shape_text(array.shape));
  array.check();
  List<T> numbers(array.shape[0]);
  if (array.bytes.size() > 0) std::memcpy(numbers.data(), array.bytes.data(), array.bytes.size());
  return numbers;
}

}  // namespace detail

/// Writes an index to a .safetensors file, with the arrays of a compressed documents x terms matrix by columns: the
/// tensors begins [terms + 1], documents and weights [postings]. A checksum covers all numbers.
///
/// Cost       a copy of the postings
/// Throws     Error for the reasons of write_file; the old content is then unchanged
inline void save_sparse_index(const std::string& path, const SparseIndex& index) {
  const detail::IndexContents contents{index};
  detail::List<std::int64_t> begins(index.terms() + 1, 0);
  detail::List<std::int32_t> documents(index.postings());
  for (Index t = 0; t < index.terms(); ++t) {
    begins[t + 1] = contents.first_posting(contents.first_run(t + 1));
    for (Index r = contents.first_run(t); r < contents.first_run(t + 1); ++r)
      for (Index e = contents.first_posting(r); e < contents.first_posting(r + 1); ++e)
        documents[e] = contents.run(r).block * static_cast<std::int32_t>(SparseIndex::block) + contents.offsets()[e];
  }
  // The bytes are only written to the file, so the arrays need no owner.
  const auto array = [](const auto* data, Index count) {
    using T = std::remove_cvref_t<decltype(*data)>;
    const std::span<const T> numbers(data, static_cast<std::size_t>(count));
    return NdArray{.type = detail::type_of<T>(), .shape = {count}, .bytes = Bytes(std::as_bytes(numbers))};
  };
  const Arrays tensors = {{"begins", array(begins.data(), begins.size())},
                          {"documents", array(documents.data(), documents.size())},
                          {"weights", array(contents.weights(), index.postings())}};
  save_safetensors(path, tensors, detail::IndexHeader{index.documents(), index.terms()}.text(tensors));
}

/// Returns the index in the bytes of a file that save_sparse_index has written. Error messages name the file `path`.
///
/// Cost       O(postings + terms)
/// Throws     Error if the file is damaged: a checksum, size or offset that does not match, documents that do not
///            ascend within a term, or a weight that is 0 or not finite
inline SparseIndex parse_sparse_index(const Bytes& bytes, const std::string& path) {
  const Safetensors file = parse_safetensors(bytes, path);
  for (const char* name : {"begins", "documents", "weights"}) (void)file[name];
  const auto header = detail::IndexHeader::read(file, path);
  constexpr Index limit = (std::numeric_limits<std::int32_t>::max)() - SparseIndex::block;
  detail::require(header.documents <= limit, path, ": documents must be at most ", limit, ", is ", header.documents);
  detail::require(header.terms < (std::numeric_limits<Index>::max)(), path, ": terms is out of range");
  const auto begins = detail::index_numbers<std::int64_t>(file["begins"], header.terms + 1);
  const auto documents = detail::index_numbers<std::int32_t>(file["documents"], -1);
  const auto weights = detail::index_numbers<float>(file["weights"], documents.size());
  detail::require(begins[0] == 0 && begins[header.terms] == documents.size(), path, ": begins must be from 0 to ",
                  documents.size(), ", is from ", begins[0], " to ", begins[header.terms]);
  for (Index t = 0; t < header.terms; ++t)
    detail::require(begins[t] <= begins[t + 1], path, ": begins must not decrease, does at ", t + 1);
  for (Index t = 0; t < header.terms; ++t)
    for (Index e = begins[t]; e < begins[t + 1]; ++e) {
      const Index document = documents[e];
      detail::require(document >= 0 && document < header.documents, path, ": documents[", e,
                      "] must be at least 0 and below ", header.documents, ", is ", document);
      detail::require(e == begins[t] || documents[e - 1] < documents[e], path,
                      ": the documents of a term must ascend, those of ", t, " do not");
      detail::require(std::isfinite(weights[e]) && weights[e] != 0, path, ": weights[", e,
                      "] must be finite and not 0, is ", weights[e]);
    }
  return detail::IndexContents::make(header.documents, header.terms, begins.data(), documents.data(), weights.data());
}

/// Reads an index that save_sparse_index has written.
///
/// Throws     Error for the reasons of read_file and parse_sparse_index
inline SparseIndex load_sparse_index(const std::string& path) { return parse_sparse_index(read_file(path), path); }

}  // namespace filigree
