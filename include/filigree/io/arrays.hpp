// SPDX-License-Identifier: MIT
#pragma once

#include <algorithm>
#include <cstddef>
#include <initializer_list>
#include <string>
#include <string_view>
#include <utility>

#include "filigree/core/list.hpp"
#include "filigree/io/array.hpp"

namespace filigree {

/// The named arrays of a file, in order: for (const auto& [name, array] : arrays), arrays["name"].
class Arrays {
 public:
  using Entry = std::pair<std::string, NdArray>;

  Arrays() = default;

  /// Makes a container of the given entries.
  ///
  /// Throws     Error if two entries have the same name
  Arrays(std::initializer_list<Entry> entries) {
    for (const Entry& entry : entries) add(entry.first, entry.second);
  }

  /// Makes an empty container. Error messages name the file `file`.
  explicit Arrays(std::string file) : file_(std::move(file)) {}

  /// Appends an array.
  ///
  /// Throws     Error if the name is already present
  void add(const std::string& name, NdArray array) {
    const Index at = position(name);
    const bool taken = at < order_.size() && entries_[order_[at]].first == name;
    detail::require(!taken, file_, ": must name each array once, has two named ", detail::in_quotes(name));
    order_.push_back(entries_.size());
    std::rotate(order_.begin() + at, order_.end() - 1, order_.end());
    entries_.push_back({name, std::move(array)});
  }

  /// Returns the array of the given name.
  ///
  /// Throws     Error that lists the existing names if there is no such array
  const NdArray& operator[](std::string_view name) const& {
    const Index at = position(name);
    if (at == order_.size() || entries_[order_[at]].first != name) fail_missing(name);
    return entries_[order_[at]].second;
  }
  NdArray operator[](std::string_view name) && { return std::as_const(*this)[name]; }

  [[nodiscard]] bool contains(std::string_view name) const {
    const Index at = position(name);
    return at < order_.size() && entries_[order_[at]].first == name;
  }
  [[nodiscard]] std::size_t size() const { return static_cast<std::size_t>(entries_.size()); }
  [[nodiscard]] auto begin() const { return entries_.begin(); }
  [[nodiscard]] auto end() const { return entries_.end(); }

 private:
  /// Returns the position of a name in the sorted order, or the position at which to insert it.
  [[nodiscard]] Index position(std::string_view name) const {
    const auto precedes = [&](Index entry, std::string_view x) { return entries_[entry].first < x; };
    return std::lower_bound(order_.begin(), order_.end(), name, precedes) - order_.begin();
  }

  [[noreturn]] void fail_missing(std::string_view name) const {
    std::string names;
    constexpr Index max_names = 20;
    for (Index i = 0; i < entries_.size() && i < max_names; ++i)
      names += (i > 0 ? ", " : "") + detail::in_quotes(entries_[i].first);
    detail::fail(file_, ": has no array ", detail::in_quotes(name), ", has ", names.empty() ? "none" : names,
                 entries_.size() > max_names ? ", ..." : "");
  }

  std::string file_ = "arrays";
  detail::List<Entry> entries_;
  detail::List<Index> order_;  // the indices of the entries, sorted by name
};

}  // namespace filigree
