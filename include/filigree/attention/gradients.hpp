// SPDX-License-Identifier: MIT
#pragma once

#include <Eigen/SparseCore>
#include <algorithm>
#include <cstddef>
#include <tuple>
#include <type_traits>
#include <utility>
#include <vector>

#include "filigree/attention/scores.hpp"
#include "filigree/core/integers.hpp"
#include "filigree/engine/form.hpp"
#include "filigree/engine/row_gradients.hpp"
#include "filigree/pattern/given.hpp"
#include "filigree/run/routed.hpp"

namespace filigree {

/// The gradients of a product A * V: `auto [dQ, dK, dV] = gradients(A * V, dO)`.
///
/// `parameters<i>()` is the gradient by the parameters of stage i of the pipeline A: a vector, or for bias(B) a sparse
/// matrix of the pairs that have a gradient.
template <Real S, class Stages>
class AttentionGradients {
 public:
  using Matrix = Eigen::Matrix<S, Eigen::Dynamic, Eigen::Dynamic, Eigen::RowMajor>;
  using Vector = Eigen::Matrix<S, Eigen::Dynamic, 1>;
  using Pairs = Eigen::SparseMatrix<S, Eigen::RowMajor>;

  Matrix q;  ///< n x d
  Matrix k;  ///< m x d
  Matrix v;  ///< m x dv

  /// Returns the gradient by the parameters of stage i, counted from 0 in the pipeline as it is written.
  template <std::size_t i>
  [[nodiscard]] const auto& parameters() const {
    static_assert(i < std::tuple_size_v<Stages>, "filigree: gradients.parameters<i>(): the pipeline has no stage i");
    using T = std::remove_cvref_t<std::tuple_element_t<i, Stages>>;
    static_assert(detail::ParameterStage<T>, "filigree: gradients.parameters<i>(): stage i has no parameters");
    if constexpr (detail::has_pair_parameters<T>)
      return pairs_[static_cast<std::size_t>(entry<i>())];
    else
      return sums_[static_cast<std::size_t>(entry<i>())];
  }

  template <std::size_t i>
  [[nodiscard]] Matrix& get() & {
    return i == 0 ? q : i == 1 ? k : v;
  }
  template <std::size_t i>
  [[nodiscard]] const Matrix& get() const& {
    return i == 0 ? q : i == 1 ? k : v;
  }
  template <std::size_t i>
  [[nodiscard]] Matrix&& get() && {
    return std::move(i == 0 ? q : i == 1 ? k : v);
  }

  // Takes the gradients by parameters, for scores of n x m.
  void take(const detail::ParameterGradients<S>& parameters, const Grid& grid, Index first) {
    for (const auto& entry : parameters.stages) {
      Vector& sums = sums_.emplace_back(entry.sums.size());
      for (Index p = 0; p < sums.size(); ++p) sums[p] = static_cast<S>(entry.sums[p]);
      Pairs& pairs = pairs_.emplace_back(entry.ends.empty() ? 0 : grid.n, entry.ends.empty() ? 0 : grid.m);
      if (entry.ends.empty()) continue;
      pairs.resizeNonZeros(entry.columns.size());
      for (Index i = 0; i <= grid.n; ++i)
        pairs.outerIndexPtr()[i] = static_cast<int>(
            entry.ends[std::clamp<Index>(i - first, 0, static_cast<Index>(entry.ends.size()) - 1)]);
      std::copy(entry.columns.begin(), entry.columns.end(), pairs.innerIndexPtr());
      std::copy(entry.values.begin(), entry.values.end(), pairs.valuePtr());
    }
  }

 private:
  /// Returns the number of stages with parameters before stage i.
  template <std::size_t i>
  static constexpr Index entry() {
    return detail::with_indices<i>([]<std::size_t... L>(std::index_sequence<L...>) {
      return (Index{detail::ParameterStage<std::remove_cvref_t<std::tuple_element_t<L, Stages>>> ? 1 : 0} + ... +
              Index{0});
    });
  }

  std::vector<Vector> sums_;  // of each stage with parameters
  std::vector<Pairs> pairs_;
};

namespace detail {

/// Returns references to stages [begin, end).
template <std::size_t begin, std::size_t end, class Stages>
auto stage_references(const Stages& stages) {
  return with_indices<end - begin>([&]<std::size_t... L>(std::index_sequence<L...>) {
    return std::tuple<const std::remove_cvref_t<std::tuple_element_t<begin + L, Stages>>&...>(
        std::get<begin + L>(stages)...);
  });
}
/// Returns references to the stages that are no patterns among the first `end`.
template <std::size_t end, std::size_t at = 0, class Stages>
auto map_references(const Stages& stages) {
  if constexpr (at == end) {
    return std::tuple<>();
  } else {
    using T = std::remove_cvref_t<std::tuple_element_t<at, Stages>>;
    if constexpr (PatternStage<T>)
      return map_references<end, at + 1>(stages);
    else
      return std::tuple_cat(std::tuple<const T&>(std::get<at>(stages)), map_references<end, at + 1>(stages));
  }
}

/// Computes the gradients of rows [first, first + count) of a pipeline without routers.
///
/// The entries that the first selector keeps are found by the engine of the forward pass.
template <class P, class Stages, class WeightGradient>
void differentiate(P& problem, const Stages& stages, const Session& session, Index first, Index count,
                   const WeightGradient& weight_gradient, const GradientTargets<typename P::Scalar>& to,
                   ParameterGradients<typename P::Scalar>& parameters) {
  using S = typename P::Scalar;
  using F = Form<Stages>;
  if constexpr (F::is_selection) {
    using Sparse = Eigen::SparseMatrix<S, Eigen::RowMajor, Index>;
    const auto selection = stage_references<0, F::streamed + 1>(stages);
    SparseSink<S> sink(0, problem.grid.n, session);
    {
      const typename Choice<P>::template Rows<std::remove_const_t<decltype(selection)>> engine(problem, selection,
                                                                                               session, count);
      for_each_row(engine, first, count, session, sink);
    }
    const auto kept = sink.template matrix<Sparse>(problem.grid.m, false);
    const std::tuple<Given<const Sparse&>> patterns(Given<const Sparse&>{kept});
    const auto rest = std::tuple_cat(map_references<F::streamed>(stages),
                                     stage_references<F::after_selection, F::size>(stages));
    RowGradients<P, std::remove_const_t<decltype(patterns)>, std::remove_const_t<decltype(rest)>> gradients(
        problem, patterns, rest, session, count);
    gradients.run(first, count, weight_gradient, to, parameters);
  } else {
    constexpr std::size_t leading = [] {
      std::size_t at = 0;
      with_indices<F::size>([&]<std::size_t... L>(std::index_sequence<L...>) {
        bool all = true;
        ((all = all && PatternStage<std::tuple_element_t<L, Stages>>, at += all ? 1 : 0), ...);
      });
      return at;
    }();
    const auto patterns = stage_references<0, leading>(stages);
    const auto rest = stage_references<leading, F::size>(stages);
    RowGradients<P, std::remove_const_t<decltype(patterns)>, std::remove_const_t<decltype(rest)>> gradients(
        problem, patterns, rest, session, count);
    gradients.run(first, count, weight_gradient, to, parameters);
  }
}

/// For bind_values(): rows of V that are plain numbers in memory.
struct ReadsPlainValues {};

template <class A>
concept ScoreWeights = WeightsExpression<A> && std::remove_cvref_t<decltype(std::declval<A>().source())>::is_scores;

}  // namespace detail

/// Computes the gradients of L by Q, K and V, for O = A * V and dO, the gradient of L by O.
///
/// A is any pipeline on scores(Q, K) whose stages have derivatives. The choice of patterns, selectors and routers counts
/// as constant. The result also has the gradients by the parameters of stages: the slope of alibi, the cap of softcap,
/// the table of relative_bias, the matrix of bias, the sink of softmax, and those of your own stages.
/// Formula    dV = W' dO, dW = dO V', ds = backward(dW) through the stages, dQ = scale ds K, dK = scale ds' Q
/// Shapes     A: n x m, V: m x dv, dO: n x dv; dQ: n x d, dK: m x d, dV: m x dv
/// Cost       for patterns and selectors that of the pairs kept, otherwise n m (d + dv); memory for the kept pairs of a
///            block of rows. The same bits for any number of threads
/// Edge case  what is masked has gradient 0 and is not read: NaN and infinity there do not reach the gradients. Rows of
///            Q that A.middleRows() leaves out have gradient 0
/// Throws     Error if the shape of dO is not that of the product
/// Reference  Dao et al., arXiv:2205.14135, appendix B.2; sparsemax: Martins and Astudillo, arXiv:1602.02068
template <class A, class V, DenseExpression D>
auto gradients(const LazyDense<detail::Product<A, V>>& product, const D& d_out) {
  using Weights = std::remove_cvref_t<A>;
  using S = typename Weights::Scalar;
  static_assert(detail::ScoreWeights<A>, "filigree: gradients(A * V, dO): A must be a pipeline on scores(Q, K)");
  static_assert(std::is_same_v<typename D::Scalar, S>,
                "filigree: gradients(A * V, dO): dO must have the scalar of the product; cast it with .cast<>()");
  const auto& impl = product.impl();
  impl.check();
  const Index n = product.rows(), dv = product.cols();
  detail::require(d_out.rows() == n && d_out.cols() == dv, "gradients(A * V, dO): dO is ", d_out.rows(), "x",
                  d_out.cols(), ", it must be ", n, "x", dv, " like A * V");
  const auto& a = impl.weights();
  const detail::Session session(a.execution());
  auto problem = a.source().bind();
  AttentionGradients<S, typename Weights::StageTuple> result;
  const Grid grid = problem.grid;
  result.q.resize(grid.n, problem.d());
  result.k.resize(grid.m, problem.d());
  result.v.resize(grid.m, dv);
  const typename decltype(result)::Matrix outs = d_out;
  const detail::ProductGradient<S> weight_gradient{
      {outs.data(), dv},
      a.first_row(),
      detail::bind_values<detail::ReadsPlainValues, S>(impl.values(), n, session)};
  detail::ParameterGradients<S> parameters;
  const detail::GradientTargets<S> to{result.q.data(), result.k.data(), result.v.data()};
  const auto run = [&](const auto& stages) {
    detail::differentiate(problem, stages, session, a.first_row(), n, weight_gradient, to, parameters);
  };
  if constexpr (detail::has_router<typename Weights::StageTuple>)
    run(detail::bind_routers(problem, a.stages(), session).stages);
  else
    run(a.stages());
  result.take(parameters, grid, a.first_row());
  return result;
}

}  // namespace filigree

template <class S, class Stages>
struct std::tuple_size<filigree::AttentionGradients<S, Stages>> : std::integral_constant<std::size_t, 3> {};
template <std::size_t i, class S, class Stages>
struct std::tuple_element<i, filigree::AttentionGradients<S, Stages>> {
  using type = typename filigree::AttentionGradients<S, Stages>::Matrix;
};
