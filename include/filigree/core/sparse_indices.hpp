// SPDX-License-Identifier: MIT
#pragma once

#include <Eigen/SparseCore>

#include <concepts>
#include <utility>

#include "filigree/core/check.hpp"

namespace filigree::detail {

/// Returns the range of entries of the given outer vector: a row of a row-major matrix, or a column of a column-major
/// matrix. A sparse vector is one outer vector.
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

/// Checks the index arrays of a sparse matrix. They may be user data (Eigen::Map), and Eigen does not check them.
///
/// Cost    O(entries)
/// Throws  Error that begins with `call` if the outer pointers decrease or are negative, if an inner index is out of
///         range, or if `ascending` is set and the inner indices of an outer vector do not increase strictly
template <class Sparse>
void require_valid_indices(const Sparse& s, const char* call, bool ascending) {
  using Eigen::Index;
  const char* const vector = Sparse::IsRowMajor ? "row" : "column";
  Index previous_end = 0;
  for (Index o = 0; o < s.outerSize(); ++o) {
    const auto [begin, end] = entries_of(s, o);
    require(previous_end <= begin && begin <= end, call, ": the entries of ", vector, " ", o, " must begin at ",
            previous_end, " or later and not end before they begin, are ", begin, " to ", end);
    previous_end = end;
  }
  // From here on, all ranges are known to be inside the range of entries.
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

/// Checks the index arrays of samples or codes, if x has any. Dense matrices and unevaluated sparse expressions have
/// none.
template <class X>
void require_valid_samples(const X& x, const char* call) {
  if constexpr (StoredSparse<X>) require_valid_indices(x, call, false);
}

}  // namespace filigree::detail
