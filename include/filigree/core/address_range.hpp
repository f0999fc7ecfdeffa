// SPDX-License-Identifier: MIT
#pragma once

#include <cstdint>

#include "filigree/core/requirements.hpp"

namespace filigree {

/// A range of addresses [begin, end). The addresses are stored as integers: when a pointer to const is passed on, g++
/// assumes that the memory is read, and warns if it is uninitialized.
struct AddressRange {
  std::uintptr_t begin = 0, end = 0;

  [[gnu::always_inline]] static AddressRange of(const void* begin, const void* end) {
    return {reinterpret_cast<std::uintptr_t>(begin), reinterpret_cast<std::uintptr_t>(end)};
  }
  [[nodiscard]] bool empty() const { return begin == end; }
  [[nodiscard]] bool overlaps(const AddressRange& other) const { return begin < other.end && other.begin < end; }
};

}  // namespace filigree
