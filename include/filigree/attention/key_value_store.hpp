// SPDX-License-Identifier: MIT
#pragma once

#include <algorithm>
#include <atomic>
#include <type_traits>
#include <utility>

#include "filigree/core/buffer.hpp"
#include "filigree/core/integers.hpp"
#include "filigree/engine/panels.hpp"
#include "filigree/engine/values.hpp"

// The memory of a cache of keys and values.

namespace filigree::detail {

/// The scalar in which keys and values that are stored as T are computed.
template <class T>
using ComputedScalar = std::conditional_t<Real<T>, T, float>;

/// Memory for the keys and values of `capacity` rows, which several caches may share. Head i has its keys as panels
/// [.][d][width] at keys + i * key_stride, and its values as rows [.][padded] at values + i * value_stride.
///
/// The caches that share a block read it. Only the single owner of a block writes to it.
template <class T>
class KeyValueBlock {
 public:
  using S = ComputedScalar<T>;
  /// The numbers of a row.
  struct Shape {
    Index hkv, d, dv;

    [[nodiscard]] Index padded() const { return round_up(dv, Index(kernel::kernels<S>().lanes)); }
  };

  KeyValueBlock() = default;
  /// Allocates memory for at least `capacity` rows.
  KeyValueBlock(const Shape& shape, Index capacity) : block_(new Block) {
    try {
      allocate(shape, capacity);
    } catch (...) {
      delete block_;
      throw;
    }
  }
  KeyValueBlock(const KeyValueBlock& other) noexcept : block_(other.block_) {
    if (block_ != nullptr) block_->owners.fetch_add(1, std::memory_order_relaxed);
  }
  KeyValueBlock(KeyValueBlock&& other) noexcept : block_(std::exchange(other.block_, nullptr)) {}
  KeyValueBlock& operator=(KeyValueBlock other) noexcept {
    std::swap(block_, other.block_);
    return *this;
  }
  ~KeyValueBlock() {
    if (block_ != nullptr && block_->owners.fetch_sub(1, std::memory_order_acq_rel) == 1) delete block_;
  }

  [[nodiscard]] Index capacity() const { return block_ != nullptr ? block_->capacity : 0; }
  /// Returns true if no other cache reads the block. What others have read before happens before this returns true.
  [[nodiscard]] bool is_owned() const {
    return block_ != nullptr && block_->owners.load(std::memory_order_acquire) == 1;
  }
  /// Returns the keys of a head, or null without memory.
  [[nodiscard]] const T* keys(Index head) const {
    return block_ != nullptr ? block_->keys.template data<T>() + head * block_->key_stride : nullptr;
  }
  [[nodiscard]] T* keys(Index head) { return const_cast<T*>(std::as_const(*this).keys(head)); }
  /// Returns the values of a head, or null without memory.
  [[nodiscard]] const T* values(Index head) const {
    return block_ != nullptr ? block_->values.template data<T>() + head * block_->value_stride : nullptr;
  }
  [[nodiscard]] T* values(Index head) { return const_cast<T*>(std::as_const(*this).values(head)); }
  /// Memory for the numbers of one row of K or V, or of one panel.
  [[nodiscard]] S* scratch() { return block_->scratch.template data<S>(); }
  /// Memory for the numbers of one row of K or V, as they are stored.
  [[nodiscard]] T* narrowed() { return block_->narrowed.template data<T>(); }

  /// Copies the rows [from, from + count) of a block of this shape, which may be this block, to the rows from `to` on.
  /// `from` and `to` are multiples of the width of a panel, and to <= from.
  void copy(const KeyValueBlock& other, const Shape& shape, Index from, Index to, Index count) {
    const Index padded = shape.padded(), d = shape.d, whole = round_up(count, Index(kernel::kernels<S>().width));
    for (Index i = 0; i < shape.hkv; ++i) {
      if (whole * d > 0) std::copy(other.keys(i) + from * d, other.keys(i) + (from + whole) * d, keys(i) + to * d);
      if (count * padded > 0)
        std::copy(other.values(i) + from * padded, other.values(i) + (from + count) * padded, values(i) + to * padded);
    }
  }

 private:
  struct Block {
    std::atomic<Index> owners{1};
    Index capacity = 0, key_stride = 0, value_stride = 0;
    Buffer keys, values, scratch, narrowed;
  };

  void allocate(const Shape& shape, Index capacity) {
    const Index width = kernel::kernels<S>().width;
    block_->capacity = round_up(capacity, width);
    block_->key_stride = size_product(block_->capacity, shape.d);
    block_->value_stride = size_product(block_->capacity, shape.padded());
    (void)block_->keys.template get<T>(size_product(shape.hkv, block_->key_stride));
    (void)block_->values.template get<T>(size_product(shape.hkv, block_->value_stride));
    const Index row = size_product(shape.hkv, (std::max)(shape.d, shape.dv));
    (void)block_->scratch.template get<S>((std::max)(row, size_product(width, shape.d)));
    if constexpr (!Real<T>) (void)block_->narrowed.template get<T>(row);
  }

  Block* block_ = nullptr;
};

/// Writes the rows of K and V into a block, from row `rows` on, without changing the rows before.
///
/// K and V are read by MemoryReader or CoefficientReader, and have hkv d and hkv dv columns.
template <class T, class K, class V>
void write_rows(KeyValueBlock<T>& block, const typename KeyValueBlock<T>::Shape& shape, Index rows, const K& k,
                const V& v) {
  using S = ComputedScalar<T>;
  const auto& kernels = kernel::kernels<S>();
  const auto [hkv, d, dv] = shape;
  const Index width = kernels.width, padded = shape.padded(), count = k.rows();
  S* const row = block.scratch();
  const auto stored = [&](Index size) -> const T* {
    if constexpr (Real<T>) {
      return row;
    } else {
      narrow(row, size, block.narrowed());
      return block.narrowed();
    }
  };
  for (Index i = 0; i < count && d > 0;) {
    const Index panel = (rows + i) / width, lane = (rows + i) % width;
    if constexpr (K::direct && std::is_same_v<typename K::Scalar, S>)
      if (lane == 0 && count - i >= width && k.contiguous_rows()) {  // a whole panel
        for (Index h = 0; h < hkv; ++h) {
          T* to = block.keys(h) + panel * d * width;
          S* packed = row;
          if constexpr (Real<T>) packed = to;
          kernels.pack_panel(k.data() + i * k.row_stride() + h * d, k.row_stride(), width, d, packed);
          if constexpr (!Real<T>) narrow(packed, width * d, to);
        }
        i += width;
        continue;
      }
    read_row(k, i, row);
    const T* numbers = stored(hkv * d);
    for (Index h = 0; h < hkv; ++h) {
      T* to = block.keys(h) + panel * d * width;
      if (lane == 0) std::fill_n(to, d * width, T(0));
      for (Index f = 0; f < d; ++f) to[f * width + lane] = numbers[h * d + f];
    }
    ++i;
  }
  for (Index i = 0; i < count && dv > 0; ++i) {
    read_row(v, i, row);
    const T* numbers = stored(hkv * dv);
    for (Index h = 0; h < hkv; ++h) {
      T* to = block.values(h) + (rows + i) * padded;
      std::copy_n(numbers + h * dv, dv, to);
      std::fill(to + dv, to + padded, T(0));
    }
  }
}

}  // namespace filigree::detail
