// SPDX-License-Identifier: MIT
#pragma once

#include <algorithm>
#include <initializer_list>
#include <string>
#include <string_view>
#include <utility>

#include "filigree/core/list.hpp"
#include "filigree/io/array.hpp"

namespace filigree {

/// Named arrays in an order, as one file holds them: for (const auto& [name, array] : arrays), arrays["name"].
class Arrays {
 public:
  using Entry = std::pair<std::string, NdArray>;

  Arrays() = default;

  /// Throws     Error if a name comes twice
  Arrays(std::initializer_list<Entry> entries) {
    for (const Entry& entry : entries) add(entry.first, entry.second);
  }

  /// `file` is what messages call the file that they come from.
  explicit Arrays(std::string file) : file_(std::move(file)) {}

  /// Throws     Error if there is one of that name
  void add(const std::string& name, NdArray array) {
    const Index at = place(name);
    const bool taken = at < order_.size() && entries_[order_[at]].first == name;
    detail::require(!taken, file_, ": must name each array once, has two named ", detail::in_quotes(name));
    order_.push_back(entries_.size());
    std::rotate(order_.begin() + at, order_.end() - 1, order_.end());
    entries_.push_back({name, std::move(array)});
  }

  /// Throws     Error that lists the names if none is that one
  const NdArray& operator[](std::string_view name) const& {
    const Index at = place(name);
    if (at == order_.size() || entries_[order_[at]].first != name) fail_missing(name);
    return entries_[order_[at]].second;
  }
  NdArray operator[](std::string_view name) && { return std::as_const(*this)[name]; }

  [[nodiscard]] bool contains(std::string_view name) const {
    const Index at = place(name);
    return at < order_.size() && entries_[order_[at]].first == name;
  }
  [[nodiscard]] std::size_t size() const { return static_cast<std::size_t>(entries_.size()); }
  [[nodiscard]] auto begin() const { return entries_.begin(); }
  [[nodiscard]] auto end() const { return entries_.end(); }

 private:
  /// The place of a name in the order, or where it belongs.
  [[nodiscard]] Index place(std::string_view name) const {
    const auto before = [&](Index entry, std::string_view wanted) { return entries_[entry].first < wanted; };
    return std::lower_bound(order_.begin(), order_.end(), name, before) - order_.begin();
  }

  [[noreturn]] void fail_missing(std::string_view name) const {
    std::string names;
    constexpr Index most = 20;
    for (Index i = 0; i < entries_.size() && i < most; ++i)
      names += (i > 0 ? ", " : "") + detail::in_quotes(entries_[i].first);
    detail::fail(file_, ": has no array ", detail::in_quotes(name), ", has ", names.empty() ? "none" : names,
                 entries_.size() > most ? ", ..." : "");
  }

  std::string file_ = "arrays";
  detail::List<Entry> entries_;
  detail::List<Index> order_;  // of the entries, by name
};

}  // namespace filigree
