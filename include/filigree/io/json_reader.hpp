// SPDX-License-Identifier: MIT
#pragma once

// Needs nlohmann-json (nlohmann-json3-dev in Debian), so filigree.hpp does not include this header.

#include <locale.h>

#include <nlohmann/json.hpp>
#include <string>
#include <string_view>

#include "filigree/core/check.hpp"

namespace filigree::detail {

/// Gives this thread the C locale until the end of the scope: nlohmann's parser reads numbers by strtod and expects a
/// decimal point of one byte.
class CLocale {
 public:
#if defined(_WIN32)
  CLocale() : of_threads_(_configthreadlocale(_ENABLE_PER_THREAD_LOCALE)), before_(setlocale(LC_NUMERIC, nullptr)) {
    setlocale(LC_NUMERIC, "C");
  }
  ~CLocale() {
    setlocale(LC_NUMERIC, before_.c_str());
    _configthreadlocale(of_threads_);
  }

 private:
  int of_threads_;
  std::string before_;

 public:
#else
  CLocale() : locale_(newlocale(LC_NUMERIC_MASK, "C", locale_t())), before_(uselocale(locale_)) {}
  ~CLocale() {
    uselocale(before_);
    if (locale_ != locale_t()) freelocale(locale_);
  }

 private:
  locale_t locale_, before_;

 public:
#endif
  CLocale(const CLocale&) = delete;
  CLocale& operator=(const CLocale&) = delete;
};

/// What readers of JSON refuse alike, and how they say so. A Reader has the functions that nlohmann's sax_parse calls
/// for one value after another, and where(), which begins its messages behind the name of the file.
///
/// The parser keeps a bit for each level, on the heap, so no text overflows the stack.
template <class Reader>
class JsonReader {
 public:
  bool binary(nlohmann::json::binary_t&) { detail::fail(file_, ": binary values are no JSON"); }
  bool parse_error(std::size_t place, const std::string&, const nlohmann::json::exception& error) {
    const std::string_view text = error.what();
    const std::size_t reason = text.find("syntax error");
    constexpr std::size_t most = 200;  // it quotes the file
    detail::fail(file_, ": byte ", begin_ + place, ": ", reader().where(),
                 "must be JSON: ", text.substr(reason == std::string_view::npos ? 0 : reason, most));
  }

 protected:
  /// `begin` is where the text is in the file.
  JsonReader(std::size_t begin, std::string_view file) : begin_(begin), file_(file) {}

  void parse(std::string_view text) {
    // The parser takes a byte of 0 for the end, whatever follows.
    require(text.find('\0') == std::string_view::npos, "must be JSON, has a byte of 0");
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
