// SPDX-License-Identifier: MIT
#pragma once

#include <cstring>
#include <string>
#include <string_view>
#include <type_traits>
#include <utility>

#include "filigree/core/check.hpp"
#include "filigree/core/concepts.hpp"

namespace filigree::detail {

/// Returns the name of a type as the compiler writes it, without the namespace filigree.
template <class T>
std::string type_name() {
  const std::string_view text = __PRETTY_FUNCTION__;
  const std::size_t begin = text.find("T = ") + 4, end = text.find("; std::string", begin);
  std::string name(text.substr(begin, (end == text.npos ? text.rfind(']') : end) - begin));
  for (std::size_t at = name.find("filigree::"); at != name.npos; at = name.find("filigree::")) name.erase(at, 10);
  return name;
}

template <class... Parts>
std::string text_of(const Parts&... parts) {
  std::string text;
  (MessagePart(parts).append_to(text), ...);
  return text;
}

/// Describes a stage or a term, such as "TopK(4)". It returns text(), if the type has this function, or the name of the
/// type. Options are appended if all of them are integers.
template <class T>
std::string stage_text(const T& stage) {
  if constexpr (requires { stage.text(); }) return stage.text();
  std::string text = type_name<T>();
  if constexpr (std::is_trivially_copyable_v<T> && std::has_unique_object_representations_v<T> && !std::is_empty_v<T> &&
                sizeof(T) % sizeof(Index) == 0) {
    Index numbers[sizeof(T) / sizeof(Index)];
    std::memcpy(numbers, &stage, sizeof numbers);
    const char* separator = "(";
    for (const Index number : numbers) text += text_of(std::exchange(separator, ", "), number);
    text += ")";
  }
  return text;
}

}  // namespace filigree::detail
