// SPDX-License-Identifier: MIT
#pragma once

// Needs nlohmann-json (nlohmann-json3-dev in Debian), so filigree.hpp does not include this header.

#include <cstddef>
#include <cstdint>
#include <set>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "filigree/io/cursor.hpp"
#include "filigree/io/json_reader.hpp"
#include "filigree/io/utf8.hpp"

namespace filigree::detail {

/// Returns a string as a JSON string literal in ASCII.
///
/// Throws     Error if the string is not UTF-8
inline std::string json_text(const std::string& text) {
  require(invalid_utf8(text) == std::string::npos, "JSON: ", in_quotes(text), " must be UTF-8");
  return nlohmann::json(text).dump(-1, ' ', true);
}

/// A reader of the keys of a JSON object and the texts of their values, in order. The texts are normalized to the form
/// of Python's json.dump; numbers keep their digits.
class JsonObjectReader : public JsonReader<JsonObjectReader> {
 public:
  static constexpr std::size_t max_depth = 32;
  std::vector<std::pair<std::string, std::string>> entries;

  JsonObjectReader(std::string_view text, std::string_view file) : JsonReader(0, file) { parse(text); }

  [[nodiscard]] std::string where() const { return levels_.size() < 2 ? "" : in_quotes(entries.back().first) + ": "; }

  bool key(std::string& text) {
    require(levels_.back().keys.insert(text).second, "the key ", in_quotes(text), " occurs twice");
    if (levels_.size() == 1)
      entries.emplace_back(text, "");
    else
      entries.back().second += separator() + json_text(text) + ": ";
    return true;
  }

  bool start_object(std::size_t) {
    if (!levels_.empty()) begin_value("{");
    return enter(false);
  }
  bool start_array(std::size_t) {
    begin_value("[");
    return enter(true);
  }
  bool end_object() { return end_level("}"); }
  bool end_array() { return end_level("]"); }

  bool null() { return begin_value("null"); }
  bool boolean(bool value) { return begin_value(value ? "true" : "false"); }
  bool number_integer(std::int64_t number) { return begin_value(std::to_string(number)); }
  bool number_unsigned(std::uint64_t number) { return begin_value(std::to_string(number)); }
  bool number_float(double, const std::string& text) { return begin_value(text); }
  bool string(std::string& text) { return begin_value(json_text(text)); }

 private:
  struct Level {
    bool list = false, empty = true;
    std::set<std::string> keys = {};
  };

  const char* separator() { return std::exchange(levels_.back().empty, false) ? "" : ", "; }
  bool begin_value(const std::string& text) {
    require(!levels_.empty(), "must be an object, {...}");
    if (levels_.back().list) entries.back().second += separator();
    entries.back().second += text;
    return true;
  }
  bool enter(bool list) {
    require(levels_.size() < max_depth, "objects and lists must be nested at most ", max_depth, " deep");
    levels_.push_back({.list = list});
    return true;
  }
  bool end_level(const char* end) {
    levels_.pop_back();
    if (!levels_.empty()) entries.back().second += end;
    return true;
  }

  std::vector<Level> levels_;
};

}  // namespace filigree::detail
