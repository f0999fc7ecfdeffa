// SPDX-License-Identifier: MIT
#pragma once

#include <cstdint>

#include "filigree/core/requirements.hpp"

namespace filigree {

/// The addresses [begin, end) of some memory. They are numbers: g++ takes a pointer to const that is passed on for a
/// read of what it points to, and warns if that is not initialized.
struct AddressRange {
  std::uintptr_t begin = 0, end = 0;

  [[gnu::always_inline]] static AddressRange of(const void* begin, const void* end) {
    return {reinterpret_cast<std::uintptr_t>(begin), reinterpret_cast<std::uintptr_t>(end)};
  }
  [[nodiscard]] bool empty() const { return begin == end; }
  [[nodiscard]] bool overlaps(const AddressRange& other) const { return begin < other.end && other.begin < end; }
};

}  // namespace filigree
