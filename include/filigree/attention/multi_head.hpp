// SPDX-License-Identifier: MIT
#pragma once

#include <algorithm>
#include <atomic>
#include <cmath>
#include <concepts>
#include <cstddef>
#include <memory>
#include <new>
#include <optional>
#include <tuple>
#include <type_traits>
#include <utility>
#include <vector>

#include "filigree/attention/scores.hpp"
#include "filigree/core/integers.hpp"
#include "filigree/core/list.hpp"
#include "filigree/core/operand.hpp"
#include "filigree/engine/form.hpp"
#include "filigree/engine/head_keys.hpp"
#include "filigree/engine/run_few_queries.hpp"
#include "filigree/engine/stride.hpp"
#include "filigree/pattern/plan.hpp"

namespace filigree {

/// The numbers of heads: h query heads and hkv key and value heads (0 means h). Query head i uses the key and value
/// head i / (h / hkv).
struct heads {
  Index h;
  Index hkv = 0;
};

namespace detail {

/// Returns x if its coefficients can be accessed directly in memory, otherwise its value as a matrix.
template <class X>
decltype(auto) direct(const X& x) {
  if constexpr (DirectAccess<X>)
    return (x);
  else
    return Eigen::Matrix<typename X::Scalar, Eigen::Dynamic, Eigen::Dynamic, Eigen::RowMajor>(x);
}

/// Returns the columns of a head of a matrix in memory. A matrix without rows may have no memory.
template <DirectAccess X>
auto columns_of(const X& x, Index first, Index count) {
  return x.middleCols(x.rows() > 0 ? first : 0, count);
}

/// Returns the stages of head i: of the common pipeline, or of the pipeline that the function returns for i.
template <class Head>
auto head_stages(const Head& head, Index i) {
  if constexpr (Piped<Head>)
    return stages_of(head);
  else
    return stages_of(head(i));
}

/// Returns a stage that all heads share: patterns that are expensive to plan are planned here, up to `max_bytes` of
/// memory. Patterns with an engine of their own stay as they are.
template <Stage T>
auto shared_stage(const T& stage, const Grid& grid, std::size_t max_bytes) {
  if constexpr (keeps_is_expensive<T> && !is_plan<T> && !has_stride<T> && !PartitionedPattern<T>)
    return Plan<T>(stage, grid, max_bytes);
  else
    return stage;
}

/// Returns the stages of all heads if they share a pipeline. See shared_stage().
template <class Head>
auto shared_stages(const Head& head, const Grid& grid, std::size_t max_bytes) {
  if constexpr (Piped<Head>)
    return std::apply([&](const auto&... stage) { return std::tuple(shared_stage(stage, grid, max_bytes)...); },
                      stages_of(head));
  else
    return std::tuple<>();
}

template <class Head>
auto shared_or_first_stages(const Head& head) {
  if constexpr (Piped<Head>)
    return shared_stages(head, Grid(), 0);
  else
    return head_stages(head, 0);
}

/// The stages of the heads of an evaluation of few queries: one pipeline that all share, or one for each head.
template <class Head>
class HeadStages {
 public:
  static constexpr bool shared = Piped<Head>;
  using Stages = decltype(shared_or_first_stages(std::declval<const Head&>()));

  /// Patterns are planned only for the queries of the evaluation.
  HeadStages(const Head& head, Index h, const Grid& grid) {
    if constexpr (shared) {
      one_.emplace(shared_stages(head, grid, 0));
    } else {
      each_.reserve(h);
      for (Index i = 0; i < h; ++i) each_.push_back(head_stages(head, i));
    }
  }
  [[nodiscard]] const Stages* data() const { return shared ? &*one_ : each_.data(); }
  [[nodiscard]] const Stages& of(Index head) const { return data()[shared ? 0 : head]; }
  /// Returns true if a pattern scatters the keys of a query, so that they are gathered and summed in another order.
  [[nodiscard]] bool scatter(const Grid& grid) const {
    const Index count = shared ? 1 : each_.size();
    bool any = false;
    for (Index i = 0; i < count; ++i)
      std::apply([&](const auto&... stage) { any = (any || ... || is_scattered(stage, grid)); }, data()[i]);
    return any;
  }

 private:
  std::optional<Stages> one_;
  List<Stages> each_;
};

/// Returns the scale of the scores of heads with d features.
template <Real S>
S default_scale(Index d) {
  return static_cast<S>(d > 0 ? 1 / std::sqrt(static_cast<double>(d)) : 1.0);
}

/// The keys of a head as an operand of scores(Q, K).
template <class Reader, Real S>
struct HeadKeysOperand {
  using Scalar = S;
  HeadKeys<Reader, S> keys;

  [[nodiscard]] Index rows() const { return keys.rows(); }
  [[nodiscard]] Index cols() const { return keys.d(); }
};
template <class Reader, class S>
inline constexpr bool is_packed<HeadKeysOperand<Reader, S>> = true;
template <class Reader, class S>
struct KeysOf<HeadKeysOperand<Reader, S>, S> {
  using type = HeadKeys<Reader, S>;
  static type bind(const HeadKeysOperand<Reader, S>& k) { return k.keys; }
};

template <class Q, class K, class V, class Head>
class MultiHead {
  template <class X>
  using Direct = std::remove_cvref_t<decltype(direct(std::declval<const std::remove_cvref_t<X>&>()))>;
  using QueryBlock = decltype(std::declval<const Direct<Q>&>().middleCols(0, 0));
  using ValueBlock = decltype(std::declval<const Direct<V>&>().middleCols(0, 0));

 public:
  using Scalar = typename std::remove_cvref_t<Q>::Scalar;

  using Shared = decltype(shared_stages(std::declval<const Head&>(), Grid(), 0));
  static auto stages_of_job(const Head& head, Index i, const Shared& shared) {
    if constexpr (Piped<Head>)
      return shared;
    else
      return head_stages(head, i);
  }
  using Stages = typename HeadStages<Head>::Stages;
  using Keys = HeadKeys<MemoryReader<typename Direct<K>::Scalar>, Scalar>;
  using KeysOperand = HeadKeysOperand<MemoryReader<typename Direct<K>::Scalar>, Scalar>;
  using Values = ReadValues<MemoryReader<typename Direct<V>::Scalar>, Scalar>;
  using HeadWeights =
      decltype(make_scores(std::declval<QueryBlock>(), std::declval<KeysOperand>(), {}).then(std::declval<Stages>()));
  using Engine = typename HeadWeights::ProductEngine;

  MultiHead(heads count, Operand<Q> q, Operand<K> k, Operand<V> v, Head head)
      : heads_(count),
        q_(std::forward<Operand<Q>>(q)),
        k_(std::forward<Operand<K>>(k)),
        v_(std::forward<Operand<V>>(v)),
        head_(std::move(head)) {
    if (heads_.hkv == 0) heads_.hkv = heads_.h;
    check();
  }

  /// Checks the current shapes of the operands. Throws an Error if they do not fit.
  void check() const {
    const auto [h, hkv] = heads_;
    require(h >= 1, "multi_head(heads{h, hkv}, ...): h must be at least 1, got ", h);
    require(h <= max_heads, "multi_head(heads{h, hkv}, ...): h must be at most ", max_heads, ", got ", h);
    require(hkv >= 1 && h % hkv == 0, "multi_head(heads{h, hkv}, ...): hkv must divide h = ", h, ", got ", hkv);
    require(q_.cols() % h == 0, "multi_head(heads, Q, K, V, ...): Q.cols() = ", q_.cols(),
            " must be a multiple of h = ", h);
    require(k_.cols() == q_.cols() / h * hkv, "multi_head(heads, Q, K, V, ...): K.cols() = ", k_.cols(),
            " must be hkv = ", hkv, " times the ", q_.cols() / h, " columns of a head of Q");
    require(v_.cols() % hkv == 0, "multi_head(heads, Q, K, V, ...): V.cols() = ", v_.cols(),
            " must be a multiple of hkv = ", hkv);
    require(v_.rows() == k_.rows(), "multi_head(heads, Q, K, V, ...): V.rows() = ", v_.rows(),
            " must equal K.rows() = ", k_.rows());
    const Grid grid{.n = q_.rows(), .m = k_.rows(), .query_at = k_.rows() - q_.rows(), .key_at = 0};
    for (Index i = 0; i < h; ++i)
      std::apply([&](const auto&... stage) { (check_for<Scalar>(stage, grid), ...); }, head_stages(head_, i));
  }

  [[nodiscard]] Index rows() const { return q_.rows(); }
  [[nodiscard]] Index cols() const { return v_.cols() / heads_.hkv * heads_.h; }
  static constexpr const char* name() { return "multi_head(heads, Q, K, V, head)"; }

  [[nodiscard]] const heads& count() const { return heads_; }
  [[nodiscard]] const auto& queries() const { return q_; }
  [[nodiscard]] const auto& keys() const { return k_; }
  [[nodiscard]] const auto& values() const { return v_; }
  [[nodiscard]] const Head& head() const { return head_; }
  [[nodiscard]] const Execution& execution() const { return execution_; }

  template <Executor E>
  [[nodiscard]] MultiHead on(E& executor) const {
    MultiHead copy = *this;
    copy.execution_.executor = ExecutorRef(executor);
    return copy;
  }
  [[nodiscard]] MultiHead with(Workspace& workspace) const {
    MultiHead copy = *this;
    copy.execution_.workspace = &workspace;
    return copy;
  }

  [[nodiscard]] bool reads(const AddressRange& target) const {
    bool any = reads_memory(q_, target) || reads_memory(k_, target) || reads_memory(v_, target);
    for (Index i = 0; i < heads_.h; ++i)
      std::apply([&](const auto&... stage) { any = (any || ... || detail::reads(stage, target)); },
                 head_stages(head_, i));
    return any;
  }

  void evaluate_to(const Target<Scalar>& to) const {
    const auto [h, hkv] = heads_;
    if (rows() == 0 || k_.rows() == 0) {  // avoids offsets from a null pointer for the columns of a head
      for (Index i = 0; i < rows(); ++i)
        for (Index f = 0; f < cols(); ++f) to.store(i, f, Scalar(0));
      return;
    }
    const Session session(execution_);
    const auto& q = direct(q_);
    const auto& k = direct(k_);
    const auto& v = direct(v_);
    const Index d = q.cols() / h, dv = v.cols() / hkv, m = k.rows();
    if constexpr (has_few_queries_engine<Stages>())
      if (d > 0 && dv > 0 && is_few_queries(q.rows(), h / hkv) && evaluate_few(q, k, v, to, session)) return;
    const Index heads_per_key_head = h / hkv;
    const Grid grid{.n = q.rows(), .m = m, .query_at = m - q.rows(), .key_at = 0};

    // Planning for all heads is not parallel, so it saves time with more heads than threads. The plan takes at most a
    // quarter of the memory of the operands.
    const bool plans = h > session.concurrency();
    const std::size_t max_bytes =
        plans ? static_cast<std::size_t>(q.size() + k.size() + v.size()) * sizeof(Scalar) / 4 : 0;
    const Shared shared = shared_stages(head_, grid, max_bytes);

    // The keys and values of each key head are packed once and used by all of its query heads.
    const Index lanes = kernel::kernels<Scalar>().lanes, padded = round_up(dv, lanes);
    const Index panel_size = PackedPanels<Scalar>::size(m, d), row_size = m * padded;
    Scalar* keys = session.keys().get<Scalar>(hkv * panel_size);
    Scalar* rows = session.values().get<Scalar>(hkv * row_size);
    const bool packs_all = Form<Stages>::streamed == 0 || 4 * grid.n >= m;
    const Index panels = ceil_div(m, kernel::kernels<Scalar>().width);
    std::vector<std::atomic<unsigned char>> states(static_cast<std::size_t>(packs_all ? 0 : hkv * panels));
    List<KeysOperand> packed;
    List<ValueRows<Scalar>> values;
    for (Index i = 0; i < hkv; ++i) {
      Keys key_head{reader_of(k.middleCols(i * d, d))};
      key_head.panels.data = keys + i * panel_size;
      if (packs_all)
        (void)pack_panels_to(key_head.reader, keys + i * panel_size,
                             [&](Index tasks, auto&& f) { session.run(tasks, f); });
      else
        key_head.states = states.data() + i * panels;
      packed.push_back({key_head});
      const ValueBlock value = v.middleCols(i * dv, dv);
      values.push_back(ValueRows<Scalar>::bind(reader_of(value), q.rows() * heads_per_key_head, session,
                                               [&](Index) { return rows + i * row_size; }));
    }

    List<std::unique_ptr<const Job>> jobs;  // pointers, since a job has members that refer to other members
    for (Index i = 0; i < h; ++i) {
      Target<Scalar> head_target = to;
      head_target.data += i * dv * to.col_stride;
      head_target.cols = dv;
      const Index key_head = i / heads_per_key_head;
      jobs.push_back(
          std::make_unique<const Job>(make_scores(QueryBlock(q.middleCols(i * d, d)), KeysOperand(packed[key_head]), {})
                                          .then(stages_of_job(head_, i, shared)),
                                      session, ProductSink<Scalar>{head_target, 0, values[key_head]}));
    }
    const Index n = q.rows();
    List<typename Engine::Run> runs;
    runs.reserve(h);
    List<Index> ends;  // cumulative number of blocks of queries, per head: engines may differ in block height
    for (const auto& job : jobs) {
      runs.push_back(prepare(job->engine, 0, n, session, job->sink));
      ends.push_back((ends.empty() ? 0 : ends.back()) + ceil_div(n, job->engine.height()));
    }
    session.run(ends.back(), [&](Index task, Index worker) {
      const auto found = std::upper_bound(ends.begin(), ends.end(), task);
      const Index head = found - ends.begin();
      const Job& job = *jobs[head];
      const Index height = job.engine.height(), first = (task - (found == ends.begin() ? 0 : found[-1])) * height;
      runs[head].rows(first, (std::min)(first + height, n), session.scratch(worker), job.sink);
    });
  }

 private:
  /// Computes few queries of all heads together. Returns false if an engine that sums in another order must compute
  /// them.
  template <class QX, class KX, class VX>
  bool evaluate_few(const QX& q, const KX& k, const VX& v, const Target<Scalar>& to, const Session& session) const {
    const auto [h, hkv] = heads_;
    const Index d = q.cols() / h, dv = v.cols() / hkv;
    const Grid grid{.n = q.rows(), .m = k.rows(), .query_at = k.rows() - q.rows(), .key_at = 0};
    const HeadStages<Head> stages(head_, h, grid);
    if (stages.scatter(grid)) return false;
    auto* keys = session.next_buffer().template get<Keys>(hkv);
    auto* values = session.next_buffer().template get<Values>(hkv);
    for (Index i = 0; i < hkv; ++i) {
      ::new (keys + i) Keys{reader_of(k.middleCols(i * d, d))};
      ::new (values + i) Values{reader_of(v.middleCols(i * dv, dv))};
    }
    using Attention = FewQueries<Keys, Values, Stages>;
    const Attention attention{.grid = grid,
                              .scale = default_scale<Scalar>(d),
                              .h = h,
                              .hkv = hkv,
                              .q = reader_of(q),
                              .keys = keys,
                              .values = values,
                              .stages = stages.data(),
                              .shared = stages.shared,
                              .to = to};
    const FewQueriesEngine<Attention> engine(attention, session, few_queries_tasks(session));
    const auto* const pointer = &engine;
    run_few_queries(&pointer, 1, session);
    return true;
  }
  static constexpr Index max_heads = 65536;

  struct Job {
    Job(HeadWeights w, const Session& session, ProductSink<Scalar> s)
        : weights(std::move(w)),
          bound(weights.source().bind()),
          engine(bound, weights.stages(), session, weights.row_count()),
          sink(s) {}
    Job(const Job&) = delete;
    Job& operator=(const Job&) = delete;

    HeadWeights weights;
    typename HeadWeights::Bound bound;
    Engine engine;
    ProductSink<Scalar> sink;
  };

  heads heads_;
  Operand<Q> q_;
  Operand<K> k_;
  Operand<V> v_;
  Head head_;
  Execution execution_;
};

}  // namespace detail

/// Computes multi-head attention. The heads are adjacent groups of columns of Q, K, V and the result.
///
/// `head` is the pipeline of every head, or a function of the head index that returns a pipeline. The result is a lazy
/// Eigen expression like A * V.
/// Shapes    Q: n x (h d), K: m x (hkv d), V: m x (hkv dv), result: n x (h dv)
/// Cost      h times the cost of one head; parallel over heads and blocks of queries; the keys of a key head are packed
///           once, or read in place for few queries, which are parallel over keys too. With more heads than threads, a
///           pattern that is expensive to plan, such as random(), is planned once
/// Aliasing  safe
/// Throws    Error unless 1 <= h <= 65536 and hkv divides h, or if the numbers of columns are not multiples
/// Reference Vaswani et al., arXiv:1706.03762, section 3.2.2; grouped queries: Ainslie et al., arXiv:2305.13245
template <DenseExpression Q, DenseExpression K, DenseExpression V, class Head>
auto multi_head(heads count, Q&& q, K&& k, V&& v, Head&& head) {
  using S = typename std::remove_cvref_t<Q>::Scalar;
  static_assert(
      StoredReal<typename std::remove_cvref_t<K>::Scalar, S> && StoredReal<typename std::remove_cvref_t<V>::Scalar, S>,
      "filigree: multi_head(heads, Q, K, V, head): Q, K and V must have the same scalar");
  static_assert(detail::Piped<Head> || std::invocable<const std::decay_t<Head>&, Index>,
                "filigree: multi_head(heads, Q, K, V, head): head must be a pipeline or a function of the head index");
  using Impl = detail::MultiHead<Q, K, V, std::decay_t<Head>>;
  return LazyDense<Impl>(
      Impl(count, std::forward<Q>(q), std::forward<K>(k), std::forward<V>(v), std::forward<Head>(head)));
}

}  // namespace filigree
