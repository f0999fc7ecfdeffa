// SPDX-License-Identifier: MIT
// Compares weights and products with a table of the reference implementation. The functions are compiled once, with
// optimization, for float and double.
#pragma once

#include <Eigen/SparseCore>
#include <optional>
#include <string>

#include "inputs.hpp"
#include "oracle.hpp"

namespace test {

/// Returns the computed score of d numbers, in the order of operations that the library guarantees.
template <class S>
S computed_score(const S* q, const S* k, Index d, S scale);

/// Fills the table with the computed scores. Returns false if one of them exceeds the rounding bound of its chain.
template <class S>
bool fill_scores(oracle::Table& t, const Matrix<S>& q, const Matrix<S>& k, S scale);

/// Returns the first difference between the weights and the reference implementation, or nothing if they agree.
template <class S>
std::optional<std::string> differs(const oracle::Table& t, const Eigen::SparseMatrix<S, Eigen::RowMajor>& w);

/// Returns the first difference between A * V and the reference implementation, or nothing if they agree.
template <class S>
std::optional<std::string> product_differs(const oracle::Table& t, const Matrix<S>& v, const Matrix<S>& out);

}  // namespace test
