// SPDX-License-Identifier: MIT
#pragma once

#include <Eigen/Core>

#include <algorithm>
#include <cstddef>
#include <cstring>
#include <initializer_list>
#include <limits>
#include <new>
#include <type_traits>
#include <utility>

#include "filigree/core/requirements.hpp"

namespace filigree::detail {

/// A growable array whose sizes and subscripts are Eigen::Index. It replaces std::vector at an eighth of the compile
/// time.
template <class T>
class List {
 public:
  using Index = Eigen::Index;

  List() = default;
  // These delegate to List(), so that the destructor runs and nothing leaks if copying an entry throws.
  explicit List(Index size, const T& value = T()) : List() { resize(size, value); }
  List(std::initializer_list<T> values) : List() { append(values.begin(), values.end()); }
  List(const List& other) : List() { append(other.begin(), other.end()); }
  List(List&& other) noexcept { swap(other); }
  List& operator=(const List& other) {
    if (this == &other) return *this;
    clear();
    append(other.begin(), other.end());
    return *this;
  }
  List& operator=(List&& other) noexcept {
    swap(other);
    return *this;
  }
  ~List() {
    clear();
    ::operator delete(data_);
  }

  [[nodiscard]] Index size() const { return size_; }
  [[nodiscard]] Index capacity() const { return capacity_; }
  [[nodiscard]] bool empty() const { return size_ == 0; }
  [[nodiscard]] T* data() { return data_; }
  [[nodiscard]] const T* data() const { return data_; }
  [[nodiscard]] T* begin() { return data_; }
  [[nodiscard]] const T* begin() const { return data_; }
  [[nodiscard]] T* end() { return data_ + size_; }
  [[nodiscard]] const T* end() const { return data_ + size_; }
  [[nodiscard]] T& back() { return data_[size_ - 1]; }
  T& operator[](Index i) { return data_[i]; }
  const T& operator[](Index i) const { return data_[i]; }

  void reserve(Index capacity) {
    if (capacity > capacity_) reallocate(capacity);
  }
  void push_back(T value) {
    if (size_ == capacity_) reallocate((std::max)(2 * capacity_, Index(8)));
    ::new (static_cast<void*>(data_ + size_)) T(std::move(value));
    ++size_;
  }
  /// Appends [first, last), which must not be part of this list.
  void append(const T* first, const T* last) {
    const Index count = last - first;
    if (size_ + count > capacity_) reallocate((std::max)(2 * capacity_, size_ + count));
    for (; first != last; ++first, ++size_) ::new (static_cast<void*>(data_ + size_)) T(*first);
  }
  void resize(Index size) {
    truncate(size);
    reserve(size);
    for (; size_ < size; ++size_) ::new (static_cast<void*>(data_ + size_)) T();
  }
  void resize(Index size, const T& value) {
    truncate(size);
    reserve(size);
    for (; size_ < size; ++size_) ::new (static_cast<void*>(data_ + size_)) T(value);
  }
  void assign(Index size, const T& value) {
    clear();
    resize(size, value);
  }
  void clear() { truncate(0); }
  void shrink_to_fit() {
    if (size_ < capacity_) reallocate(size_);
  }
  void swap(List& other) noexcept {
    std::swap(data_, other.data_);
    std::swap(size_, other.size_);
    std::swap(capacity_, other.capacity_);
  }

 private:
  /// Destroys the entries from position `size` on.
  void truncate(Index size) {
    if constexpr (std::is_trivially_destructible_v<T>)
      size_ = (std::min)(size_, size);
    else
      while (size_ > size) data_[--size_].~T();
  }
  static std::size_t bytes(Index count) {
    // NOLINTNEXTLINE(bugprone-sizeof-expression): T may be a pointer
    if (count > (std::numeric_limits<Index>::max)() / static_cast<Index>(sizeof(T))) throw std::bad_array_new_length();
    return static_cast<std::size_t>(count) * sizeof(T);  // NOLINT(bugprone-sizeof-expression): T may be a pointer
  }
  void reallocate(Index capacity) {
    T* const to = static_cast<T*>(::operator new(bytes(capacity)));
    if constexpr (std::is_trivially_copyable_v<T>) {
      if (size_ > 0) std::memcpy(static_cast<void*>(to), data_, bytes(size_));
    } else {
      for (Index i = 0; i < size_; ++i) {
        ::new (static_cast<void*>(to + i)) T(std::move(data_[i]));
        data_[i].~T();
      }
    }
    ::operator delete(data_);
    data_ = to;
    capacity_ = capacity;
  }

  T* data_ = nullptr;
  Index size_ = 0, capacity_ = 0;
};

/// A list of default-constructed entries whose addresses do not change when the list grows.
template <class T>
class StableList {
 public:
  StableList() = default;
  StableList(const StableList&) = delete;
  StableList& operator=(const StableList&) = delete;
  ~StableList() {
    for (const T* entry : entries_) delete entry;
  }

  [[nodiscard]] Eigen::Index size() const { return entries_.size(); }
  T& operator[](Eigen::Index i) const { return *entries_[i]; }
  /// Appends T().
  void grow() {
    if (entries_.size() == entries_.capacity()) entries_.reserve(2 * entries_.size() + 8);
    entries_.push_back(new T());
  }

 private:
  List<T*> entries_;
};

/// A view of consecutive entries of a list, valid while the list does not change.
template <class T>
struct Slice {
  const T *first = nullptr, *last = nullptr;

  [[nodiscard]] const T* begin() const { return first; }
  [[nodiscard]] const T* end() const { return last; }
  [[nodiscard]] bool empty() const { return first == last; }
  [[nodiscard]] Eigen::Index size() const { return last - first; }
  const T& operator[](Eigen::Index i) const { return first[i]; }
  [[nodiscard]] const T& back() const { return last[-1]; }
};

}  // namespace filigree::detail
