// SPDX-License-Identifier: MIT
#pragma once

// Needs nlohmann-json (nlohmann-json3-dev in Debian), so filigree.hpp does not include this header.

#include <algorithm>
#include <charconv>
#include <cmath>
#include <cstddef>
#include <string>
#include <string_view>
#include <system_error>
#include <utility>
#include <vector>

#include "filigree/core/concepts.hpp"
#include "filigree/io/file.hpp"
#include "filigree/io/file_kind.hpp"
#include "filigree/io/json_object_reader.hpp"
#include "filigree/io/number.hpp"
#include "filigree/io/utf8.hpp"

namespace filigree {

/// A JSON object, such as a configuration: keys and values in order. Values that are not changed are written as they
/// were read, and numbers keep their digits.
class JsonObject {
 public:
  using Entry = std::pair<std::string, std::string>;  // a key, and the JSON text of its value

  /// Makes an empty object. Error messages name the object `name`; readers set it to the file.
  explicit JsonObject(std::string name = "object") : name_(std::move(name)) {}
  /// Makes an object of entries. The keys must be UTF-8 and unique and the values JSON, which is not checked.
  JsonObject(std::string name, std::vector<Entry> entries) : name_(std::move(name)), entries_(std::move(entries)) {}

  [[nodiscard]] const std::string& name() const { return name_; }
  [[nodiscard]] bool contains(std::string_view key) const { return find(key) != entries_.end(); }
  [[nodiscard]] std::size_t size() const { return entries_.size(); }
  [[nodiscard]] auto begin() const { return entries_.begin(); }
  [[nodiscard]] auto end() const { return entries_.end(); }

  /// Returns the value of a key as a bool, Index, double, std::string or JsonObject.
  ///
  /// Throws     Error that names object and key if the key is missing or the value has another type; for an Index, also
  ///            if the number has a fraction or an exponent, or needs more than 64 bits
  template <class T>
  [[nodiscard]] T get(std::string_view key) const {
    const std::string& text = this->text(key);
    const auto require = [&](bool ok, const char* kind) {
      if (!ok) detail::fail(name_, ": ", detail::in_quotes(key), " must be ", kind, ", is ", shown(text));
    };
    if constexpr (std::same_as<T, bool>) {
      require(text == "true" || text == "false", "true or false");
      return text == "true";
    } else if constexpr (std::same_as<T, std::string>) {
      const auto json = nlohmann::json::parse(text, nullptr, false);  // values are not validated when they are set
      require(json.is_string(), "a string");
      return json.get<std::string>();
    } else if constexpr (std::same_as<T, JsonObject>) {
      require(text.starts_with('{'), "an object");
      const std::string inner = name_ + ": " + detail::in_quotes(key);
      return JsonObject(inner, detail::JsonObjectReader(text, inner).entries);
    } else if constexpr (std::same_as<T, double>) {
      double number = 0;
      const auto status = detail::parse_number(text, number);
      require(status != detail::NumberStatus::too_large, "a number that a double can hold");
      require(status == detail::NumberStatus::valid && std::isfinite(number), "a number");
      return number;
    } else {
      static_assert(std::same_as<T, Index>,
                    "object.get<T>(key): T must be bool, Index, double, std::string or JsonObject");
      T value = 0;
      const char* const end = text.data() + text.size();
      const auto read = std::from_chars(text.data(), end, value);
      require(read.ec == std::errc() && read.ptr == end, "a whole number of at most 63 bits");
      return value;
    }
  }

  /// Returns the value of a key, or `fallback` if the key is missing or its value is null.
  template <class T>
  [[nodiscard]] T get(std::string_view key, T fallback) const {
    const auto entry = find(key);
    return entry == entries_.end() || entry->second == "null" ? fallback : get<T>(key);
  }

  /// Returns the JSON text of the value of a key.
  ///
  /// Throws     Error if the key is missing
  [[nodiscard]] const std::string& text(std::string_view key) const {
    const auto entry = find(key);
    detail::require(entry != entries_.end(), name_, ": must have a key ", detail::in_quotes(key));
    return entry->second;
  }

  /// Sets the value of a key. An existing key keeps its position; a new key is appended.
  ///
  /// Throws     Error if a string is not UTF-8 or a number is not finite
  template <class T>
  void set(const std::string& key, const T& value) {
    (void)quoted(key);
    std::string text;
    if constexpr (std::same_as<T, bool>) {
      text = value ? "true" : "false";
    } else if constexpr (std::integral<T>) {
      text = std::to_string(value);
    } else if constexpr (std::floating_point<T>) {
      detail::require(std::isfinite(value), "object.set(key, value): a number must be finite, got ", value);
      text = nlohmann::json(value).dump();
    } else if constexpr (std::same_as<T, JsonObject>) {
      text = value.text();
    } else {
      text = quoted(std::string(value));
    }
    set(Entry(key, text));
  }

  /// Sets a key to the value of an entry of another object, unchanged.
  void set(const Entry& entry) {
    const auto old = find(entry.first);
    if (old == entries_.end())
      entries_.push_back(entry);
    else
      entries_[static_cast<std::size_t>(old - entries_.begin())] = entry;
  }

  /// Removes a key, if it is present.
  void erase(std::string_view key) {
    entries_.erase(std::remove_if(entries_.begin(), entries_.end(), [&](const Entry& e) { return e.first == key; }),
                   entries_.end());
  }

  /// Returns the object as JSON text, in the form of Python's json.dump.
  [[nodiscard]] std::string text() const {
    std::string result;
    for (const auto& [key, value] : entries_)
      result += (result.empty() ? "" : ", ") + detail::json_text(key) + ": " + value;
    return "{" + result + "}";
  }

 private:
  [[nodiscard]] std::vector<Entry>::const_iterator find(std::string_view key) const {
    return std::find_if(entries_.begin(), entries_.end(), [&](const Entry& entry) { return entry.first == key; });
  }
  static std::string shown(const std::string& value) {
    constexpr std::size_t max_size = 60;
    return value.size() <= max_size ? value : value.substr(0, max_size) + "...";
  }
  static std::string quoted(const std::string& text) {
    detail::require(detail::invalid_utf8(text) == std::string::npos,
                    "object.set(key, value): ", detail::in_quotes(text), " must be UTF-8");
    return detail::json_text(text);
  }

  std::string name_;
  std::vector<Entry> entries_;
};

namespace detail {

inline constexpr std::size_t max_json_size = std::size_t{1} << 20;

}  // namespace detail

/// Returns the object in the bytes of a .json file. Error messages name the file `name`.
///
/// Throws     Error if the file is longer than 1 MiB, is not JSON or not UTF-8, or is not an object; if it has a
///            duplicate key, a number beyond the range of double, or more than 32 levels
inline JsonObject parse_json(const Bytes& bytes, const std::string& name) {
  if (bytes.size() > 0 && bytes.text()[0] != '{') detail::require_format(bytes, name, "a JSON file");
  detail::require(bytes.size() <= detail::max_json_size, name, ": must have at most ", detail::max_json_size,
                  " bytes, has ", bytes.size());
  return {name, detail::JsonObjectReader(bytes.text(), name).entries};
}

/// Reads a .json file that contains an object.
///
/// Throws     Error if the file cannot be read, and for the reasons of parse_json
inline JsonObject load_json(const std::string& path) {
  return parse_json(read_file(path, detail::max_json_size), path);
}

/// Writes a .json file.
///
/// Throws     Error for the reasons of write_file
inline void save_json(const std::string& path, const JsonObject& object) {
  write_file(path, Bytes::copy(object.text()));
}

}  // namespace filigree
