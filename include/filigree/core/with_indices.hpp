// SPDX-License-Identifier: MIT
#pragma once

#include <cstddef>
#include <utility>

namespace filigree::detail {

/// Calls f(std::index_sequence<0, ..., n - 1>()) and returns its result.
template <std::size_t n, class F>
constexpr decltype(auto) with_indices(F&& f) {
  return std::forward<F>(f)(std::make_index_sequence<n>());
}

}  // namespace filigree::detail
