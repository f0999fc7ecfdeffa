// SPDX-License-Identifier: MIT
#pragma once

#include <cmath>

#include "../data.hpp"
#include "oracle.hpp"

// Comparisons with the reference implementation of the tests.

namespace bench {

/// Returns true if the columns of a row of a dense target are the entries of row i of the table, and 0 elsewhere.
/// get(c) returns the number of column c.
template <class Get>
bool is_row(const oracle::Table& table, Index i, Get get) {
  if (table.open[oracle::Table::size(i)] != 0) return true;  // rounding may change the choice
  for (Index c = 0; c < table.m; ++c) {
    const oracle::Entry& e = table.at(i, c);
    const oracle::Real value = get(c), expected = e.presence == oracle::absent ? 0 : e.value;
    if (!(std::abs(value - expected) <= e.error)) return false;
  }
  return true;
}

/// Returns the table of `rows` rows of x from `first` on, after the step.
template <class X>
oracle::Table table_of(const X& x, Index first, Index rows, const oracle::Step& step) {
  oracle::Table table(rows, x.cols(), x.cols() - x.rows() + first, 0, sizeof(typename X::Scalar) == 4);
  for (Index i = 0; i < rows; ++i)
    for (Index c = 0; c < x.cols(); ++c) table.at(i, c).value = x(first + i, c);
  step(table);
  return table;
}

/// Returns true if y is the matrix x after the step. Compares a few rows.
template <class X, class Y>
bool is_after(const X& x, const Y& y, const oracle::Step& step) {
  for (const Index i : {Index{0}, x.rows() / 2, x.rows() - 1}) {
    const oracle::Table table = table_of(x, i, 1, step);
    if (!is_row(table, 0, [&](Index c) { return y(i, c); })) return false;
  }
  return true;
}

/// The same for a step that works on the whole matrix.
template <class X, class Y>
bool is_after_all(const X& x, const Y& y, const oracle::Step& step) {
  const oracle::Table table = table_of(x, 0, x.rows(), step);
  for (Index i = 0; i < x.rows(); ++i)
    if (!is_row(table, i, [&](Index c) { return y(i, c); })) return false;
  return true;
}

}  // namespace bench
