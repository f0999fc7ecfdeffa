// SPDX-License-Identifier: MIT
#pragma once

#include <cstddef>
#include <cstring>
#include <memory>
#include <span>
#include <string_view>
#include <utility>

#include "filigree/core/requirements.hpp"

namespace filigree {

/// An immutable sequence of bytes and its shared owner: a buffer or a mapped file. Without an owner, the caller keeps
/// the memory alive. Copies and slices share the bytes.
class Bytes {
 public:
  Bytes() = default;

  /// Refers to memory of the caller, which must outlive all copies and slices.
  explicit Bytes(std::span<const std::byte> view) : view_(view) {}
  /// Refers to memory that `owner` keeps alive.
  Bytes(std::span<const std::byte> view, std::shared_ptr<const void> owner) : view_(view), owner_(std::move(owner)) {}

  /// Allocates memory of the given size, which fill(std::span<std::byte>) writes.
  template <class Fill>
  static Bytes filled(std::size_t size, Fill&& fill) {
    const std::shared_ptr<std::byte[]> memory(new std::byte[size]);
    fill(std::span<std::byte>(memory.get(), size));
    return {std::span<const std::byte>(memory.get(), size), memory};
  }

  /// Copies a string.
  static Bytes copy(std::string_view text) {
    return filled(text.size(), [&](std::span<std::byte> to) {
      if (!to.empty()) std::memcpy(to.data(), text.data(), to.size());
    });
  }

  [[nodiscard]] const std::byte* data() const { return view_.data(); }
  [[nodiscard]] std::size_t size() const { return view_.size(); }
  [[nodiscard]] std::span<const std::byte> span() const { return view_; }
  [[nodiscard]] std::string_view text() const { return {reinterpret_cast<const char*>(data()), size()}; }

  /// Returns `size` bytes from `begin` on. The range must be valid.
  [[nodiscard]] Bytes slice(std::size_t begin, std::size_t size) const { return {view_.subspan(begin, size), owner_}; }

 private:
  std::span<const std::byte> view_;
  std::shared_ptr<const void> owner_;
};

}  // namespace filigree
