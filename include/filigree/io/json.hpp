// SPDX-License-Identifier: MIT
#pragma once

// Needs nlohmann-json (nlohmann-json3-dev in Debian), so filigree.hpp does not include this header.

#include <algorithm>
#include <charconv>
#include <cmath>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "filigree/core/concepts.hpp"
#include "filigree/io/file.hpp"
#include "filigree/io/file_kind.hpp"
#include "filigree/io/json_object_reader.hpp"
#include "filigree/io/number.hpp"
#include "filigree/io/utf8.hpp"

namespace filigree {

/// The keys and values of a JSON object, in order, as configurations are kept: what nobody asks for is written as it
/// was read, numbers digit for digit.
class JsonObject {
 public:
  using Entry = std::pair<std::string, std::string>;  // a key, and the JSON text of its value

  /// `name` is what messages call it; readers put the file here.
  explicit JsonObject(std::string name = "object") : name_(std::move(name)) {}
  /// Keys must be UTF-8 and different, values JSON: nobody looks.
  JsonObject(std::string name, std::vector<Entry> entries) : name_(std::move(name)), entries_(std::move(entries)) {}

  [[nodiscard]] const std::string& name() const { return name_; }
  [[nodiscard]] bool contains(std::string_view key) const { return find(key) != entries_.end(); }
  [[nodiscard]] std::size_t size() const { return entries_.size(); }
  [[nodiscard]] auto begin() const { return entries_.begin(); }
  [[nodiscard]] auto end() const { return entries_.end(); }

  /// The value of a key as a bool, Index, double, std::string or JsonObject.
  ///
  /// Throws     Error that names object and key if there is none, or the value is another kind of thing; for an Index
  ///            also if it has a fraction or exponent, or needs more than 64 bits
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
      const auto json = nlohmann::json::parse(text, nullptr, false);  // a text that was set may be anything
      require(json.is_string(), "a text");
      return json.template get<std::string>();
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

  /// The same, or `fallback` where the key is not there or its value is null.
  template <class T>
  [[nodiscard]] T get(std::string_view key, T fallback) const {
    const auto entry = find(key);
    return entry == entries_.end() || entry->second == "null" ? fallback : get<T>(key);
  }

  /// The JSON text of a value.
  ///
  /// Throws     Error if there is no such key
  [[nodiscard]] const std::string& text(std::string_view key) const {
    const auto entry = find(key);
    detail::require(entry != entries_.end(), name_, ": must have a key ", detail::in_quotes(key));
    return entry->second;
  }

  /// Gives a key that value, in its old place or at the end.
  ///
  /// Throws     Error if a text is not UTF-8 or a number not finite
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

  /// The same with an entry of another object, as it is.
  void set(const Entry& entry) {
    const auto old = find(entry.first);
    if (old == entries_.end())
      entries_.push_back(entry);
    else
      entries_[static_cast<std::size_t>(old - entries_.begin())] = entry;
  }

  void erase(std::string_view key) {
    entries_.erase(std::remove_if(entries_.begin(), entries_.end(), [&](const Entry& e) { return e.first == key; }),
                   entries_.end());
  }

  /// The object in JSON, as Python's json.dump writes it.
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
    constexpr std::size_t most = 60;
    return value.size() <= most ? value : value.substr(0, most) + "...";
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

inline constexpr std::size_t largest_json = std::size_t{1} << 20;

}  // namespace detail

/// Returns an object from the bytes of a .json file; `name` is what messages call it.
///
/// Throws     Error if it is longer than 1 MiB, no JSON or not UTF-8, no object, has a key twice, a number that no
///            double holds, or more than 32 levels
inline JsonObject parse_json(const Bytes& bytes, const std::string& name) {
  if (bytes.size() > 0 && bytes.text()[0] != '{') detail::refuse_other_kind(bytes, name, "a JSON text");
  detail::require(bytes.size() <= detail::largest_json, name, ": must have at most ", detail::largest_json,
                  " bytes, has ", bytes.size());
  return {name, detail::JsonObjectReader(bytes.text(), name).entries};
}

/// Reads a .json file that holds an object.
///
/// Throws     Error if the file cannot be read, or as parse_json does
inline JsonObject load_json(const std::string& path) { return parse_json(read_file(path, detail::largest_json), path); }

/// Writes a .json file.
///
/// Throws     Error as write_file does
inline void save_json(const std::string& path, const JsonObject& object) {
  write_file(path, Bytes::copy(object.text()));
}

}  // namespace filigree
