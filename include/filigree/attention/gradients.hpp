// SPDX-License-Identifier: MIT
#pragma once

#include <array>
#include <cmath>
#include <concepts>
#include <cstddef>
#include <type_traits>

#include "filigree/attention/attend.hpp"
#include "filigree/attention/attention_gradients.hpp"
#include "filigree/attention/differentiate.hpp"
#include "filigree/attention/multi_head.hpp"
#include "filigree/attention/multi_head_cache.hpp"

namespace filigree {

namespace detail {

template <class D, class S>
constexpr void require_scalar_of_gradient() {
  static_assert(std::is_same_v<typename D::Scalar, S>,
                "filigree: gradients(A * V, dO): dO must have the scalar of the product; cast it with .cast<>()");
}
template <class D>
void check_shape_of_gradient(const D& d_out, Index n, Index dv) {
  require(d_out.rows() == n && d_out.cols() == dv, "gradients(A * V, dO): dO is ", d_out.rows(), "x", d_out.cols(),
          ", it must be ", n, "x", dv, " like A * V");
}

/// The rows of dO in memory: in place if they are contiguous there, otherwise a copy.
template <Real S>
class GradientRows {
 public:
  template <class D>
  explicit GradientRows(const D& d_out) {
    if constexpr (Reader<D>::direct) {
      const auto reader = reader_of(d_out);
      if (reader.contiguous_rows()) {
        rows_ = {reader.data(), reader.row_stride()};
        return;
      }
    }
    copy_ = d_out;
    rows_ = {copy_.data(), copy_.cols()};
  }
  GradientRows(const GradientRows&) = delete;
  GradientRows& operator=(const GradientRows&) = delete;

  /// Returns the rows from a column on.
  [[nodiscard]] kernel::StridedRows<const S> from_column(Index column) const {
    return {rows_.data + (rows_.data != nullptr ? column : 0), rows_.stride};
  }

 private:
  Eigen::Matrix<S, Eigen::Dynamic, Eigen::Dynamic, Eigen::RowMajor> copy_;
  kernel::StridedRows<const S> rows_{nullptr, 0};
};

/// Computes the gradients of A * V, with the gradient by the logsumexp of each row unless d_lse is null.
/// run(session, weight_gradient, to, parameters) computes them.
template <class A, class V, class D, class Run>
auto product_gradients(const A& a, const V& v, const D& d_out, const typename A::Scalar* d_lse, const Run& run) {
  static_assert(ScoreWeights<A>, "filigree: gradients(A * V, dO): A must be a pipeline on scores(Q, K)");
  using S = typename A::Scalar;
  require_scalar_of_gradient<D, S>();
  const Index n = a.rows(), dv = v.cols();
  check_shape_of_gradient(d_out, n, dv);
  const Session session(a.execution());
  const Grid grid = a.source().grid();
  AttentionGradients<S, typename A::StageTuple> result;
  result.q.resize(grid.n, a.source().features());
  result.k.resize(grid.m, a.source().features());
  result.v.resize(grid.m, dv);
  const GradientRows<S> outs(d_out);
  ParameterGradients<S> parameters;
  const ProductGradient<S> weight_gradient{outs.from_column(0), a.first_row(),
                                           bind_values<ReadsPlainValues<A>, S>(v, n, session), d_lse};
  const GradientTargets<S> to{rows_of(result.q), rows_of(result.k), rows_of(result.v)};
  run(session, weight_gradient, to, parameters);
  result.add_head(parameters, grid, a.first_row());
  return result;
}
template <class A, class V, class D>
auto product_gradients(const A& a, const V& v, const D& d_out, const typename A::Scalar* d_lse) {
  return product_gradients(a, v, d_out, d_lse,
                           [&](const Session& session, const auto& gradient, const auto& to, auto& parameters) {
                             differentiate(a, session, gradient, to, parameters);
                           });
}

/// Returns the gradient by the logsumexp as a vector. Throws an Error if it has not a number for each of n rows.
template <class A, class L>
auto logsumexp_gradient(const L& d_lse, Index n) {
  using Stages = typename A::StageTuple;
  using S = typename A::Scalar;
  static_assert(Form<Stages>::last_softmax < std::tuple_size_v<Stages>,
                "filigree: gradients(A * V, dO, dlse): A must end in softmax(), which has a logsumexp");
  static_assert(std::is_same_v<typename L::Scalar, S>,
                "filigree: gradients(A * V, dO, dlse): dlse must have the scalar of the product");
  require((d_lse.rows() == 1 || d_lse.cols() == 1) && d_lse.size() == n, "gradients(A * V, dO, dlse): dlse is ",
          d_lse.rows(), "x", d_lse.cols(), ", it must have one number for each of the ", n, " rows");
  return Eigen::Matrix<S, Eigen::Dynamic, 1>(d_lse.reshaped());
}

}  // namespace detail

/// Computes the gradients of L by Q, K and V, for O = A * V and dO, the gradient of L by O.
///
/// A is any pipeline on scores(Q, K) whose stages have derivatives. The choice of patterns, selectors and routers
/// counts as constant. The result also has the gradients by the parameters of stages: the slope of alibi, the cap of
/// softcap, the table of relative_bias, the matrix of bias, the sink of softmax, and those of your own stages.
///
/// Formula    dV = Wᵀ dO, dW = dO Vᵀ, ds = backward(dW) through the stages, dQ = scale ds K, dK = scale dsᵀ Q
/// Shapes     A: n x m, V: m x dv, dO: n x dv; dQ: n x d, dK: m x d, dV: m x dv
/// Cost       for patterns and selectors that of the pairs kept, otherwise n m (d + dv); memory for the pairs kept of
///            a block of rows. The same bits for any number of threads
/// Edge case  what is masked has gradient 0 and is not read: NaN and infinity there do not reach the gradients. Rows of
///            Q that A.middleRows() leaves out have gradient 0
/// Throws     Error if the shape of dO is not that of the product
/// Reference  Dao et al., arXiv:2205.14135, appendix B.2; sparsemax: Martins and Astudillo, arXiv:1602.02068
template <class A, class V, DenseExpression D>
auto gradients(const LazyDense<detail::Product<A, V>>& product, const D& d_out) {
  product.impl().check();
  return detail::product_gradients(product.impl().weights(), product.impl().values(), d_out, nullptr);
}

/// Computes the gradients of L by Q, K and V, for (O, lse) = attend(A, V) and the gradients of L by both.
///
/// Formula    as above, and ds += w dlse, where w are the weights of softmax; for the sink, dsink += w_sink dlse
/// Shapes     dlse: n
/// Throws     Error if the shape of dO or the size of dlse is wrong; does not compile unless A ends in softmax, as in
///            attend
template <class A, class V, DenseExpression D, DenseExpression L>
auto gradients(const LazyDense<detail::Product<A, V>>& product, const D& d_out, const L& d_lse) {
  product.impl().check();
  const auto numbers = detail::logsumexp_gradient<std::remove_cvref_t<A>>(d_lse, product.rows());
  return detail::product_gradients(product.impl().weights(), product.impl().values(), d_out, numbers.data());
}

/// Computes the gradients of L by Q and K, for the weights A and dW, the gradient of L by these.
///
/// dW is sparse: the gradient is 0 for pairs that it does not store, and what it stores for masked pairs has no effect.
/// Shapes     A: n x m, dW: n x m; dQ: n x d, dK: m x d
/// Throws     Error if the shape of dW is not that of A
template <detail::WeightsExpression A, detail::SparseExpression D>
auto gradients(const A& a, const D& d_weights) {
  static_assert(detail::ScoreWeights<A>, "filigree: gradients(A, dW): A must be a pipeline on scores(Q, K)");
  using S = typename A::Scalar;
  static_assert(std::is_same_v<typename D::Scalar, S>,
                "filigree: gradients(A, dW): dW must have the scalar of A; cast it with .cast<>()");
  a.check();
  detail::require(d_weights.rows() == a.rows() && d_weights.cols() == a.cols(), "gradients(A, dW): dW is ",
                  d_weights.rows(), "x", d_weights.cols(), ", it must be ", a.rows(), "x", a.cols(), " like A");
  detail::KeptPairs<S> rows = d_weights;
  rows.makeCompressed();
  const detail::Session session(a.execution());
  const Grid grid = a.source().grid();
  AttentionGradients<S, typename A::StageTuple, false> result;
  result.q.resize(grid.n, a.source().features());
  result.k.resize(grid.m, a.source().features());
  detail::ParameterGradients<S> parameters;
  detail::differentiate(a, session, detail::SparseWeightGradient<S>{rows, a.first_row()},
                        {detail::rows_of(result.q), detail::rows_of(result.k), {nullptr, 0}}, parameters);
  result.add_head(parameters, grid, a.first_row());
  return result;
}

/// Computes the gradients of L by Q, K and V, for O = multi_head(heads, Q, K, V, head) and dO, the gradient of L by O.
///
/// The query heads of a key head are summed in the order of the heads. `parameters<i>(h)` is the gradient by the
/// parameters of stage i of head h.
/// Shapes     dO: n x (h dv); dQ: n x (h d), dK: m x (hkv d), dV: m x (hkv dv)
/// Throws     Error if the shape of dO is not that of the product
template <class Q, class K, class V, class Head, DenseExpression D>
auto gradients(const LazyDense<detail::MultiHead<Q, K, V, Head>>& product, const D& d_out) {
  using S = typename std::remove_cvref_t<Q>::Scalar;
  using Stages = decltype(detail::head_stages(product.impl().head(), 0));
  detail::require_scalar_of_gradient<D, S>();
  const auto& impl = product.impl();
  impl.check();
  detail::check_shape_of_gradient(d_out, product.rows(), product.cols());
  const detail::Session session(impl.execution());
  const auto [h, hkv] = impl.count();
  const auto& q = detail::direct(impl.queries());
  const auto& k = detail::direct(impl.keys());
  const auto& v = detail::direct(impl.values());
  const Index n = q.rows(), m = k.rows(), d = q.cols() / h, dv = v.cols() / hkv;
  AttentionGradients<S, Stages> result;
  result.q.setZero(n, q.cols());
  result.k.setZero(m, k.cols());
  result.v.setZero(m, v.cols());
  const detail::GradientRows<S> outs(d_out);
  for (Index i = 0; i < h; ++i) {
    const detail::Session::BufferScope buffers(session);
    const Index j = i / (h / hkv);
    const auto weights = detail::make_scores(detail::columns_of(q, i * d, d), detail::columns_of(k, j * d, d), {})
                             .then(detail::head_stages(impl.head(), i));
    const auto values = detail::columns_of(v, j * dv, dv);
    detail::ParameterGradients<S> parameters;
    using Values = detail::ReadsPlainValues<std::remove_const_t<decltype(weights)>>;
    const detail::ProductGradient<S> weight_gradient{outs.from_column(i * dv), 0,
                                                     detail::bind_values<Values, S>(values, n, session)};
    detail::differentiate(weights, session, weight_gradient,
                          {detail::rows_of(result.q, i * d), detail::rows_of(result.k, j * d),
                           detail::rows_of(result.v, j * dv), i % (h / hkv) > 0},
                          parameters);
    result.add_head(parameters, weights.source().grid(), 0);
  }
  return result;
}

/// Does not compile: a list of caches has no one matrix of keys. Differentiate each head.
template <class Q, class T, class Head, class D>
void gradients(const LazyDense<detail::CacheHeads<Q, T, Head>>&, const D&) {
  static_assert(sizeof(T) == 0,
                "filigree: gradients(multi_head(heads, Q, cache, head), dO): differentiate each head: "
                "gradients((scores(Q_i, cache.head(i)) | ...) * cache.values(i), dO_i)");
}

/// Computes the gradients of L by the output and the logsumexp of each part, for whole = merge(parts...) and the
/// gradients of L by those of the whole. Pass each to gradients(A * V, d.out, d.lse) of its part.
///
/// Formula    w_i = exp(lse_i − lse), d(out_i) = w_i d(out), d(lse_i) = w_i (d(lse) + ⟨d(out), out_i − out⟩)
/// Edge case  a part without keys in a row (lse -inf) has gradient 0 there
/// Throws     Error if the shapes differ
template <Real S, std::same_as<Attended<S>>... Parts>
std::array<Attended<S>, sizeof...(Parts)> merge_gradients(const Attended<S>& d_whole, const Parts&... parts) {
  const Attended<S> whole = merge(parts...);
  detail::require(d_whole.out.rows() == whole.out.rows() && d_whole.out.cols() == whole.out.cols() &&
                      d_whole.lse.size() == whole.lse.size(),
                  "merge_gradients(d, parts...): d.out is ", d_whole.out.rows(), "x", d_whole.out.cols(),
                  " and d.lse has ", d_whole.lse.size(), " rows, they must have the shape of the parts, ",
                  whole.out.rows(), "x", whole.out.cols());
  const auto gradient_of = [&](const Attended<S>& part) {
    Attended<S> d{part.out, part.lse};
    for (Index i = 0; i < whole.lse.size(); ++i) {
      const bool is_empty = part.lse[i] == -std::numeric_limits<S>::infinity();
      const S w = is_empty ? S(0) : std::exp(part.lse[i] - whole.lse[i]);
      d.lse[i] = is_empty ? S(0) : w * (d_whole.lse[i] + (part.out.row(i) - whole.out.row(i)).dot(d_whole.out.row(i)));
      if (is_empty)
        d.out.row(i).setZero();
      else
        d.out.row(i) = w * d_whole.out.row(i);
    }
    return d;
  };
  return {gradient_of(parts)...};
}

}  // namespace filigree
