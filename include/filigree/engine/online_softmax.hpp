// SPDX-License-Identifier: MIT
#pragma once

#include <algorithm>
#include <limits>
#include <tuple>
#include <type_traits>
#include <utility>

#include "filigree/core/list.hpp"
#include "filigree/engine/score_tiles.hpp"
#include "filigree/engine/softmax_state.hpp"
#include "filigree/normalize/softmax.hpp"
#include "filigree/pipe/sinks.hpp"

// The block engine: scores | patterns and maps | softmax, times V. The scores of a block of queries against a chunk of
// keys become weights and meet V before the next chunk. Neither scores nor weights outlive their chunk.

namespace filigree::detail {

/// Whether a pipeline on scores has the form of the engine.
template <class Stages>
inline constexpr bool is_online_softmax_form = false;
template <class... T>
  requires(sizeof...(T) > 0)
inline constexpr bool is_online_softmax_form<std::tuple<T...>> = [] {
  constexpr bool stream[] = {PatternStage<T> || MapStage<T>...};
  for (std::size_t i = 0; i + 1 < sizeof...(T); ++i)
    if (!stream[i]) return false;
  return std::is_same_v<std::tuple_element_t<sizeof...(T) - 1, std::tuple<T...>>, Softmax>;
}();

/// Its sink is one of products: it has the rows of V and takes outputs.
template <class Bound, class Stages>
class OnlineSoftmaxEngine {
  using S = typename Bound::Scalar;
  static constexpr std::size_t before = std::tuple_size_v<Stages> - 1;

 public:
  static constexpr bool fused = true, aligns_values = true;

  /// `count` rows will be asked for in all.
  OnlineSoftmaxEngine(const Bound& source, const Stages& stages, const Session& session, Index count)
      : OnlineSoftmaxEngine(source, stages,
                            session.concurrency() > 1 ? (count - 1) / (4 * session.concurrency()) + 1 : count) {
    pack_keys(source, session, count, [&] { return panels_seen(session.scratch(0)); });
  }
  /// `fair` rows are one worker's share.
  OnlineSoftmaxEngine(const Bound& source, const Stages& stages, Index fair)
      : source_(source), stages_(stages), tiles_(source, stages), kernels_(kernel::kernels<S>()) {
    const Index cached = cache_shares().queries / (static_cast<Index>(sizeof(S)) * std::max<Index>(source.d(), 1));
    const Index most = tiles_.round_up(std::clamp<Index>(cached, 4 * kernels_.height, 96));
    // Rows that see the same keys make a block that needs no plan for its groups.
    const Index alike = tiles_.same_keys_until(0);
    height_ =
        (std::min)(2 * alike > most && alike < 2 * most ? alike : most, tiles_.round_up(std::max<Index>(fair, 1)));
  }

  [[nodiscard]] Index height() const { return height_; }

  /// Takes the memory that a block will need.
  void reserve(WorkerScratch& scratch) const {
    tiles_.reserve(height_, scratch);
    source_.reserve(scratch);
    scratch.before.clear();  // K and V may be others than those of the last evaluation
    scratch.prefetcher.clear();
    scratch.tile.get<S>(tiles_.round_up(height_) * stride);
    scratch.segments.reserve(32);
  }

  /// Takes V, and memory for its products. To be called before run(), if prepare() is not.
  void take_values(const ValueRows<S>& v, const Session& session) const {
    values_ = v;
    value_slots_ = 0;
    for (Index worker = 0; worker < session.concurrency(); ++worker) sums_of(height_, v, session.scratch(worker));
  }

  /// Where there are fewer blocks than workers, computes the chunks of each apart.
  template <class Sink>
  void prepare(Index first, Index count, const Session& session, const Sink& sink) const {
    take_values(sink.values(), session);
    align_values(count, session);
    const ValueRows<S>& v = values_;
    visits_ = {};
    if ((count + height_ - 1) / height_ >= session.concurrency()) return;
    const Slice<Visit> visits = visits_of(first, first + count, session);
    const Index tasks = 4 * session.concurrency();
    if (visits.size() < tasks) return;
    sums_ = allocate_state<S>(session.memory(), visits.size() * tiles_.round_up(height_), v.padded);
    session.run(tasks, [&](Index task, Index worker) {
      const Index begin = task * visits.size() / tasks, end = (task + 1) * visits.size() / tasks;
      attend_visits(visits, begin, end, first + count, v, session.scratch(worker));
    });
    visits_ = visits;
  }

  template <class Sink>
  void run(Index first, Index last, WorkerScratch& scratch, Sink&& sink) const {
    const ValueRows<S>& v = values_;
    const Index begin = visits_before(first), end = visits_before(last);
    for (Index i = begin + 1; i < end; ++i) kernels_.merge(slot(begin), slot(i), last - first, v.padded);
    if constexpr (requires { sink.request(first, last, scratch.prefetcher); })
      if (begin == end) sink.request(first, last - first, scratch.prefetcher);
    const kernel::SoftmaxState<S> sums =
        begin == end ? partial(first, last - first, v, scratch) : checked(slot(begin), first, last - first, v, scratch);
    finish_rows(first, last - first, sums, std::get<before>(stages_), sink);
  }

  /// Sums of the rows [first, first + rows), not yet divided.
  kernel::SoftmaxState<S> partial(Index first, Index rows, const ValueRows<S>& v, WorkerScratch& scratch) const {
    return checked(attend<false>(first, rows, v, scratch), first, rows, v, scratch);
  }

 private:
  /// A row's sums run over chunks of columns that do not depend on what is computed beside it, and chunks are merged in
  /// ascending order, so that they can be computed apart.
  static constexpr Index chunk = 512;
  static constexpr Index stride = chunk + 16;  // rows of scores that begin in different sets of the cache

  using Panels = ScoreTiles<Bound, Stages, before>;
  using Block = typename Panels::Block;

  /// The panels that a block sees, one in the middle standing for all; very many, if blocks beside each other share so
  /// few that packing them for each would pack all of them twice.
  [[nodiscard]] Index panels_seen(WorkerScratch& scratch) const {
    const Grid& grid = source_.grid();
    const Index first = grid.n / 2 / height_ * height_, blocks = (grid.n + height_ - 1) / height_;
    const auto seen = [&](Index rows) {
      Index number = 0;
      tiles_.plan(first, (std::min)(first + rows, grid.n), scratch.coverage, scratch.block);
      tiles_.for_each_panel(scratch, [&](Index) { ++number; });
      return number;
    };
    if (grid.n == 0) return 0;
    const Index one = seen(height_), two = seen(2 * height_);
    scratch.block.clear();  // no block was computed
    return (two - one) * blocks <= 2 * (grid.m / kernels_.width + 1) ? one : (std::numeric_limits<Index>::max)();
  }

  /// Copies rows of V if that pays: as many as a worker has in its second-level cache if blocks beside each other see
  /// no more, else all of them. Engines that take turns on one worker, as those of heads, must get rows that need no
  /// copy: a ring knows the numbers of panels alone.
  void align_values(Index count, const Session& session) const {
    const Index m = source_.grid().m, width = kernels_.width;
    if (!values_.worth_a_copy(count, m)) return;
    const Index slots = PanelCache::slots(static_cast<std::size_t>(width * values_.padded) * sizeof(S));
    if (slots % (chunk / width) == 0 && panels_seen(session.scratch(0)) <= slots) {
      value_slots_ = slots;
      for (Index worker = 0; worker < session.concurrency(); ++worker)
        session.scratch(worker).value_panels.template reset<S>(slots, width * values_.padded);
    } else {
      values_ = values_.copied(m, session);
    }
  }
  /// The rows of V that belong to the keys of a panel and follow them, and their stride.
  std::pair<const S*, Index> values_from(Index panel, const ValueRows<S>& v, WorkerScratch& scratch) const {
    const Index width = kernels_.width;
    if (value_slots_ == 0) return {v.padded > 0 ? v.data + panel * width * v.stride : v.data, v.stride};
    return {scratch.value_panels.slot<S>(panel, width * v.padded), v.padded};
  }
  void fetch_values(Index panel, const ValueRows<S>& v, WorkerScratch& scratch) const {
    if (value_slots_ == 0 || scratch.value_panels.lookup(panel)) return;
    const Index width = kernels_.width, first = panel * width;
    S* to = scratch.value_panels.slot<S>(panel, width * v.padded);
    for (Index j = first; j < (std::min)(first + width, source_.grid().m); ++j, to += v.padded)
      std::copy_n(v.data + j * v.stride, v.padded, to);
  }

  /// A chunk that some query of the block of row `first` sees.
  struct Visit {
    Index first, chunk;
  };

  /// Those of the rows [first, last), in ascending order.
  Slice<Visit> visits_of(Index first, Index last, const Session& session) const {
    const Index chunks = (source_.grid().m + chunk - 1) / chunk, blocks = (last - first + height_ - 1) / height_;
    Visit* visits = session.memory().template get<Visit>(chunks * blocks);
    Index number = 0;
    WorkerScratch& scratch = session.scratch(0);
    for (; first < last; first += height_) {
      tiles_.plan(first, (std::min)(first + height_, last), scratch.coverage, scratch.block);
      const Index start = number;
      tiles_.for_each_panel(scratch, [&](Index panel) {
        const Index c = panel * kernels_.width / chunk;
        if (number == start || visits[number - 1].chunk != c) visits[number++] = {first, c};
      });
    }
    scratch.block.clear();
    return {visits, visits + number};
  }
  /// Those of the visits [begin, end), each into its slot.
  void attend_visits(Slice<Visit> visits, Index begin, Index end, Index last, const ValueRows<S>& v,
                     WorkerScratch& scratch) const {
    while (begin < end) {
      const Index first = visits[begin].first;
      Index next = begin;
      while (next < end && visits[next].first == first) ++next;
      const Block block = tiles_.begin(first, (std::min)(height_, last - first), scratch);
      for_each_chunk(block, v, {visits[begin].chunk, visits[next - 1].chunk + 1}, scratch, [&](Index c, S* scores) {
        const kernel::SoftmaxState<S> sums = slot(begin++);
        for_each_group(block, [&](Index r, Index n) {
          const kernel::SoftmaxState<S> to = sums.from(r, kernels_.lanes);
          if (!absorb<false>(c, block, r, scores + r * stride, v, to, scratch)) clear(to, n);
        });
      });
    }
  }
  [[nodiscard]] Index visits_before(Index row) const {
    const auto before_row = [&](const Visit& visit) { return visit.first < row; };
    return std::partition_point(visits_.begin(), visits_.end(), before_row) - visits_.begin();
  }
  [[nodiscard]] kernel::SoftmaxState<S> slot(Index visit) const {
    return sums_.from(visit * tiles_.round_up(height_), kernels_.lanes);
  }

  /// The same sums, unless a row of V that is not finite may have reached rows that must not see it, as 0 times what it
  /// holds.
  kernel::SoftmaxState<S> checked(const kernel::SoftmaxState<S>& sums, Index first, Index rows, const ValueRows<S>& v,
                                  WorkerScratch& scratch) const {
    return kernels_.all_finite(sums.out, v.padded, rows, v.padded) ? sums : attend<true>(first, rows, v, scratch);
  }

  /// Room for the sums of a block, and for those of one more group.
  kernel::SoftmaxState<S> sums_of(Index rows, const ValueRows<S>& v, WorkerScratch& scratch) const {
    return allocate_state<S>(scratch.sums, tiles_.round_up(rows) + kernels_.height, v.padded);
  }

  template <bool careful>
  kernel::SoftmaxState<S> attend(Index first, Index rows, const ValueRows<S>& v, WorkerScratch& scratch) const {
    const Block block = tiles_.begin(first, rows, scratch);
    look_ahead(block, v, scratch);
    const kernel::SoftmaxState<S> whole = sums_of(rows, v, scratch),
                                  part = whole.from(tiles_.round_up(rows), kernels_.lanes);
    bool any = false;
    for_each_chunk(block, v, everything, scratch, [&](Index c, S* scores) {
      for_each_group(block, [&](Index r, Index n) {
        const kernel::SoftmaxState<S> to = whole.from(r, kernels_.lanes);
        const bool met = absorb<careful>(c, block, r, scores + r * stride, v, any ? part : to, scratch);
        if (met && any) kernels_.merge(to, part, n, v.padded);
        if (!met && !any) clear(to, n);
      });
      any = true;
    });
    if (!any) clear(whole, rows);
    scratch.prefetcher.clear();
    return whole;
  }

  /// Asks for what this block reads and the one before it did not, as far as there is room, and for the queries after
  /// it.
  void look_ahead(const Block& block, const ValueRows<S>& v, WorkerScratch& scratch) const {
    if constexpr (requires { source_.request_panel(0, scratch.prefetcher); }) {
      const Index width = kernels_.width, m = source_.grid().m, groups = tiles_.round_up(block.rows) / kernels_.height;
      Index panels = 0;
      tiles_.for_each_panel(scratch, [&](Index panel) {
        if (scratch.prefetcher.full()) return;
        ++panels;
        if (tiles_.seen_before(panel, scratch)) return;
        source_.request_panel(panel, scratch.prefetcher);
        if (v.padded > 0)
          scratch.prefetcher.request(v.data + panel * width * v.stride, (std::min)(width, m - panel * width), v.padded,
                                     v.stride);
      });
      source_.request_queries(block.first + block.rows, block.rows, scratch.prefetcher);
      scratch.prefetcher.pace(panels * groups);
    }
  }

  /// Calls f(chunk, scores) for the chunks in a range that some query of the block sees.
  template <class F>
  void for_each_chunk(const Block& block, const ValueRows<S>& v, Range among, WorkerScratch& scratch, F&& f) const {
    const Index per_chunk = chunk / kernels_.width;
    S* scores = scratch.tile.get<S>(tiles_.round_up(block.rows) * stride);
    Index current = -1;
    tiles_.for_each_panel(scratch,
                          [&](Index panel) {
                            const Index number = panel / per_chunk;
                            if (current != number && current >= 0) f(current, scores);
                            current = number;
                            score(panel, block, v, scores + (panel % per_chunk) * kernels_.width, scratch);
                          },
                          {among.begin * per_chunk, among.end * per_chunk});
    if (current >= 0) f(current, scores);
  }
  static constexpr Range everything = {0, (std::numeric_limits<Index>::max)() / chunk};

  /// Calls f(r, n) for the groups of rows [r, r + n) of a block.
  template <class F>
  void for_each_group(const Block& block, F&& f) const {
    for (Index r = 0; r < block.rows; r += kernels_.height) f(r, std::min<Index>(kernels_.height, block.rows - r));
  }

  /// The scores of a panel, of the groups that see some of it.
  void score(Index panel, const Block& block, const ValueRows<S>& v, S* to, WorkerScratch& scratch) const {
    fetch_values(panel, v, scratch);
    const S* keys = source_.panel(panel, scratch);
    const auto queries = [&](Index r) { return block.queries + r * source_.d(); };
    tiles_.visit(
        panel, block, scratch,
        [&](Index r, Index n) {
          for (const Index end = r + n; r < end; r += kernels_.height) {
            scratch.prefetcher.issue();
            kernels_.score_panel(queries(r), 1, keys, source_.d(), source_.scale(), to + r * stride, stride);
          }
        },
        [&](Index r, Index) {
          scratch.prefetcher.issue();
          const Range part = tiles_.seen(panel, r, scratch);
          kernels_.score_columns(queries(r), keys, source_.d(), source_.scale(), to + r * stride, stride, part.begin,
                                 part.end);
        });
  }

  /// What a chunk gives to the group of row r; false if the group sees nothing of it.
  template <bool careful>
  bool absorb(Index number, const Block& block, Index r, S* scores, const ValueRows<S>& v,
              const kernel::SoftmaxState<S>& to, WorkerScratch& scratch) const {
    const Index lanes = kernels_.lanes, n = std::min<Index>(kernels_.height, block.rows - r);
    const Index c0 = number * chunk, c1 = (std::min)(c0 + chunk, source_.grid().m);
    const auto down = [&](Index c) { return c / lanes * lanes; };
    const auto up = [&](Index c) { return (c + lanes - 1) / lanes * lanes; };
    auto& segments = scratch.segments;
    segments.clear();
    if (c1 == up(c1) && tiles_.sees_all(c0, c1, scratch)) {
      segments.push_back({0, c1 - c0});
      tiles_.map(scores, stride, block, r, n, c0, c1);
    } else {
      tiles_.plan_groups(block, scratch);
      for (const KeySpan& span : overlapping(tiles_.group(r, scratch), c0, c1)) {
        const Index begin = (std::max)(span.begin, c0) - c0, end = (std::min)(span.end, c1) - c0;
        if (segments.empty() || up(segments.back().end) <= down(begin))
          segments.push_back({begin, end});
        else
          segments.back().end = end;
      }
      if (segments.empty()) return false;
      for (const kernel::Segment& s : segments)
        tiles_.mask(scores + down(s.begin), stride, block, r, n, c0 + down(s.begin), c0 + up(s.end), scratch);
    }
    const auto [rows, rows_stride] = values_from(number * (chunk / kernels_.width), v, scratch);
    (careful ? kernels_.attend_nonfinite : kernels_.attend_chunk)(
        scores, stride, segments.data(), static_cast<Index>(segments.size()), rows, rows_stride, v.padded, n, to);
    return true;
  }

  const Bound& source_;
  const Stages& stages_;
  Panels tiles_;
  const kernel::Kernels<S>& kernels_;
  Index height_;
  mutable ValueRows<S> values_{};
  mutable Index value_slots_ =
      0;  // for rows of V, by panels of keys, with each worker; none: they are read where they lie
  mutable Slice<Visit> visits_;  // that were computed apart, and their sums
  mutable kernel::SoftmaxState<S> sums_{};
};

}  // namespace filigree::detail
