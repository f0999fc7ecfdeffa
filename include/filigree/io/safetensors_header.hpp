// SPDX-License-Identifier: MIT
#pragma once

// Needs nlohmann-json (nlohmann-json3-dev in Debian), so filigree.hpp does not include this header.

#include <cstddef>
#include <cstdint>
#include <map>
#include <set>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "filigree/io/array.hpp"
#include "filigree/io/cursor.hpp"
#include "filigree/io/json_reader.hpp"

namespace filigree::detail {

/// A type and its name in safetensors files.
struct TensorType {
  std::string_view name;
  Type type;
};
/// The types in the order in which the reference library stores tensors, from the widest to the narrowest.
inline constexpr TensorType tensor_types[] = {
    {"U64", Type::uint64},   {"I64", Type::int64}, {"F64", Type::float64},   {"F32", Type::float32},
    {"U32", Type::uint32},   {"I32", Type::int32}, {"BF16", Type::bfloat16}, {"F16", Type::float16},
    {"U16", Type::uint16},   {"I16", Type::int16}, {"I8", Type::int8},       {"U8", Type::uint8},
    {"BOOL", Type::boolean},
};

/// The header of a tensor. The offsets begin and end are relative to the end of the file's header.
struct TensorEntry {
  std::string name;
  Type type = Type::float32;
  std::vector<Index> shape = {};
  std::uint64_t begin = 0, end = 0;
};

/// A reader of the JSON header. It handles the events of nlohmann's sax_parse and rejects an invalid value immediately,
/// so the nesting never exceeds the three levels of the format.
class SafetensorsHeader : public JsonReader<SafetensorsHeader> {
 public:
  std::vector<TensorEntry> tensors;
  std::map<std::string, std::string> metadata;

  /// Parses the text, which begins at byte `begin` of the file.
  SafetensorsHeader(std::string_view text, std::size_t begin, std::string_view file) : JsonReader(begin, file) {
    parse(text);
  }

  [[nodiscard]] std::string where() const {
    const std::string header = "the header: ";
    return level_ < 2 ? header : header + (in_metadata_ ? "\"__metadata__\"" : in_quotes(tensors.back().name)) + ": ";
  }

  bool key(std::string& text) {
    const bool is_new = (level_ == 1 ? names_ : keys_).insert(text).second;
    require(is_new, "the key ", in_quotes(text), " occurs twice");
    if (level_ == 1) {
      in_metadata_ = text == "__metadata__";
      if (!in_metadata_) tensors.push_back({.name = text});
    } else if (!in_metadata_) {
      require(text == "dtype" || text == "shape" || text == "data_offsets",
              "a key must be \"dtype\", \"shape\" or \"data_offsets\", got ", in_quotes(text));
    }
    key_ = text;
    return true;
  }

  bool start_object(std::size_t) {
    require(level_ == 0 || (level_ == 1 && !in_list_), "an object is not allowed here");
    ++level_;
    keys_.clear();
    return true;
  }
  bool end_object() {
    if (level_ == 2 && !in_metadata_)
      for (const char* needed : {"dtype", "shape", "data_offsets"})
        require(keys_.contains(needed), "the tensor lacks ", in_quotes(needed));
    --level_;
    return true;
  }

  bool start_array(std::size_t) {
    require(level_ == 2 && !in_metadata_ && key_ != "dtype" && !in_list_, "a list is not allowed here");
    in_list_ = true;
    list_.clear();
    return true;
  }
  bool end_array() {
    in_list_ = false;
    TensorEntry& tensor = tensors.back();
    if (key_ == "shape") {
      tensor.shape.assign(list_.begin(), list_.end());
    } else {
      require(list_.size() == 2, "\"data_offsets\" must be two numbers, got ", list_.size());
      tensor.begin = list_[0];
      tensor.end = list_[1];
    }
    return true;
  }

  bool string(std::string& text) {
    require(level_ == 2 && !in_list_, "a string is not allowed here");
    if (in_metadata_) {
      metadata[key_] = text;
      return true;
    }
    require(key_ == "dtype", in_quotes(key_), " must be a list, got ", in_quotes(text));
    for (const TensorType& known : tensor_types)
      if (known.name == text) {
        tensors.back().type = known.type;
        return true;
      }
    std::string names;
    for (const TensorType& known : tensor_types) names += (names.empty() ? "" : ", ") + std::string(known.name);
    fail("\"dtype\" must be one of ", names, ", got ", in_quotes(text));
  }

  bool number_unsigned(std::uint64_t number) {
    require(in_list_, "a number is not allowed here");
    require(number >> 63 == 0, "a number must be below 2^63, got ", number);
    require(list_.size() < 64, "a list must have at most 64 numbers");
    list_.push_back(number);
    return true;
  }

  bool null() {
    require(level_ == 1 && in_metadata_, "null is not allowed here");  // "__metadata__": null means no metadata
    return true;
  }
  bool boolean(bool) { fail("true and false are not allowed here"); }
  bool number_integer(std::int64_t number) { fail("a number must not be negative, got ", number); }
  bool number_float(double, const std::string& text) { fail("a number must be whole and below 2^63, got ", text); }

 private:
  int level_ = 0;
  bool in_list_ = false, in_metadata_ = false;
  std::set<std::string> names_, keys_;
  std::string key_;
  std::vector<std::uint64_t> list_;
};

}  // namespace filigree::detail
