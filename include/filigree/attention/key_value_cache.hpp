// SPDX-License-Identifier: MIT
#pragma once

#include <algorithm>
#include <cstdint>
#include <limits>
#include <type_traits>
#include <utility>

#include "filigree/attention/key_value_store.hpp"
#include "filigree/attention/scores.hpp"
#include "filigree/core/integers.hpp"
#include "filigree/engine/softmax_state.hpp"
#include "filigree/stage/ranges.hpp"

namespace filigree {

template <class T>
class KeyValueCache;

namespace detail {
template <class T>
struct CacheContents;
}  // namespace detail

/// The keys of one head of a cache, as they are when they are read: scores(Q, cache.head(i)). The cache must outlive
/// them.
template <class T>
class CacheKeys {
 public:
  using Scalar = T;

  CacheKeys(const KeyValueCache<T>& cache, Index head) : cache_(&cache), head_(head) {}

  [[nodiscard]] Index rows() const { return cache_->rows(); }
  [[nodiscard]] Index cols() const { return cache_->d(); }
  // Returns the keys as engines read them, until the cache changes.
  [[nodiscard]] auto panels() const { return cache_->panels(head_); }

 private:
  const KeyValueCache<T>* cache_;
  Index head_;
};

/// The values of one head of a cache, as they are when they are read: A * cache.values(i). The cache must outlive them.
template <class T>
class CacheValues {
 public:
  using Scalar = T;

  CacheValues(const KeyValueCache<T>& cache, Index head) : cache_(&cache), head_(head) {}

  [[nodiscard]] Index rows() const { return cache_->rows(); }
  [[nodiscard]] Index cols() const { return cache_->dv(); }
  // Returns the values as engines read them, until the cache changes.
  [[nodiscard]] auto value_rows() const { return cache_->value_rows(head_); }

 private:
  const KeyValueCache<T>* cache_;
  Index head_;
};

namespace detail {

template <class T>
inline constexpr bool is_packed<CacheKeys<T>> = true;
template <class T>
struct KeysOf<CacheKeys<T>, ComputedScalar<T>> {
  using type = PanelKeys<ComputedScalar<T>>;
  static type bind(const CacheKeys<T>& k) { return {k.panels()}; }
};

}  // namespace detail

/// Options of key_value_cache.
struct cache_options {
  Index capacity = 0;  ///< number of rows for which memory is allocated now
};

/// The keys and values of a sequence, for hkv key heads. Rows are appended as the sequence grows. Row j is the key and
/// the value at position j, also after slide() has dropped others.
///
/// Keys are packed when they are appended, and never again. Copies of a cache share its memory, until one of them is
/// written: appending to a cache that shares memory copies its rows first. A T of 16 bits is widened in registers as it
/// is used, or a panel at a time for many queries; sums are sums of floats. Appended numbers are rounded to T, to
/// nearest, ties to even; what is too large for half becomes infinite. Threads may read one cache, and write caches of
/// their own that share its memory.
/// Cost      append: O(rows appended); memory doubles when it is full, and nothing is allocated below the capacity
template <class T>
class KeyValueCache {
  using Block = detail::KeyValueBlock<T>;

 public:
  using Scalar = T;
  using Computed = detail::ComputedScalar<T>;  // the scalar of queries and results

  KeyValueCache(Index hkv, Index d, Index dv, const cache_options& options = {}) : shape_{hkv, d, dv} {
    constexpr Index max_heads = 65536, max_size = Index{1} << 32;
    const auto require = [](bool ok, const char* name, Index least, Index most, Index got) {
      detail::require(ok, "key_value_cache(hkv, d, dv, {.capacity}): ", name, " must be between ", least, " and ", most,
                      ", got ", got);
    };
    require(hkv >= 1 && hkv <= max_heads, "hkv", 1, max_heads, hkv);
    require(d >= 0 && d <= max_size, "d", 0, max_size, d);
    require(dv >= 0 && dv <= max_size, "dv", 0, max_size, dv);
    require(options.capacity >= 0 && options.capacity <= max_rows, "capacity", 0, max_rows, options.capacity);
    block_ = Block(shape_, options.capacity);
  }
  KeyValueCache(const KeyValueCache& other) = default;
  // Leaves the other cache empty and without memory.
  KeyValueCache(KeyValueCache&& other) noexcept
      : shape_(other.shape_),
        block_(std::move(other.block_)),
        rows_(std::exchange(other.rows_, 0)),
        dropped_(std::exchange(other.dropped_, Range{})),
        gap_(std::exchange(other.gap_, detail::RowGap{})) {}
  KeyValueCache& operator=(KeyValueCache other) noexcept {
    std::swap(shape_, other.shape_);
    std::swap(block_, other.block_);
    std::swap(rows_, other.rows_);
    std::swap(dropped_, other.dropped_);
    std::swap(gap_, other.gap_);
    return *this;
  }
  ~KeyValueCache() = default;

  /// Returns the number of key heads.
  [[nodiscard]] Index heads() const { return shape_.hkv; }
  /// Returns the number of features of a key.
  [[nodiscard]] Index d() const { return shape_.d; }
  /// Returns the number of features of a value.
  [[nodiscard]] Index dv() const { return shape_.dv; }
  /// Returns the number of rows that were appended: the position of the next row. It includes dropped rows.
  [[nodiscard]] Index rows() const { return rows_; }
  /// Returns the range of the rows that slide() has dropped. They are absent for every query.
  [[nodiscard]] Range dropped() const { return dropped_; }
  /// Returns the number of rows for which there is memory.
  [[nodiscard]] Index capacity() const { return block_.capacity(); }

  /// Appends rows. A compile-time vector is one row.
  ///
  /// Shapes    K: n x (hkv d), V: n x (hkv dv); head i has columns i d, ..., (i + 1) d - 1 of K
  /// Edge case n = 0 changes nothing
  /// Throws    Error if the shapes do not fit, or with more than 2^31 - 1025 rows. The cache is unchanged then, and
  ///           after an exception of an expression
  template <DenseExpression K, DenseExpression V>
  void append(const K& k, const V& v) {
    static_assert(
        StoredReal<typename K::Scalar, Computed> && StoredReal<typename V::Scalar, Computed>,
        "filigree: cache.append(K, V): K and V must have the scalar of the queries, or half or bfloat16; cast one with "
        ".cast<>()");
    const auto keys = detail::reader_of<true>(k);
    const auto values = detail::reader_of<true>(v);
    const auto [hkv, d, dv] = shape_;
    detail::require(keys.cols() == hkv * d, "cache.append(K, V): K.cols() = ", keys.cols(), " must equal hkv d = ", hkv,
                    " * ", d);
    detail::require(values.cols() == hkv * dv, "cache.append(K, V): V.cols() = ", values.cols(),
                    " must equal hkv dv = ", hkv, " * ", dv);
    const Index count = keys.rows();
    detail::require(values.rows() == count, "cache.append(K, V): V.rows() = ", values.rows(),
                    " must equal K.rows() = ", count);
    detail::require(count <= max_rows - rows_, "cache.append(K, V): the cache must have at most ", max_rows,
                    " rows, would have ", rows_, " + ", count);
    if (count == 0) return;
    reserve_own(count);
    detail::write_rows(block_, shape_, gap_.place(rows_), keys, values);
    rows_ += count;
  }

  /// Keeps the first `rows` rows.
  ///
  /// Throws    Error unless 0 <= rows <= rows(), or if the last of these rows was dropped
  void truncate(Index rows) { truncate(rows, "cache.truncate(rows)"); }

  /// Removes all rows. The memory is kept.
  void clear() { truncate(0); }

  /// Drops the rows below `first`, which no later query needs. The other rows keep their positions.
  ///
  /// A dropped row is absent for every query, as if each pipeline began with a pattern that does not keep it. Routers
  /// read it as zeros; block_top_k scores a block by the rows that remain. Memory is used again when the cache is full,
  /// in blocks of 512 rows.
  /// Throws    Error unless 0 <= first <= rows()
  void slide(Index first) {
    detail::require(first >= 0 && first <= rows_, "cache.slide(first): first must be between 0 and the ", rows_,
                    " rows of the cache, got ", first);
    if (first > 0) dropped_ = {0, (std::max)(first, dropped_.end)};
  }
  /// Drops the rows that streaming(sinks, recent) cannot keep for later queries, for any recent <= window + 1: all but
  /// the first `sinks` rows and the last `window` rows. The others keep their positions, so the result of a pattern
  /// that does not keep the dropped rows has the same bits as before.
  ///
  /// Cost      with a capacity of sinks + 2 window + 1024 rows, O(1) copies of a row for each row appended, amortized
  /// Edge case drops nothing if the cache has at most sinks + window rows, or if rows would remain between these rows
  ///           and others that were dropped before
  /// Throws    Error if sinks < 0 or window < 0, or if some of the first `sinks` rows were dropped before
  /// Reference Xiao et al., arXiv:2309.17453, section 3.2
  void slide(Index sinks, Index window) {
    detail::require(sinks >= 0, "cache.slide(sinks, window): sinks must be at least 0, got ", sinks);
    detail::require(window >= 0, "cache.slide(sinks, window): window must be at least 0, got ", window);
    const bool is_first = dropped_.begin == dropped_.end;
    detail::require(is_first || sinks <= dropped_.begin, "cache.slide(sinks, window): sinks must be at most ",
                    dropped_.begin, ", since rows ", dropped_.begin, " to ", dropped_.end - 1,
                    " were dropped before, got ", sinks);
    if (window >= rows_ || sinks >= rows_ - window || (!is_first && rows_ - window < dropped_.begin)) return;
    dropped_ = {sinks, (std::max)(rows_ - window, dropped_.end)};
  }

  /// Returns a cache of the first `rows` rows. Both share the memory, until one of them is written.
  ///
  /// Cost      O(1); the first append to one of them copies its rows
  /// Throws    Error unless 0 <= rows <= rows(), or if the last of these rows was dropped
  [[nodiscard]] KeyValueCache fork(Index rows) const {
    KeyValueCache copy = *this;
    copy.truncate(rows, "cache.fork(rows)");
    return copy;
  }

  /// Returns the keys of head i: scores(Q, cache.head(i)). They are read when the result is computed.
  [[nodiscard]] CacheKeys<T> head(Index i) const& {
    check_head(i, "cache.head(i)");
    return {*this, i};
  }
  /// Returns the values of head i: A * cache.values(i). They are read when the result is computed.
  [[nodiscard]] CacheValues<T> values(Index i) const& {
    check_head(i, "cache.values(i)");
    return {*this, i};
  }
  void head(Index) && = delete;  // the keys refer to the cache
  void values(Index) && = delete;

  // Returns the number of rows in memory of a cache whose dropped rows need as little memory as possible.
  static Index rows_in_memory(Index rows, const Range& dropped) { return gap_of(dropped).place(rows); }
  // Returns the keys of head i as engines read them, until the cache changes.
  [[nodiscard]] detail::PackedPanels<Computed> panels(Index i) const {
    const Index width = kernel::kernels<Computed>().width;
    if constexpr (Real<T>)
      return {block_.keys(i), rows_, shape_.d, width, {}, dropped_, gap_};
    else
      return {nullptr, rows_, shape_.d, width, stored(block_.keys(i)), dropped_, gap_};
  }
  // Returns the values of head i as engines read them, until the cache changes.
  [[nodiscard]] detail::ValueRows<Computed> value_rows(Index i) const {
    const Index padded = shape_.padded();
    if constexpr (Real<T>)
      return {block_.values(i), padded, shape_.dv, padded, {}, gap_};
    else
      return {nullptr, padded, shape_.dv, padded, stored(block_.values(i)), gap_};
  }

 private:
  friend struct detail::CacheContents<T>;
  static constexpr Index max_rows = (std::numeric_limits<Column>::max)() - 1024;

  static kernel::StoredNumbers<float> stored(const T* numbers) {
    return {reinterpret_cast<const std::uint16_t*>(numbers), detail::storage_of<T>, kernel::stored_kernels<float>()};
  }
  void truncate(Index rows, const char* call) {
    detail::require(rows >= 0 && rows <= rows_, call, ": rows must be between 0 and the ", rows_,
                    " rows of the cache, got ", rows);
    detail::require(rows <= dropped_.begin || rows >= dropped_.end, call, ": rows must be at most ", dropped_.begin,
                    " or at least ", dropped_.end, ", since the rows between were dropped, got ", rows);
    rows_ = rows;
    if (rows >= dropped_.end) return;
    dropped_ = {};
    gap_ = {};
  }
  void check_head(Index i, const char* call) const {
    detail::require(i >= 0 && i < shape_.hkv, call, ": i must be between 0 and ", shape_.hkv - 1, ", got ", i);
  }
  /// Returns the whole chunks of dropped rows. Those need no memory.
  static detail::RowGap gap_of(const Range& dropped) {
    constexpr Index chunk = detail::SoftmaxChunk::keys;
    const Index begin = detail::round_up(dropped.begin, chunk), end = dropped.end / chunk * chunk;
    return {begin, (std::max)(end - begin, Index{0})};
  }
  /// Ensures that there is memory for `count` more rows which no other cache reads.
  void reserve_own(Index count) {
    const Index capacity = block_.capacity();
    const bool is_owned = block_.is_owned();
    if (is_owned && gap_.place(rows_) + count <= capacity) return;
    // The rows after the dropped rows move to the place of these.
    const detail::RowGap next_gap = gap_of(dropped_);
    const Index needed = next_gap.place(rows_) + count;
    const Index first = (std::min)(next_gap.begin + next_gap.size, rows_), from = gap_.place(first),
                to = next_gap.begin;
    if (is_owned && needed <= capacity) {
      block_.copy(block_, shape_, from, next_gap.place(first), rows_ - first);
    } else {
      Block next(shape_, needed <= capacity ? capacity : (std::min)((std::max)(needed, 2 * capacity), max_rows));
      next.copy(block_, shape_, 0, 0, (std::min)(next_gap.begin, rows_));
      if (next_gap.begin < rows_) next.copy(block_, shape_, from, to, rows_ - first);
      block_ = std::move(next);
    }
    gap_ = next_gap;
  }

  typename Block::Shape shape_;
  Block block_;
  Index rows_ = 0;
  Range dropped_{};       // rows
  detail::RowGap gap_{};  // the dropped rows that are not in memory
};

/// Returns an empty cache of keys and values: key_value_cache(8, 128, 128, {.capacity = 4096}).
///
/// Shapes    hkv key heads, keys of d and values of dv features
/// Throws    Error unless 1 <= hkv <= 65536, 0 <= d, dv <= 2^32 and 0 <= capacity <= 2^31 - 1025
template <class T = float>
KeyValueCache<T> key_value_cache(Index hkv, Index d, Index dv, const cache_options& options = {}) {
  static_assert(StoredReal<T, detail::ComputedScalar<T>>,
                "filigree: key_value_cache<T>: T must be float, double, half or bfloat16");
  return {hkv, d, dv, options};
}

}  // namespace filigree
