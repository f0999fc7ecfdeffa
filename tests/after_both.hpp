// SPDX-License-Identifier: MIT
// A stage applied to rows as lists and as dense rows, which must give the same bits.
#pragma once

#include <cstddef>
#include <vector>

#include "catch.hpp"
#include "one_row.hpp"

/// Returns a row after a stage. Requires the same of the dense row, and that the columns of the list ascend.
template <class S, class Stage>
std::vector<S> after_both(const Stage& stage, const std::vector<S>& row) {
  OneRow<S> one(row);
  one.apply(stage);
  REQUIRE(one.ascends());
  std::vector<S> got = one.dense();
  REQUIRE(same(after_dense(stage, row), got));
  return got;
}

/// Returns the rows of a matrix after a matrix stage. Requires the same of the dense rows.
template <class S, class Stage>
std::vector<std::vector<S>> after_both(const Stage& stage, const std::vector<std::vector<S>>& rows) {
  std::vector<std::vector<S>> dense = matrix_after(stage, rows, false);
  const std::vector<std::vector<S>> lists = matrix_after(stage, rows, true);
  for (std::size_t i = 0; i < rows.size(); ++i) REQUIRE(same(dense[i], lists[i]));
  return dense;
}
