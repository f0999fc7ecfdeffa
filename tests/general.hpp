// SPDX-License-Identifier: MIT
// Runs any weights in the general evaluator, including weights that a fused engine would compute.
#pragma once

#include <filigree/pipe/pipe.hpp>

#include "inputs.hpp"

namespace test {

template <class A, bool scores = !filigree::detail::has_matrix_stage<typename A::StageTuple>>
struct GeneralEngineOf {
  using type = filigree::detail::GeneralEngine<typename A::Bound, typename A::StageTuple, typename A::Scalar>;
};
template <class A>
struct GeneralEngineOf<A, false> {  // matrix stages, which exist on dense sources only
  using type = typename A::Engine;
};

template <class A, class Sink>
void general_rows(const A& a, Sink&& sink) {
  using Engine = typename GeneralEngineOf<A>::type;
  const filigree::detail::Session session(a.execution());
  typename A::Bound bound = a.source().bind();
  const Engine engine(bound, a.stages(), session, a.row_count());
  filigree::detail::for_each_row(engine, a.first_row(), a.row_count(), session, sink);
}

template <class A>
auto general_sparse(const A& a) {
  using Engine = typename GeneralEngineOf<A>::type;
  using S = typename A::Scalar;
  const filigree::detail::Session session(a.execution());
  typename A::Bound bound = a.source().bind();
  const Engine engine(bound, a.stages(), session, a.row_count());
  filigree::detail::SparseSink<S> sink(a.first_row(), a.row_count(), session);
  filigree::detail::for_each_row(engine, a.first_row(), a.row_count(), session, sink);
  return sink.template matrix<Eigen::SparseMatrix<S, Eigen::RowMajor>>(a.source().grid().m, A::is_column);
}

/// Returns A * V, computed with the kernel `gather` from values that are padded here.
template <class A, class V>
auto general_product(const A& a, const V& v) {
  using S = typename A::Scalar;
  const auto& kernels = filigree::kernel::kernels<S>();
  const Index padded = (v.cols() + kernels.lanes - 1) / kernels.lanes * kernels.lanes;
  Matrix<S> values = Matrix<S>::Zero(v.rows(), padded), result(a.rows(), padded);
  values.leftCols(v.cols()) = v;
  general_rows(a, [&](const filigree::Row<S>& row, auto&) {
    S* out = result.data() + (row.index - a.first_row()) * padded;
    kernels.gather(out, row.values, row.columns, row.count, values.data(), padded, padded);
  });
  return Matrix<S>(result.leftCols(v.cols()));
}

}  // namespace test
