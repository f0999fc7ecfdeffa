// SPDX-License-Identifier: MIT
#pragma once

#include <Eigen/SparseCore>

#include <concepts>
#include <utility>

#include "filigree/core/check.hpp"

namespace filigree::detail {

/// Where the entries of outer vector `outer` are: row `outer` of a matrix that is stored by rows, else a column. A
/// sparse vector has one outer vector.
template <class Sparse>
std::pair<Eigen::Index, Eigen::Index> entries_of(const Sparse& s, Eigen::Index outer) {
  using Eigen::Index;
  if (s.outerIndexPtr() == nullptr) return {0, s.nonZeros()};
  const auto begin = static_cast<Index>(s.outerIndexPtr()[outer]);
  const auto* const counts = s.innerNonZeroPtr();
  return {begin, counts == nullptr ? static_cast<Index>(s.outerIndexPtr()[outer + 1])
                                   : begin + static_cast<Index>(counts[outer])};
}

template <class X>
concept StoredSparse = std::derived_from<X, Eigen::SparseCompressedBase<X>>;

/// Checks the index arrays of a sparse matrix, which may come from anywhere (Eigen::Map) and which Eigen trusts.
///
/// Cost    O(entries)
/// Throws  Error that begins with `call` if the outer pointers descend or begin below 0, or an inner index is outside
///         the matrix or, where they must ascend, not above the one before it
template <class Sparse>
void require_valid_indices(const Sparse& s, const char* call, bool ascending) {
  using Eigen::Index;
  const char* const vector = Sparse::IsRowMajor ? "row" : "column";
  Index before = 0;
  for (Index o = 0; o < s.outerSize(); ++o) {
    const auto [begin, end] = entries_of(s, o);
    require(before <= begin && begin <= end, call, ": the entries of ", vector, " ", o, " must begin at ", before,
            " or later and not end before they begin, are ", begin, " to ", end);
    before = end;
  }
  // Now no range ends after the last one.
  const auto* const inner = s.innerIndexPtr();
  const Index size = s.innerSize();
  for (Index o = 0; o < s.outerSize(); ++o) {
    const auto [begin, end] = entries_of(s, o);
    bool inside = true, ascends = true;
    for (Index e = begin; e < end; ++e) inside &= Index{inner[e]} >= 0 && Index{inner[e]} < size;
    for (Index e = begin + 1; e < end; ++e) ascends &= inner[e - 1] < inner[e];
    if (inside && (ascends || !ascending)) continue;
    for (Index e = begin; e < end; ++e)
      require(inner[e] >= 0 && inner[e] < size, call, ": an index of ", vector, " ", o,
              " must be at least 0 and below ", size, ", got ", Index{inner[e]});
    fail(call, ": the inner indices must ascend in each row (or column); those of ", vector, " ", o,
         " do not. Transposing the matrix twice sorts them");
  }
}

/// The same of any samples or codes: dense ones, and sparse expressions that are not stored, have no index arrays.
template <class X>
void require_valid_samples(const X& x, const char* call) {
  if constexpr (StoredSparse<X>) require_valid_indices(x, call, false);
}

}  // namespace filigree::detail
