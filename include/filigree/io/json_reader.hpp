// SPDX-License-Identifier: MIT
#pragma once

// Needs nlohmann-json (nlohmann-json3-dev in Debian), so filigree.hpp does not include this header.

#include <locale.h>

#include <cstddef>
#include <nlohmann/json.hpp>
#include <string>
#include <string_view>

#include "filigree/core/check.hpp"

namespace filigree::detail {

/// A scope in which this thread has the C locale. nlohmann's parser reads numbers by strtod and requires a decimal
/// point of one byte.
class CLocale {
 public:
#if defined(_WIN32)
  CLocale()
      : previous_mode_(_configthreadlocale(_ENABLE_PER_THREAD_LOCALE)), previous_(setlocale(LC_NUMERIC, nullptr)) {
    setlocale(LC_NUMERIC, "C");
  }
  ~CLocale() {
    setlocale(LC_NUMERIC, previous_.c_str());
    _configthreadlocale(previous_mode_);
  }

 private:
  int previous_mode_;
  std::string previous_;

 public:
#else
  CLocale() : locale_(newlocale(LC_NUMERIC_MASK, "C", locale_t())), previous_(uselocale(locale_)) {}
  ~CLocale() {
    uselocale(previous_);
    if (locale_ != locale_t()) freelocale(locale_);
  }

 private:
  locale_t locale_, previous_;

 public:
#endif
  CLocale(const CLocale&) = delete;
  CLocale& operator=(const CLocale&) = delete;
};

/// The base class of JSON readers: parsing and error messages.
///
/// The derived class Reader has the functions that nlohmann's sax_parse calls for each value, and where(), the text
/// that follows the file name in messages. The parser stores one bit for each nesting level on the heap, so deep
/// nesting does not overflow the stack.
template <class Reader>
class JsonReader {
 public:
  bool binary(nlohmann::json::binary_t&) { detail::fail(file_, ": binary values are not JSON"); }
  bool parse_error(std::size_t at, const std::string&, const nlohmann::json::exception& error) {
    const std::string_view text = error.what();
    const std::size_t reason = text.find("syntax error");
    constexpr std::size_t max_size = 200;  // the text quotes the file
    detail::fail(file_, ": byte ", begin_ + at, ": ", reader().where(),
                 "must be JSON: ", text.substr(reason == std::string_view::npos ? 0 : reason, max_size));
  }

 protected:
  /// The text begins at byte `begin` of the file.
  JsonReader(std::size_t begin, std::string_view file) : begin_(begin), file_(file) {}

  void parse(std::string_view text) {
    // The parser would ignore everything after a zero byte.
    require(text.find('\0') == std::string_view::npos, "must be JSON, has a zero byte");
    const CLocale locale;
    nlohmann::json::sax_parse(text.begin(), text.end(), static_cast<Reader*>(this));
  }

  template <class... Parts>
  [[noreturn]] void fail(const Parts&... parts) const {
    detail::fail(file_, ": ", reader().where(), parts...);
  }
  template <class... Parts>
  void require(bool ok, const Parts&... parts) const {
    if (!ok) [[unlikely]]
      fail(parts...);
  }

 private:
  [[nodiscard]] const Reader& reader() const { return static_cast<const Reader&>(*this); }

  std::size_t begin_;
  std::string_view file_;
};

}  // namespace filigree::detail
