// SPDX-License-Identifier: MIT
// Computes the gradients of any product by the general reverse engine, including those that are computed by tiles.
#pragma once

#include <algorithm>
#include <cstring>
#include <filigree/attention/gradients.hpp>

#include "inputs.hpp"

namespace test {

/// The gradients by Q, K and V.
template <class S>
struct RowGradients {
  Matrix<S> q, k, v;
  filigree::detail::ParameterGradients<S> parameters{};
};

/// Returns the gradients of A * V for pipelines without routers, by the row tape over all pairs.
template <class A, class V, class D>
RowGradients<typename A::Scalar> row_gradients(const A& a, const V& v, const D& d_out) {
  namespace detail = filigree::detail;
  using S = typename A::Scalar;
  using Stages = typename A::StageTuple;
  auto problem = a.source().bind();
  RowGradients<S> result{Matrix<S>(problem.grid.n, problem.d()), Matrix<S>(problem.grid.m, problem.d()),
                         Matrix<S>(v.rows(), v.cols())};
  const detail::Session session(a.execution());
  const Matrix<S> outs = d_out, values = v;
  const detail::ProductGradient<S> gradient{
      {outs.data(), outs.cols()},
      a.first_row(),
      detail::bind_values<detail::ReadsPlainValues<A>, S>(values, a.rows(), session)};
  const std::tuple<> none;
  using Engine = typename detail::Choice<typename A::Bound>::template Rows<std::tuple<>>;
  const Engine engine(problem, none, session, a.rows());
  detail::RowGradients<typename A::Bound, Engine, Stages> rows(problem, engine, a.stages(), session);
  rows.run(a.first_row(), a.rows(), gradient,
           {detail::rows_of(result.q), detail::rows_of(result.k), detail::rows_of(result.v)}, result.parameters);
  return result;
}

/// Returns true if two matrices have the same bits.
template <class S>
bool same_bits(const Matrix<S>& a, const Matrix<S>& b) {
  return a.rows() == b.rows() && a.cols() == b.cols() &&
         (a.size() == 0 || std::memcmp(a.data(), b.data(), static_cast<std::size_t>(a.size()) * sizeof(S)) == 0);
}

/// Returns the largest difference, relative to the largest number of b or 1.
template <class S>
double distance(const Matrix<S>& a, const Matrix<double>& b) {
  if (a.size() == 0) return 0;
  return (a.template cast<double>() - b).cwiseAbs().maxCoeff() / std::max(1.0, b.cwiseAbs().maxCoeff());
}

}  // namespace test
