// SPDX-License-Identifier: MIT
#pragma once

#include <tuple>
#include <type_traits>
#include <utility>

#include "filigree/core/lazy.hpp"
#include "filigree/engine/values.hpp"
#include "filigree/pipe/dense_source.hpp"
#include "filigree/run/engine_kind.hpp"
#include "filigree/run/sinks.hpp"
#include "filigree/stage/pipeline.hpp"

namespace filigree {

template <class Source, Stage... Stages>
class Weights;

namespace detail {

template <class T>
inline constexpr bool is_weights = false;
template <class Source, class... S>
inline constexpr bool is_weights<Weights<Source, S...>> = true;
template <class T>
concept WeightsExpression = is_weights<std::remove_cvref_t<T>>;

/// The Weights type with the stages of a tuple.
template <class Source, class Tuple>
struct WeightsOf;
template <class Source, class... S>
struct WeightsOf<Source, std::tuple<S...>> {
  using type = Weights<Source, S...>;
};

/// A range of rows of a source. A negative count means all rows, also after the source is resized.
struct RowSlice {
  Index first = 0, count = -1;
};

}  // namespace detail

/// A lazy matrix: a source and the stages applied to its rows. Nothing is computed until it is assigned to a dense or
/// sparse matrix or multiplied by values.
///
/// It is not an Eigen expression. Operations that would silently compute all n x m numbers, or that are ambiguous, do
/// not compile.
/// Aliasing  safe: if the target shares memory with an operand, the result is computed in a temporary
/// Throws    Error before anything is written, if a stage does not fit the shape or the target has another shape.
///           After std::bad_alloc or an exception of a user's function, a dense target may be partly written, a sparse
///           target is unchanged, and the workspace can be used again
template <class Source, Stage... Stages>
class Weights : public LazyMatrix<Weights<Source, Stages...>, typename Source::Scalar> {
 public:
  using Scalar = typename Source::Scalar;
  using StageTuple = std::tuple<Stages...>;
  using Engine = typename Source::template Engine<StageTuple>;
  using ProductEngine = typename Source::template ProductEngine<StageTuple>;  // the engine of A * V
  using Bound = typename Source::Bound;
  static constexpr bool is_column = Source::is_column;  // the source is a column vector, read as one row

  Weights(Source source, StageTuple stages, const detail::RowSlice& slice = {}, detail::Execution execution = {})
      : source_(std::move(source)), stages_(std::move(stages)), slice_(slice), execution_(execution) {
    check();
  }

  /// Returns the number of rows. Shapes are those of the operands at the time of the call.
  [[nodiscard]] Index rows() const { return is_column ? source_.grid().m : row_count(); }
  [[nodiscard]] Index cols() const { return is_column ? row_count() : source_.grid().m; }

  // Checks that the operands fit together. Every evaluation calls it before it writes anything.
  //
  // Throws  Error if they do not fit
  void check() const {
    source_.check();
    const Grid grid = source_.grid();
    std::apply([&](const auto&... stage) { (detail::check_for<Scalar>(stage, grid), ...); }, stages_);
    check_slice();
  }

  /// Returns the same weights, computed by this executor, which must outlive them.
  template <Executor E>
  [[nodiscard]] Weights on(E& executor) const& {
    return Weights(*this).on(executor);
  }
  template <Executor E>
  [[nodiscard]] Weights on(E& executor) && {
    execution_.executor = ExecutorRef(executor);
    return std::move(*this);
  }

  /// Returns the same weights, computed in this memory, which must outlive them.
  [[nodiscard]] Weights with(Workspace& workspace) const& { return Weights(*this).with(workspace); }
  [[nodiscard]] Weights with(Workspace& workspace) && {
    execution_.workspace = &workspace;
    return std::move(*this);
  }

  /// Returns rows first, ..., first + count - 1. Only these rows are computed.
  [[nodiscard]] Weights middleRows(Index first, Index count) const {
    static_assert(!is_column, "filigree: A.middleRows(first, count): a column vector is one row");
    const Index rows = row_count();
    detail::require(first >= 0 && count >= 0 && count <= rows && first <= rows - count,
                    "A.middleRows(first, count): rows ", first, " to ", end_of(first, count), " must be within the ",
                    rows, " rows of A");
    Weights copy = *this;
    copy.slice_ = {.first = slice_.first + first, .count = count};
    return copy;
  }

  /// Converts to a matrix with a fixed or bounded shape. Matrices of any shape use Eigen's constructor from EigenBase,
  /// which only asserts that the shape fits.
  template <class S, int R, int C, int O, int MaxR, int MaxC>
    requires(R != Eigen::Dynamic || MaxR != Eigen::Dynamic || (is_column ? C != 1 : MaxC != Eigen::Dynamic))
  operator Eigen::Matrix<S, R, C, O, MaxR, MaxC>() const {
    Eigen::Matrix<S, R, C, O, MaxR, MaxC> result;
    detail::assign(result, static_cast<const LazyMatrix<Weights, Scalar>&>(*this));
    return result;
  }
  template <class S, int O, class Integer>
  operator Eigen::SparseMatrix<S, O, Integer>() const {
    static_assert(std::is_same_v<S, Scalar>, "filigree: the target must have the scalar of the expression");
    return to_sparse<Eigen::SparseMatrix<S, O, Integer>>();
  }

  template <bool never = false>
  void transpose() const {
    static_assert(never, "filigree: A.transpose(): weights are lazy rows; assign them to a matrix and transpose that");
  }
  template <bool never = false>
  void adjoint() const {
    static_assert(never, "filigree: A.adjoint(): weights are lazy rows; assign them to a matrix and transpose that");
  }

  template <class B>
  void cwiseProduct(const B&) const {
    static_assert(!sizeof(B), "filigree: A.cwiseProduct(B): weights are lazy rows; assign them to a matrix first");
  }
  template <bool never = false>
  void array() const {
    static_assert(never, "filigree: A.array(): weights are lazy rows; assign them to a matrix first");
  }

  [[nodiscard]] const Source& source() const { return source_; }
  [[nodiscard]] const StageTuple& stages() const { return stages_; }
  [[nodiscard]] const detail::Execution& execution() const { return execution_; }
  [[nodiscard]] Index first_row() const { return slice_.first; }
  [[nodiscard]] Index row_count() const { return slice_.count < 0 ? source_.grid().n : slice_.count; }

  // Returns the same source with more stages appended. This is the implementation of `A | stages`.
  template <class... More>
  [[nodiscard]] auto then(std::tuple<More...> more) const& {
    return Weights(*this).then(std::move(more));
  }
  template <class... More>
  [[nodiscard]] auto then(std::tuple<More...> more) && {
    auto stages = detail::join(std::move(stages_), std::move(more));
    return typename detail::WeightsOf<Source, decltype(stages)>::type(std::move(source_), std::move(stages), slice_,
                                                                      execution_);
  }

  /// Calls sink(row, scratch) for each row after its last stage, concurrently for different rows.
  void for_each_row(const detail::Session& session, const detail::RowSink<Scalar>& sink) const {
    const Index count = row_count();
    Bound bound = source_.bind();
    const Engine engine(bound, stages_, session, count);
    detail::for_each_row(engine, slice_.first, count, session, sink);
  }

  /// Computes A * V into the sink. A fused engine passes output rows to it instead of rows of weights.
  void for_each_output(const detail::Session& session, const detail::ProductSink<Scalar>& sink) const {
    if constexpr (std::is_same_v<ProductEngine, Engine>) {
      for_each_row(session, sink);
    } else {
      const Index count = row_count();
      Bound bound = source_.bind();
      const ProductEngine engine(bound, stages_, session, count);
      detail::for_each_row(engine, slice_.first, count, session, sink);
    }
  }

  static constexpr const char* name() { return Source::name(); }

  [[nodiscard]] bool reads(const AddressRange& target) const {
    return source_.reads(target) ||
           std::apply([&](const auto&... stage) { return (detail::reads(stage, target) || ...); }, stages_);
  }

  void evaluate_to(detail::Target<Scalar> to) const {
    if (is_column) std::swap(to.row_stride, to.col_stride);
    const detail::Session session(execution_);
    for_each_row(session, detail::DenseSink<Scalar>{to, slice_.first});
  }

  template <class Sparse>
  Sparse to_sparse() const {
    check();
    const detail::Session session(execution_);
    detail::SparseSink<Scalar> sink(slice_.first, row_count(), session);
    for_each_row(session, sink);
    return sink.template matrix<Sparse>(source_.grid().m, is_column);
  }

 private:
  static_assert(
      !Source::is_scores || !detail::has_matrix_stage<StageTuple>,
      "filigree: this stage works on a whole matrix (winner_take_all, prune_magnitude, batch_top_k): use it on a "
      "dense source, not on scores");
  static_assert(
      Source::is_scores || !detail::has_router<StageTuple>,
      "filigree: this stage is a router (prob_sparse, block_top_k, lsh), which reads queries and keys: use it on "
      "scores(Q, K), not on a dense source");
  static_assert(!detail::has_layer<StageTuple>,
                "filigree: this stage is a layer (linear, penalize): use it in network(...) or autoencoder(...)");

  static Index end_of(Index first, Index count) {
    constexpr Index max_index = (std::numeric_limits<Index>::max)();
    return count > 0 && first > max_index - count ? max_index : first + count;
  }
  void check_slice() const {
    const auto [first, count] = slice_;
    const Index n = source_.grid().n;
    detail::require(count < 0 || (count <= n && first <= n - count), "A.middleRows(first, count): rows ", first, " to ",
                    end_of(first, count), " must be within the ", n, " rows that A has now");
  }

  Source source_;
  StageTuple stages_;
  detail::RowSlice slice_;
  detail::Execution execution_;
};

namespace detail {

template <class T>
inline constexpr bool runs_fused = T::ProductEngine::fused;
template <class Impl>
inline constexpr bool runs_fused<LazyDense<Impl>> = Impl::Engine::fused;

template <class T>
inline constexpr EngineKind runs_engine = T::Engine::kind;
template <class Impl>
inline constexpr EngineKind runs_engine<LazyDense<Impl>> = Impl::Engine::kind;

}  // namespace detail

/// True if the product is computed by a fused engine, which never materializes the n x m scores.
template <class T>
inline constexpr bool is_fused = detail::runs_fused<std::remove_cvref_t<T>>;

/// The engine that computes the rows of weights A, a product A * V or multi_head(...), after routers are replaced by
/// the stages that they choose: `std::cout << engine_of<decltype(A * V)>`.
template <class T>
inline constexpr EngineKind engine_of = detail::runs_engine<std::remove_cvref_t<T>>;

/// Applies a stage or a pipeline to each row of a dense expression.
///
/// Cost  none until evaluation, which needs O(m) memory per row
template <DenseExpression X, detail::Piped Next>
auto operator|(X&& x, Next&& next) {
  using Source = detail::DenseSource<X>;
  Source source(std::forward<X>(x));
  auto stages = detail::stages_of(std::forward<Next>(next));
  return typename detail::WeightsOf<Source, decltype(stages)>::type(std::move(source), std::move(stages));
}
/// Appends a stage or a pipeline to weights.
template <detail::WeightsExpression A, detail::Piped Next>
auto operator|(A&& a, Next&& next) {
  return std::forward<A>(a).then(detail::stages_of(std::forward<Next>(next)));
}

template <detail::WeightsExpression A, detail::Piped B>
std::remove_cvref_t<A> operator&&(A&& a, B&&) {
  static_assert(!sizeof(A), "filigree: A | a && b means (A | a) && b: write A | (a && b)");
  return std::forward<A>(a);
}
template <detail::WeightsExpression A, detail::Piped B>
std::remove_cvref_t<A> operator||(A&& a, B&&) {
  static_assert(!sizeof(A), "filigree: A | a || b means (A | a) || b: write A | (a || b)");
  return std::forward<A>(a);
}

/// Does not compile: softmax(2 * s) and 2 * softmax(s) are easily confused.
template <class Number, class Source, class... S>
  requires std::is_arithmetic_v<Number>
void operator*(const Number&, const Weights<Source, S...>&) {
  static_assert(!sizeof(Number),
                "filigree: 2 * A: weights are not scaled; use map(f) before the normalizer, or 2 * (A * V)");
}
/// Does not compile, for the same reason.
template <class Number, class Source, class... S>
  requires std::is_arithmetic_v<Number>
void operator*(const Weights<Source, S...>&, const Number&) {
  static_assert(!sizeof(Number),
                "filigree: A * 2: weights are not scaled; use map(f) before the normalizer, or 2 * (A * V)");
}

/// Does not compile: the source must be on the left of its stages.
template <detail::Piped A, class B>
  requires(detail::WeightsExpression<B> || DenseExpression<B>)
void operator|(A&&, B&&) {
  static_assert(!sizeof(B), "filigree: stages | source: the source must be on the left: scores(Q, K) | stages");
}

}  // namespace filigree
