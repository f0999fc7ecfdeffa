// SPDX-License-Identifier: MIT
#pragma once

#include <cstring>
#include <string>
#include <string_view>
#include <type_traits>
#include <utility>

#include "filigree/core/check.hpp"
#include "filigree/core/with_indices.hpp"
#include "filigree/nn/samples.hpp"
#include "filigree/nn/term.hpp"

// Descriptions of a training as text. A checkpoint stores them, so that a different training of the same size does not
// resume from it.

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

/// Describes the stages of a network and the widths between them: "16 | Linear<float> | 24 | TopK(4) | ...".
template <class Net>
std::string network_text(const Net& net) {
  std::string text = text_of(net.width(0));
  with_indices<Net::depth>([&]<std::size_t... L>(std::index_sequence<L...>) {
    ((text += text_of(" | ", stage_text(net.template stage<L>()), " | ", net.width(L + 1))), ...);
  });
  return text;
}

/// Describes the terms of an objective and their factors.
template <Term T>
std::string objective_text(const T& objective) {
  std::string text;
  each_term(objective, 1, [&](const auto& term, double factor) {
    text += text_of(text.empty() ? "" : " + ", factor, " ", stage_text(term));
  });
  return text;
}

/// Describes the shapes of samples and targets.
template <class X, class Y>
std::string samples_text(const X& x, const Y& y) {
  const auto kind = [](bool sparse) { return sparse ? " sparse" : " dense"; };
  return text_of(x.rows(), "x", x.cols(), kind(SparseSamples<X>), ", ", y.rows(), "x", y.cols(),
                 kind(SparseSamples<Y>));
}

}  // namespace filigree::detail
