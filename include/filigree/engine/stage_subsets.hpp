// SPDX-License-Identifier: MIT
#pragma once

#include <cstddef>
#include <tuple>
#include <type_traits>
#include <utility>

#include "filigree/core/with_indices.hpp"
#include "filigree/stage/stage.hpp"

// Parts of a pipeline, as tuples of references to its stages.

namespace filigree::detail {

/// Returns references to stages [begin, end).
template <std::size_t begin, std::size_t end, class Stages>
auto stage_references(const Stages& stages) {
  return with_indices<end - begin>([&]<std::size_t... L>(std::index_sequence<L...>) {
    return std::tuple<const std::remove_cvref_t<std::tuple_element_t<begin + L, Stages>>&...>(
        std::get<begin + L>(stages)...);
  });
}
/// Returns references to the patterns among the first `end` stages, or to the other ones.
template <bool patterns, std::size_t end, std::size_t at = 0, class Stages>
auto references_if_patterns(const Stages& stages) {
  if constexpr (at == end) {
    return std::tuple<>();
  } else {
    using T = std::remove_cvref_t<std::tuple_element_t<at, Stages>>;
    if constexpr (PatternStage<T> == patterns)
      return std::tuple_cat(std::tuple<const T&>(std::get<at>(stages)),
                            references_if_patterns<patterns, end, at + 1>(stages));
    else
      return references_if_patterns<patterns, end, at + 1>(stages);
  }
}
template <std::size_t end, class Stages>
auto pattern_references(const Stages& stages) {
  return references_if_patterns<true, end>(stages);
}
template <std::size_t end, class Stages>
auto map_references(const Stages& stages) {
  return references_if_patterns<false, end>(stages);
}
/// The number of patterns at the beginning of a pipeline.
template <class Stages>
inline constexpr std::size_t leading_patterns = 0;
template <class T, class... More>
inline constexpr std::size_t leading_patterns<std::tuple<T, More...>> =
    PatternStage<T> ? 1 + leading_patterns<std::tuple<More...>> : 0;

}  // namespace filigree::detail
