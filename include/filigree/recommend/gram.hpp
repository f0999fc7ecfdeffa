// SPDX-License-Identifier: MIT
#pragma once

#include <Eigen/SparseCore>
#include <algorithm>
#include <cmath>
#include <type_traits>

#include "filigree/core/integers.hpp"
#include "filigree/core/sparse_indices.hpp"
#include "filigree/nn/samples.hpp"
#include "filigree/run/workspace.hpp"

namespace filigree {

/// Interactions: a sparse matrix of float or double with a row for each user and a column for each item, in any layout.
template <class X>
concept Interactions = SparseSamples<X> && Real<typename X::Scalar>;

namespace detail {

/// Items x items, in double.
using GramMatrix = Eigen::Matrix<double, Eigen::Dynamic, Eigen::Dynamic, Eigen::RowMajor>;

/// Throws an Error if the indices of X do not ascend or are out of range, or if an entry is not finite.
template <Interactions X>
void require_interactions(const X& x, const char* call) {
  if constexpr (StoredSparse<X>) require_valid_indices(x, call, true);
  each_entry(x, [&](Index u, Index i, auto value) {
    require(std::isfinite(value), call, ": X(", u, ", ", i, ") must be finite, got ", value);
  });
}

/// Returns X' X of checked interactions. Sums run over ascending users.
template <Interactions X>
GramMatrix gram_matrix(const X& x, const char* call, const Session& session) {
  constexpr Index items_per_task = 16;
  const Dependent<Eigen::SparseMatrix<double, Eigen::RowMajor>, X> users = x.template cast<double>();
  const Dependent<Eigen::SparseMatrix<double, Eigen::ColMajor>, X> items(users);
  const Index n = x.cols();
  GramMatrix gram(n, n);
  session.run(ceil_div(n, items_per_task), [&](Index task, Index) {
    for (Index i = task * items_per_task; i < (std::min)((task + 1) * items_per_task, n); ++i) {
      double* const row = gram.data() + i * n;
      std::fill_n(row, n, 0.0);
      for (typename std::remove_cvref_t<decltype(items)>::InnerIterator e(items, i); e; ++e) {
        const auto [begin, end] = entries_of(users, e.row());
        const auto* const columns = users.innerIndexPtr();
        const double* const values = users.valuePtr();
        const double value = e.value();
        for (Index f = std::lower_bound(columns + begin, columns + end, i) - columns; f < end; ++f)
          row[columns[f]] += value * values[f];
      }
    }
  });
  session.run(ceil_div(n, items_per_task), [&](Index task, Index) {  // the lower half
    for (Index i = task * items_per_task; i < (std::min)((task + 1) * items_per_task, n); ++i)
      for (Index j = 0; j < i; ++j) gram(i, j) = gram(j, i);
  });
  require(gram.allFinite(), call, ": the products of X' X must be finite; the entries of X are too large");
  return gram;
}

}  // namespace detail
}  // namespace filigree
