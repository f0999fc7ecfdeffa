// SPDX-License-Identifier: MIT
#pragma once

#include <concepts>
#include <tuple>

#include "filigree/attention/scores.hpp"
#include "filigree/engine/form.hpp"
#include "filigree/engine/softmax_state.hpp"

namespace filigree {

/// The output of attention and the logsumexp of the scores of each row.
template <Real S>
struct Attended {
  using Matrix = Eigen::Matrix<S, Eigen::Dynamic, Eigen::Dynamic, Eigen::RowMajor>;
  using Vector = Eigen::Matrix<S, Eigen::Dynamic, 1>;
  Matrix out;  // n x dv
  Vector lse;  // n
};

/// Computes A * V together with the logsumexp of each row's scores.
///
/// Formula   out = A V, lse(i) = log(Σ exp(s(i, c)) + exp(sink))
/// Shapes    A: n x m ending in softmax() (dropout or lazy_sum() may follow), V: m x dv; out: n x dv, lse: n
/// Edge case an empty row has out +0; its lse is the sink, -inf without one
/// Throws    Error if V.rows() != A.cols()
/// Reference Dao et al., arXiv:2205.14135, section 3.1
template <detail::WeightsExpression A, detail::ValuesExpression V>
auto attend(const A& a, const V& v) {
  using S = typename A::Scalar;
  static_assert(detail::Form<typename A::StageTuple>::last_softmax < std::tuple_size_v<typename A::StageTuple>,
                "filigree: attend(A, V): A must end in softmax(), whose logsumexp it returns");
  static_assert(StoredReal<typename V::Scalar, S>,
                "filigree: attend(A, V): A and V must have the same scalar; cast one with .cast<>()");
  a.check();
  detail::require(v.rows() == a.cols(), "attend(A, V): V.rows() = ", v.rows(), " must equal A.cols() = ", a.cols());
  Attended<S> result{typename Attended<S>::Matrix(a.rows(), v.cols()), typename Attended<S>::Vector(a.rows())};
  const detail::Session session(a.execution());
  a.for_each_output(session, {.to = {result.out.data(), a.rows(), v.cols(), v.cols(), 1, detail::Assign::set},
                              .first = a.first_row(),
                              .v = detail::bind_values<typename A::ProductEngine, S>(v, a.rows(), session),
                              .lse = result.lse.data()});
  return result;
}

/// Merges attention over disjoint parts of the keys into attention over all keys.
///
/// Formula   lse = log Σ exp(lse_part), out = Σ exp(lse_part − lse) · out_part
/// Shapes    all parts have the same shape; they must cover disjoint sets of keys (set key_at for each part)
/// Edge case a row that is empty in a part (lse -inf) is ignored there; give a sink to exactly one part, any of them
/// Throws    Error if the shapes differ
template <Real S, std::same_as<Attended<S>>... More>
Attended<S> merge(const Attended<S>& first, const More&... more) {
  Attended<S> whole = first;
  [[maybe_unused]] const auto add = [&](const Attended<S>& part) {
    detail::require(part.out.rows() == whole.out.rows() && part.out.cols() == whole.out.cols() &&
                        part.lse.size() == whole.lse.size(),
                    "merge(a, b): b.out is ", part.out.rows(), "x", part.out.cols(), ", it must be ", whole.out.rows(),
                    "x", whole.out.cols(), " like a.out");
    const Index dv = whole.out.cols();
    for (Index i = 0; i < whole.lse.size(); ++i)
      detail::merge_normalized(whole.out.data() + i * dv, whole.lse[i], part.out.data() + i * dv, part.lse[i], dv);
  };
  (add(more), ...);
  return whole;
}

}  // namespace filigree
