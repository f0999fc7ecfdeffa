// SPDX-License-Identifier: MIT
#pragma once

#include <cstddef>
#include <tuple>
#include <type_traits>

#include "filigree/pattern/algebra.hpp"
#include "filigree/pattern/keep.hpp"

namespace filigree::detail {

/// Returns the intersection of all patterns in a tuple of stages, which it refers to.
template <std::size_t at = 0, class Stages>
auto patterns_of(const Stages& stages) {
  if constexpr (at == std::tuple_size_v<Stages>) {
    return KeepAll{};
  } else {
    using Stage = std::remove_cvref_t<std::tuple_element_t<at, Stages>>;
    if constexpr (PatternStage<Stage>) {
      using Others = decltype(patterns_of<at + 1>(stages));
      return And<const Stage&, Others>{std::get<at>(stages), patterns_of<at + 1>(stages)};
    } else {
      return patterns_of<at + 1>(stages);
    }
  }
}

}  // namespace filigree::detail
