// SPDX-License-Identifier: MIT
#pragma once

#include <Eigen/SparseCore>

#include "filigree/core/check.hpp"
#include "filigree/core/concepts.hpp"
#include "filigree/core/sparse_indices.hpp"

namespace filigree {

namespace detail {

/// Returns the number of samples in which each latent is not 0.
template <class D>
Dependent<Eigen::VectorXd, D> active_samples(const Eigen::DenseBase<D>& codes) {
  using Plain = typename D::PlainObject;
  const Plain& c = codes.eval();
  Dependent<Eigen::VectorXd, D> active(c.cols());
  active.setZero();
  double* counts = active.data();
  for (Index o = 0; o < c.outerSize(); ++o) {
    double sum = 0;
    for (Index i = 0; i < c.innerSize(); ++i) {
      const double is_active = c.coeffByOuterInner(o, i) != typename D::Scalar(0) ? 1.0 : 0.0;
      if constexpr (bool(Plain::IsRowMajor))
        counts[i] += is_active;
      else
        sum += is_active;
    }
    if constexpr (!bool(Plain::IsRowMajor)) counts[o] = sum;
  }
  return active;
}
template <class D>
Dependent<Eigen::VectorXd, D> active_samples(const Eigen::SparseMatrixBase<D>& codes) {
  using Plain = typename D::PlainObject;
  const Plain& c = codes.eval();
  Dependent<Eigen::VectorXd, D> active(c.cols());
  active.setZero();
  for (Index o = 0; o < c.outerSize(); ++o)
    for (typename Plain::InnerIterator entry(c, o); entry; ++entry)
      if (entry.value() != typename D::Scalar(0)) ++active[entry.col()];
  return active;
}

}  // namespace detail

/// Codes with a row for each sample and a column for each latent: a dense or a sparse Eigen expression.
template <class T>
concept Codes = requires(const T& codes) {
  detail::active_samples(codes);
};

namespace detail {

template <Codes C>
void require_samples(const char* call, const C& codes) {
  require_valid_samples(codes, call);
  require(codes.rows() > 0, call, ": codes must have at least one sample, got ", codes.rows(), "x", codes.cols());
}

}  // namespace detail
}  // namespace filigree
