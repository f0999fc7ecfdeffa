// SPDX-License-Identifier: MIT
#pragma once

#include <cmath>
#include <limits>
#include <optional>
#include <type_traits>
#include <utility>

#include "filigree/attention/packed_keys.hpp"
#include "filigree/core/operand.hpp"
#include "filigree/engine/choose.hpp"
#include "filigree/engine/keys.hpp"
#include "filigree/engine/problem.hpp"
#include "filigree/engine/queries.hpp"
#include "filigree/pipe/product.hpp"

namespace filigree {

/// Options of scores(Q, K, options).
struct score_options {
  std::optional<double> scale = {};    ///< scale of the dot products; 1 / sqrt(d) by default
  std::optional<Index> query_at = {};  ///< position of the first query; key_at + m - n by default
  Index key_at = 0;                    ///< position of the first key
};

namespace detail {

/// How engines read K: the rows of an expression, or keys that are packed.
template <class K, class S>
struct KeysOf {
  using type = StreamedKeys<Reader<K>, S>;
  static type bind(const K& k) { return {reader_of(k)}; }
};
template <class S>
struct KeysOf<PackedKeys<S>, S> {
  using type = PanelKeys<S>;
  static type bind(const PackedKeys<S>& k) { return {k.panels()}; }
};

/// The scores of the rows of Q against the rows of K, as a source of a pipeline.
template <class Q, class K>
class ScoreSource {
 public:
  using Queries = std::remove_cvref_t<Q>;
  using Keys = std::remove_cvref_t<K>;
  using Scalar = typename Queries::Scalar;
  static_assert(Real<Scalar>,
                "filigree: scores(Q, K): the scalar must be float or double; K alone may be half or bfloat16");
  static_assert(StoredReal<typename Keys::Scalar, Scalar>,
                "filigree: scores(Q, K): Q and K must have the same scalar; cast one with .cast<>()");
  using Bound = Problem<RowsOf<Reader<Queries>>, typename KeysOf<Keys, Scalar>::type>;
  static constexpr bool is_scores = true, is_column = false;
  static constexpr const char* name() { return "scores(Q, K) | stages"; }

  ScoreSource(Operand<Q> q, Operand<K> k, const score_options& options)
      : q_(std::forward<Operand<Q>>(q)),
        k_(std::forward<Operand<K>>(k)),
        has_scale_(options.scale.has_value()),
        has_query_at_(options.query_at.has_value()),
        scale_(options.scale.value_or(1)),
        query_at_(options.query_at.value_or(0)),
        key_at_(options.key_at) {
    check();
  }

  /// Checks the current shapes and positions of the operands. Throws an Error if they do not fit.
  void check() const {
    require(q_.cols() == k_.cols(), "scores(Q, K): Q.cols() = ", q_.cols(), " must equal K.cols() = ", k_.cols());
    constexpr Index max_rows = (std::numeric_limits<Column>::max)() - 1024;
    require(k_.rows() <= max_rows, "scores(Q, K): K.rows() must be at most ", max_rows, ", got ", k_.rows());
    require_finite<Scalar>(scale_, "scores(Q, K, scale): scale");
    const auto require_position = [](Index position, const char* name) {
      require(-max_position <= position && position <= max_position, "scores(Q, K, {.", name,
              "}): must be between -2^60 and 2^60, got ", position);
    };
    require_position(key_at_, "key_at");
    require_position(query_at_, "query_at");
  }

  [[nodiscard]] Grid grid() const {
    const Index n = q_.rows(), m = k_.rows();
    return {.n = n, .m = m, .query_at = has_query_at_ ? query_at_ : key_at_ + m - n, .key_at = key_at_};
  }
  [[nodiscard]] Scalar scale() const {
    const auto d = static_cast<double>(q_.cols());
    return static_cast<Scalar>(has_scale_ ? scale_ : d > 0 ? 1.0 / std::sqrt(d) : 1.0);
  }
  /// Returns d, the number of features.
  [[nodiscard]] Index features() const { return q_.cols(); }
  /// Returns the problem for one evaluation.
  [[nodiscard]] Bound bind() const { return {{reader_of(q_)}, KeysOf<Keys, Scalar>::bind(k_), grid(), scale()}; }

  [[nodiscard]] bool reads(const AddressRange& target) const {
    if constexpr (is_packed<Keys>)
      return reads_memory(q_, target);
    else
      return reads_memory(q_, target) || reads_memory(k_, target);
  }

  template <class Stages>
  using Engine = RowsEngine<Bound, Stages>;
  template <class Stages>
  using ProductEngine = detail::ProductEngine<Bound, Stages>;

 private:
  // Differences of positions within this distance from 0 do not overflow.
  static constexpr Index max_position = Index{1} << 60;

  Operand<Q> q_;
  Operand<K> k_;
  // Not std::optional: g++ 12 warns at -O3 about copies of an empty one.
  bool has_scale_, has_query_at_;
  double scale_;
  Index query_at_, key_at_;
};

template <class Q, class K>
auto make_scores(Q&& q, K&& k, const score_options& options) {
  using Source = ScoreSource<Q, K>;
  return Weights<Source>(Source(std::forward<Q>(q), std::forward<K>(k), options), {});
}

template <class K>
concept KeysExpression = DenseExpression<K> || is_packed<std::remove_cvref_t<K>>;

}  // namespace detail

/// Returns the scores of all queries against all keys, a lazy matrix.
///
/// Each score is accumulated over ascending features by one chain of multiply-adds in the scalar of Q, and then
/// multiplied by the scale. K of half or bfloat16 is converted exactly to that scalar when it is packed.
///
/// Formula   s(i, c) = ⟨q_i, k_c⟩ / √d
/// Shapes    Q: n x d, K: m x d or pack(K); result: n x m
/// Edge case d = 0 gives scores of 0; the scale defaults to 1 / sqrt(d)
/// Throws    Error if Q.cols() != K.cols(), if the scale is not finite or if the magnitude of a position exceeds 2^60;
///           everything is checked now and again at evaluation
/// Reference Vaswani et al., arXiv:1706.03762, equation 1
template <DenseExpression Q, detail::KeysExpression K>
auto scores(Q&& q, K&& k) {
  return detail::make_scores(std::forward<Q>(q), std::forward<K>(k), {});
}
/// Does not compile: Q and K must be dense.
template <class Q, class K, class... Options>
  requires(detail::SparseExpression<Q> || detail::SparseExpression<K>)
void scores(Q&&, K&&, const Options&...) {
  static_assert(!sizeof(Q), "filigree: scores(Q, K): Q and K must be dense; convert a sparse matrix to a dense one");
}
/// Returns the scores with a given scale.
///
/// Formula    s(i, c) = scale · ⟨q_i, k_c⟩
template <DenseExpression Q, detail::KeysExpression K>
auto scores(Q&& q, K&& k, double scale) {
  return detail::make_scores(std::forward<Q>(q), std::forward<K>(k), {.scale = scale});
}
/// Returns the scores with a given scale and positions: scores(Q, K, {.scale = 0.5, .query_at = 7, .key_at = 0}).
///
/// Formula    p = query_at + i, j = key_at + c
template <DenseExpression Q, detail::KeysExpression K>
auto scores(Q&& q, K&& k, const score_options& options) {
  return detail::make_scores(std::forward<Q>(q), std::forward<K>(k), options);
}

}  // namespace filigree
