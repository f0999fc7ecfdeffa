// SPDX-License-Identifier: MIT
#pragma once

#include <concepts>
#include <new>
#include <optional>
#include <tuple>
#include <type_traits>
#include <utility>
#include <vector>

#include "filigree/attention/key_value_cache.hpp"
#include "filigree/attention/multi_head.hpp"
#include "filigree/core/integers.hpp"
#include "filigree/core/list.hpp"
#include "filigree/engine/run_few_queries.hpp"

namespace filigree {

namespace detail {

/// Multi-head attention over caches: rows [i n, (i + 1) n) of Q are the queries of cache i.
template <class Q, class T, class Head>
class CacheHeads {
 public:
  using Scalar = ComputedScalar<T>;
  static_assert(
      std::is_same_v<typename std::remove_cvref_t<Q>::Scalar, Scalar>,
      "filigree: multi_head(heads, Q, cache, head): the scalar of Q must be that of the cache, or float for a "
      "cache of half or bfloat16");
  using Stages = typename HeadStages<Head>::Stages;
  using QueryBlock = decltype(direct(std::declval<const std::remove_cvref_t<Q>&>()).block(0, 0, 0, 0));
  using HeadWeights =
      decltype(make_scores(std::declval<QueryBlock>(), std::declval<CacheKeys<T>>(), {}).then(std::declval<Stages>()));
  using Engine = typename HeadWeights::ProductEngine;

  CacheHeads(heads count, Operand<Q> q, const KeyValueCache<T>* caches, Index sequences, Head head)
      : heads_(count), q_(std::forward<Operand<Q>>(q)), caches_(caches), sequences_(sequences), head_(std::move(head)) {
    check();
  }

  /// Checks the current shapes of the operands. Throws an Error if they do not fit.
  void check() const {
    const Index h = heads_.h;
    require(h >= 1 && h <= 65536, "multi_head(heads{h}, Q, cache, ...): h must be between 1 and 65536, got ", h);
    require(q_.cols() % h == 0, "multi_head(heads{h}, Q, cache, ...): Q.cols() = ", q_.cols(),
            " must be a multiple of h = ", h);
    if (sequences_ == 0) {
      require(q_.rows() == 0, "multi_head(heads{h}, Q, caches, ...): Q must have no rows without caches, has ",
              q_.rows());
      return;
    }
    require(q_.rows() % sequences_ == 0, "multi_head(heads{h}, Q, caches, ...): Q.rows() = ", q_.rows(),
            " must be a multiple of the ", sequences_, " caches");
    for (Index s = 0; s < sequences_; ++s) {
      const KeyValueCache<T>& cache = caches_[s];
      const bool is_only = sequences_ == 1;  // then the name is "cache", otherwise "caches[s]"
      const MessagePart number = is_only ? MessagePart("") : MessagePart(s);
      require(h % cache.heads() == 0,
              is_only ? "multi_head(heads{h}, Q, cache, ...): cache" : "multi_head(heads{h}, Q, caches, ...): caches[",
              number, is_only ? ".heads() = " : "].heads() = ", cache.heads(), " must divide h = ", h);
      require(heads_.hkv == 0 || heads_.hkv == cache.heads(),
              "multi_head(heads{h, hkv}, Q, cache, ...): hkv = ", heads_.hkv,
              is_only ? " must equal cache" : " must equal caches[", number,
              is_only ? ".heads() = " : "].heads() = ", cache.heads());
      require(q_.cols() == h * cache.d(), "multi_head(heads{h}, Q, cache, ...): Q.cols() = ", q_.cols(),
              " must be h = ", h, is_only ? " times cache" : " times caches[", number,
              is_only ? ".d() = " : "].d() = ", cache.d());
      require(cache.dv() == caches_[0].dv(),
              "multi_head(heads{h}, Q, caches, ...): all caches must have dv = ", caches_[0].dv(), ", cache ", s,
              " has ", cache.dv());
      for (Index i = 0; i < h; ++i)
        std::apply([&](const auto&... stage) { (check_for<Scalar>(stage, grid(s)), ...); }, head_stages(head_, i));
    }
  }

  [[nodiscard]] Index rows() const { return q_.rows(); }
  [[nodiscard]] Index cols() const { return sequences_ == 0 ? 0 : caches_[0].dv() * heads_.h; }
  static constexpr const char* name() { return "multi_head(heads, Q, cache, head)"; }

  template <Executor E>
  [[nodiscard]] CacheHeads on(E& executor) const {
    CacheHeads copy = *this;
    copy.execution_.executor = ExecutorRef(executor);
    return copy;
  }
  [[nodiscard]] CacheHeads with(Workspace& workspace) const {
    CacheHeads copy = *this;
    copy.execution_.workspace = &workspace;
    return copy;
  }

  [[nodiscard]] bool reads(const AddressRange& target) const {
    bool any = reads_memory(q_, target);
    for (Index i = 0; i < heads_.h; ++i)
      std::apply([&](const auto&... stage) { any = (any || ... || detail::reads(stage, target)); },
                 head_stages(head_, i));
    return any;
  }

  void evaluate_to(const Target<Scalar>& to) const {
    if (rows() == 0 || cols() == 0) return;
    const Session session(execution_);
    const auto& q = direct(q_);
    if constexpr (has_few_queries_engine<Stages>()) {
      if (sequences_ == 1) {  // the usual case, without allocations
        Sequence sequence;
        if (bind(sequence, 0, q, to, session, few_queries_tasks(session))) {
          const FewEngine* engine = &*sequence.engine;
          return run_few_queries(&engine, 1, session);
        }
        return evaluate_heads(0, q, to, session);
      }
      StableList<Sequence> sequences;
      List<const FewEngine*> engines;
      for (Index s = 0; s < sequences_; ++s) {
        sequences.grow();
        if (bind(sequences[s], s, q, to, session, ceil_div(few_queries_tasks(session), sequences_)))
          engines.push_back(&*sequences[s].engine);
        else
          evaluate_heads(s, q, to, session);
      }
      run_few_queries(engines.begin(), engines.size(), session);
    } else {
      for (Index s = 0; s < sequences_; ++s) evaluate_heads(s, q, to, session);
    }
  }

 private:
  using Keys = PanelKeys<Scalar>;
  using Values = StoredValueRows<Scalar>;
  using Attention = FewQueries<Keys, Values, Stages>;
  using FewEngine = FewQueriesEngine<Attention>;

  /// The evaluation of the few queries of one cache. Its members refer to each other.
  struct Sequence {
    std::optional<HeadStages<Head>> stages{};
    std::optional<Attention> attention{};
    std::optional<FewEngine> engine{};
  };

  /// Returns the number of queries of each cache.
  [[nodiscard]] Index queries() const { return q_.rows() / sequences_; }
  [[nodiscard]] Grid grid(Index s) const {
    const Index n = queries(), m = caches_[s].rows();
    return {.n = n, .m = m, .query_at = m - n, .key_at = 0};
  }
  /// Returns the rows of the target that belong to cache s.
  [[nodiscard]] Target<Scalar> target_of(Index s, Target<Scalar> to) const {
    to.rows = queries();
    to.data += s * to.rows * to.row_stride;
    return to;
  }

  /// Prepares the evaluation of few queries of cache s. Returns false if evaluate_heads() must compute them.
  template <class X>
  bool bind(Sequence& sequence, Index s, const X& q, const Target<Scalar>& to, const Session& session,
            Index tasks) const {
    const KeyValueCache<T>& cache = caches_[s];
    const Index h = heads_.h, hkv = cache.heads();
    if (cache.rows() == 0 || cache.d() == 0 || !is_few_queries(queries(), h / hkv)) return false;
    const HeadStages<Head>& stages = sequence.stages.emplace(head_, h, grid(s));
    if (stages.scatter(grid(s))) return false;
    auto* keys = session.next_buffer().template get<Keys>(hkv);
    auto* values = session.next_buffer().template get<Values>(hkv);
    for (Index i = 0; i < hkv; ++i) {
      ::new (keys + i) Keys{cache.panels(i)};
      ::new (values + i) Values{cache.value_rows(i)};
    }
    sequence.attention.emplace(Attention{.grid = grid(s),
                                         .scale = default_scale<Scalar>(cache.d()),
                                         .h = h,
                                         .hkv = hkv,
                                         .q = reader_of(q.middleRows(s * queries(), queries())),
                                         .keys = keys,
                                         .values = values,
                                         .stages = stages.data(),
                                         .shared = stages.shared,
                                         .to = target_of(s, to)});
    sequence.engine.emplace(*sequence.attention, session, tasks);
    return true;
  }

  /// Computes the heads of cache s one after another.
  template <class X>
  void evaluate_heads(Index s, const X& q, const Target<Scalar>& to, const Session& session) const {
    const KeyValueCache<T>& cache = caches_[s];
    const Index h = heads_.h, n = queries(), d = cache.d(), dv = cache.dv();
    const HeadStages<Head> stages(head_, h, grid(s));
    for (Index i = 0; i < h; ++i) {
      Target<Scalar> head_target = target_of(s, to);
      head_target.data += i * dv * to.col_stride;
      head_target.cols = dv;
      if (cache.rows() == 0) {
        for (Index r = 0; r < n; ++r)
          for (Index f = 0; f < dv; ++f) head_target.store(r, f, Scalar(0));
        continue;
      }
      const Index j = i / (h / cache.heads());
      const HeadWeights weights =
          make_scores(QueryBlock(q.block(s * n, i * d, n, d)), cache.head(j), {}).then(Stages(stages.of(i)));
      weights.for_each_output(
          session, {.to = head_target,
                    .first = 0,
                    .v = bind_values<typename HeadWeights::ProductEngine, Scalar>(cache.values(j), n, session)});
    }
  }

  heads heads_;
  Operand<Q> q_;
  const KeyValueCache<T>* caches_;
  Index sequences_;
  Head head_;
  Execution execution_;
};

template <class Head>
inline constexpr bool is_pipeline_or_function = Piped<Head> || std::invocable<const std::decay_t<Head>&, Index>;

}  // namespace detail

/// Computes multi-head attention of the last n positions of a sequence, whose keys and values are in a cache.
///
/// The cache must outlive the result, and is read when the result is computed. `head` is as in multi_head(heads, Q, K,
/// V, head). heads{h} is enough: hkv is that of the cache. Each head has the bits of
/// (scores(Q_i, cache.head(j)) | head) * cache.values(j).
/// Shapes    Q: n x (h d), of the scalar of the cache, or float if that is half or bfloat16; result: n x (h dv)
/// Cost      for few queries, K and V are read once; all threads are used, also for one query
/// Edge case an empty cache gives rows of +0
/// Aliasing  safe
/// Throws    Error if the heads of the cache do not divide h, or if Q.cols() is not h * cache.d()
/// Reference Shazeer, arXiv:1911.02150; grouped queries: Ainslie et al., arXiv:2305.13245; keys in parallel chunks:
///           Dao et al., "Flash-Decoding for long-context inference", 2023
template <DenseExpression Q, class T, class Head>
auto multi_head(heads count, Q&& q, const KeyValueCache<T>& cache, Head&& head) {
  static_assert(detail::is_pipeline_or_function<Head>,
                "filigree: multi_head(heads, Q, cache, head): head must be a pipeline or a function of the head index");
  using Impl = detail::CacheHeads<Q, T, std::decay_t<Head>>;
  return LazyDense<Impl>(Impl(count, std::forward<Q>(q), &cache, 1, std::forward<Head>(head)));
}
/// Computes multi-head attention of several sequences, each with its cache, on all threads together.
///
/// Rows [i n, (i + 1) n) of Q are the last n positions of sequence i.
/// Shapes    Q: (n caches.size()) x (h d); result: (n caches.size()) x (h dv)
/// Throws    Error if the caches have different d or dv, or if their number does not divide Q.rows()
template <DenseExpression Q, class T, class Head>
auto multi_head(heads count, Q&& q, const std::vector<KeyValueCache<T>>& caches, Head&& head) {
  static_assert(detail::is_pipeline_or_function<Head>,
                "filigree: multi_head(heads, Q, cache, head): head must be a pipeline or a function of the head index");
  using Impl = detail::CacheHeads<Q, T, std::decay_t<Head>>;
  return LazyDense<Impl>(
      Impl(count, std::forward<Q>(q), caches.data(), static_cast<Index>(caches.size()), std::forward<Head>(head)));
}
/// Does not compile: the cache must outlive the result.
template <class Q, class T, class Head>
void multi_head(heads, Q&&, const KeyValueCache<T>&&, Head&&) = delete;
/// Does not compile: the caches must outlive the result.
template <class Q, class T, class Head>
void multi_head(heads, Q&&, const std::vector<KeyValueCache<T>>&&, Head&&) = delete;

}  // namespace filigree
