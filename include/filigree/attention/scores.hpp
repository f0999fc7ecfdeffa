// SPDX-License-Identifier: MIT
#pragma once

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <limits>
#include <optional>
#include <type_traits>
#include <utility>

#include "filigree/attention/packed_keys.hpp"
#include "filigree/core/integers.hpp"
#include "filigree/engine/choose.hpp"
#include "filigree/pipe/product.hpp"

namespace filigree {

/// Options of scores(Q, K, options).
struct score_options {
  std::optional<double> scale = {};    ///< scale of the dot products; 1 / sqrt(d) by default
  std::optional<Index> query_at = {};  ///< position of the first query; key_at + m - n by default
  Index key_at = 0;                    ///< position of the first key
};

namespace detail {

/// Scores bound for one evaluation: readers of Q and K, and the keys as packed panels. The type depends only on the
/// readers, not on the types of Q and K, so that an engine is compiled once for all matrices in memory.
template <class QueryReader, class KeyReader>
class BoundScores {
 public:
  using Scalar = typename QueryReader::Scalar;

  template <class Source>
  BoundScores(const Source& source, const Session&, Index)
      : queries_(source.queries()),
        reader_(source.keys()),
        grid_(source.grid()),
        scale_(source.scale()),
        keys_(bind_keys(reader_)) {}

  [[nodiscard]] const Grid& grid() const { return grid_; }

  /// Packs all keys before `count` queries read the panels. It does nothing for few queries, or if the panels() that
  /// neighboring queries read fit into the L2 cache of each worker. Each worker then packs a panel when it first reads
  /// it, and later reads hit the cache.
  template <class Panels>
  void pack(const Session& session, Index count, Panels&& panels) const {
    if constexpr (!packed_before) {
      if (has_panels() || count <= max_unpacked_queries || d() == 0) return;
      const Index slots = PanelCache::slots(static_cast<std::size_t>(keys_.width * d()) * sizeof(Scalar));
      if (panels() <= slots)
        slots_ = slots;
      else
        keys_ = pack_panels<Scalar>(reader_, session.keys(), session);
    }
  }
  /// Returns how many times all panels can be packed in less time than writing them to memory and reading them again
  /// takes: 0 if they are packed or small, 1 if the keys are an expression or are stored by features.
  [[nodiscard]] Index max_repacks() const {
    if constexpr (!packed_before) {
      if (grid_.m * d() * static_cast<Index>(sizeof(Scalar)) <= cache_budget().packed) return 0;
      return reader_.contiguous_rows() ? 3 : 1;
    }
    return 0;
  }
  [[nodiscard]] const Scalar* panel(Index p, WorkerScratch& scratch) const {
    if constexpr (!packed_before) {
      if (!has_panels() && d() > 0) {
        Scalar* panel = scratch.keys.slot<Scalar>(p, keys_.width * d());
        if (!scratch.keys.lookup(p)) pack_panel(reader_, keys_, p, panel);
        return panel;
      }
    }
    return keys_.panel(p);
  }
  /// Prefetches the memory that panel(p) will read.
  void request_panel(Index p, Prefetcher& prefetcher) const {
    const Index first = p * keys_.width, count = (std::min)(keys_.width, keys_.m - first);
    if (has_panels())
      prefetcher.request(keys_.panel(p), keys_.width, d(), d());
    else if constexpr (!packed_before)
      request_rows(reader_, first, count, prefetcher);
  }
  /// Prefetches the memory that pack_queries() will read.
  void request_queries(Index first, Index count, Prefetcher& prefetcher) const {
    request_rows(queries_, first, (std::min)(count, grid_.n - first), prefetcher);
  }
  /// Returns true if all panels are stored contiguously at packed(). Otherwise panel() packs them on demand.
  [[nodiscard]] bool has_panels() const { return keys_.data != nullptr; }
  [[nodiscard]] const Scalar* packed() const { return keys_.data; }
  /// Packs `count` keys as one panel. The remaining columns of the panel are filled with arbitrary keys.
  void gather_panel(const Column* columns, Index count, Scalar* out) const {
    if constexpr (!packed_before) {
      detail::gather_panel(reader_, keys_, columns, count, out);
    } else {
      for (Index c = 0; c < keys_.width; ++c) {
        const Index key = columns[(std::min)(c, count - 1)];
        const Scalar* from = keys_.panel(key / keys_.width) + key % keys_.width;
        for (Index f = 0; f < d(); ++f) out[f * keys_.width + c] = from[f * keys_.width];
      }
    }
  }
  void copy_query(Index i, Scalar* out, Index step = 1) const { queries_.copy_row(i, out, step); }
  void copy_key(Index j, Scalar* out) const {
    if constexpr (!packed_before) {
      reader_.copy_row(j, out);
    } else {
      const Scalar* from = keys_.panel(j / keys_.width) + j % keys_.width;
      for (Index f = 0; f < d(); ++f) out[f] = from[f * keys_.width];
    }
  }
  /// Returns the keys in place, key_stride() apart, if each key is contiguous. Otherwise returns null.
  [[nodiscard]] const Scalar* key_rows() const {
    if constexpr (!packed_before) {
      if constexpr (KeyReader::direct) return reader_.contiguous_rows() ? reader_.data() : nullptr;
    }
    return nullptr;
  }
  [[nodiscard]] Index key_stride() const {
    if constexpr (!packed_before) {
      if constexpr (KeyReader::direct) return reader_.row_stride();
    }
    return d();
  }
  /// Allocates the panel cache of a worker. Must be called before panel().
  void reserve(WorkerScratch& scratch) const {
    scratch.keys.reset<Scalar>(slots_, keys_.width * d());  // at least one slot, for later calls with few queries
  }
  [[nodiscard]] Scalar scale() const { return scale_; }
  [[nodiscard]] Index d() const { return queries_.cols(); }
  [[nodiscard]] Index height() const { return kernel::kernels<Scalar>().height; }
  [[nodiscard]] Index stride() const { return (keys_.panels() + 1) * keys_.width; }

  /// Packs queries [first, first + count) as groups [.][d][height]. Missing rows of the last group are 0.
  void pack_queries(Index first, Index count, Scalar* out) const {
    if (d() == 0) return;  // out may be null
    const Index height = this->height();
    for (Index g = 0; g < count; g += height, out += d() * height) {
      if constexpr (QueryReader::direct) {
        if (queries_.contiguous_rows() && g + height <= count) {
          const Scalar* rows = queries_.data() + (first + g) * queries_.row_stride();
          kernel::kernels<Scalar>().pack_group(rows, queries_.row_stride(), d(), out);
          continue;
        }
      }
      for (Index r = 0; r < height; ++r) {
        if (g + r < count)
          queries_.copy_row(first + g + r, out + r, height);
        else
          for (Index f = 0; f < d(); ++f) out[f * height + r] = Scalar(0);
      }
    }
  }

  /// Computes all scores of `count` rows.
  Scalar* fill(Index first, Index count, WorkerScratch& scratch) const {
    const auto& kernels = kernel::kernels<Scalar>();
    const Index groups = ceil_div(count, height());
    Scalar* q = scratch.queries.get<Scalar>(groups * height() * d());
    pack_queries(first, count, q);
    reserve(scratch);
    Scalar* out = scratch.tile.get<Scalar>(groups * height() * stride());
    for (Index panel = 0; panel < keys_.panels(); ++panel)
      kernels.score_panel(q, groups, this->panel(panel, scratch), d(), scale_, out + panel * keys_.width, stride());
    return out;
  }

 private:
  static constexpr Index max_unpacked_queries = 16;

  static constexpr bool packed_before = std::is_same_v<KeyReader, PackedPanels<Scalar>>;

  static PackedPanels<Scalar> bind_keys(const KeyReader& keys) {
    if constexpr (packed_before)
      return keys;
    else
      return PackedPanels<Scalar>::none(keys.rows(), keys.cols());
  }

  QueryReader queries_;
  KeyReader reader_;  // of the original keys
  Grid grid_;
  Scalar scale_;
  mutable PackedPanels<Scalar> keys_;
  mutable Index slots_ = 1;  // of the panel cache of each worker, if keys are not packed
};

/// The reader of K. For packed keys, these are the panels.
template <class K>
struct KeyReaderOf {
  using type = Reader<K>;
};
template <class S>
struct KeyReaderOf<PackedKeys<S>> {
  using type = PackedPanels<S>;
};

/// The scores of the rows of Q against the rows of K, as a source of a pipeline.
template <class Q, class K>
class ScoreSource {
 public:
  using Queries = std::remove_cvref_t<Q>;
  using Keys = std::remove_cvref_t<K>;
  using Scalar = typename Queries::Scalar;
  using KeyReader = typename KeyReaderOf<Keys>::type;
  using Bound = BoundScores<Reader<Queries>, KeyReader>;
  static_assert(Real<Scalar>,
                "filigree: scores(Q, K): the scalar must be float or double; K alone may be half or bfloat16");
  static_assert(StoredReal<typename Keys::Scalar, Scalar>,
                "filigree: scores(Q, K): Q and K must have the same scalar; cast one with .cast<>()");
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
  [[nodiscard]] Reader<Queries> queries() const { return reader_of(q_); }
  [[nodiscard]] KeyReader keys() const {
    if constexpr (is_packed<Keys>)
      return k_.panels();
    else
      return reader_of(k_);
  }

  [[nodiscard]] bool reads(const AddressRange& target) const {
    return reads_memory(q_, target) || (!is_packed<Keys> && reads_keys(target));
  }

  template <class Stages>
  using Engine = RowsEngine<Bound, Stages>;
  template <class Stages>
  using ProductEngine = detail::ProductEngine<Bound, Stages>;

 private:
  bool reads_keys(const AddressRange& target) const {
    if constexpr (is_packed<Keys>)
      return false;
    else
      return reads_memory(k_, target);
  }

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
  requires(detail::SparseOperand<Q> || detail::SparseOperand<K>)
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
