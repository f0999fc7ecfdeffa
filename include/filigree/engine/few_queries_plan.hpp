// SPDX-License-Identifier: MIT
#pragma once

#include <algorithm>
#include <cstdint>
#include <limits>

#include "filigree/core/integers.hpp"
#include "filigree/core/lazy.hpp"
#include "filigree/engine/keys.hpp"
#include "filigree/engine/score_tiles.hpp"
#include "filigree/engine/softmax_state.hpp"
#include "filigree/engine/span_lists.hpp"
#include "filigree/engine/value_source.hpp"
#include "filigree/run/workspace.hpp"

namespace filigree::detail {

/// The attention of a few queries: h query heads and hkv key heads of one sequence.
template <class K, class V, class Stages_>
struct FewQueries {
  using Scalar = typename K::Scalar;
  using Stages = Stages_;

  Grid grid;
  Scalar scale;
  Index h, hkv;
  MemoryReader<Scalar> q;  // n x (h d)
  const K* keys;           // [hkv]
  const V* values;         // [hkv]
  const Stages* stages;    // [h], or one if all heads share it
  bool shared;
  Target<Scalar> to;  // n x (h dv)

  /// Returns the number of query heads of a key head.
  [[nodiscard]] Index group() const { return h / hkv; }
  [[nodiscard]] Index d() const { return q.cols() / h; }
  [[nodiscard]] const Stages& stages_of(Index head) const { return stages[shared ? 0 : head]; }
};

/// The scores of the key heads [first, last) against the i-th chunk that is visited, which begins at column c0.
template <Real S>
struct HeadBatch {
  /// The number of keys after which the next head takes its turn.
  static constexpr Index turn = 64;

  Index i, c0, first, last;
  S* tiles;  // of each key head, `size` numbers apart
  Index stride, size;

  [[nodiscard]] S* tile(Index j) const { return tiles + (j - first) * size; }

  /// Calls f(j, part) for the parts of the segments, in the order in which heads take turns.
  template <class F>
  void for_each_turn(const List<kernel::Segment>& segments, const F& f) const {
    for (Index c = 0; c < SoftmaxChunk::keys; c += turn)
      for (Index j = first; j < last; ++j)
        for (const kernel::Segment& s : segments) {
          const kernel::Segment part{(std::max)(s.begin, c), (std::min)(s.end, c + turn)};
          if (part.begin < part.end) f(j, part);
        }
  }
  /// Returns the head after head j.
  [[nodiscard]] Index head_after(Index j) const { return j + 1 < last ? j + 1 : first; }
  /// Returns the distance in memory from the rows of head j to those that are read next. `next` are the rows of the
  /// next head, at the same key.
  Index ahead(Index j, const kernel::StridedRows<const S>& rows, const S* next) const {
    if (rows.data == nullptr) return 0;
    // The rows of different heads may be in different objects, so this is a difference of integers.
    const auto distance = reinterpret_cast<std::intptr_t>(next) - reinterpret_cast<std::intptr_t>(rows.data);
    return static_cast<Index>(distance / static_cast<std::intptr_t>(sizeof(S))) +
           (j + 1 < last ? 0 : turn * rows.stride);
  }
};

/// A problem of which only the shape is known.
template <Real S>
struct ProblemShape {
  struct Keys {
    Range absent;
    [[nodiscard]] Range dropped() const { return absent; }
  };
  using Scalar = S;
  Grid grid;
  Keys keys;

  template <class K>
  static ProblemShape of(const Grid& grid, const K& k) {
    if constexpr (requires { k.dropped(); })
      return {grid, {k.dropped()}};
    else
      return {grid, {{0, 0}}};
  }
};

/// The plan of a few queries: which chunks of keys each row attends to, and the scores of a chunk. Row r of a key head
/// is query r % n of its query head r / n.
template <class Attention>
class FewQueriesPlan {
  using S = typename Attention::Scalar;
  using Stages = typename Attention::Stages;
  using Shape = ProblemShape<S>;
  using Tiles = ScoreTiles<Shape, Stages>;
  static constexpr S absent = -std::numeric_limits<S>::infinity();
  static constexpr Index chunk = SoftmaxChunk::keys;

 public:
  /// Plans the keys, and packs the queries.
  FewQueriesPlan(const Attention& attention, const Session& session)
      : a_(attention),
        session_(session),
        shape_(Shape::of(attention.grid, attention.keys[0])),
        kernels_(kernel::kernels<S>()),
        rows_(a_.group() * a_.grid.n) {
    const Index tail = rows_ % kernels_.height;
    padded_rows_ = tail == 0 ? rows_ : rows_ - tail + kernels_.few_rows(tail);
    plan();
    pack_queries();
  }

  /// Returns the number of rows of a key head, and the number in whole groups.
  [[nodiscard]] Index rows() const { return rows_; }
  [[nodiscard]] Index padded_rows() const { return padded_rows_; }
  [[nodiscard]] Index query_of(Index r) const { return r % a_.grid.n; }
  [[nodiscard]] Index head_of(Index j, Index r) const { return j * a_.group() + r / a_.grid.n; }
  [[nodiscard]] Slice<KeySpan> spans_of(Index j, Index r) const {
    return row_spans_[(a_.shared ? 0 : head_of(j, r) * a_.grid.n) + query_of(r)];
  }
  [[nodiscard]] Slice<KeySpan> block_spans_of(Index j) const { return block_spans_[a_.shared ? 0 : j]; }
  /// Returns the number of rows of the group that begins at row r.
  [[nodiscard]] Index group_rows(Index r) const { return std::min<Index>(kernels_.height, padded_rows_ - r); }

  [[nodiscard]] Index chunk_count() const { return chunk_count_; }
  /// Returns the number of the i-th chunk that a row attends to.
  [[nodiscard]] Index chunk_at(Index i) const {
    const Range* range = chunks_;
    for (; i >= range->end - range->begin; ++range) i -= range->end - range->begin;
    return range->begin + i;
  }

  /// Collects the keys of a chunk that a row attends to, relative to c0. Segments do not share `unit` keys.
  void collect_segments(Index j, Index c0, Index unit, List<kernel::Segment>& segments) const {
    segments.clear();
    const Index c1 = (std::min)(c0 + chunk, a_.grid.m);
    for (const KeySpan& span : overlapping(block_spans_of(j), c0, c1)) {
      const Index begin = (std::max)(span.begin, c0) - c0, end = (std::min)(span.end, c1) - c0;
      if (segments.empty() || round_up(segments.back().end, unit) <= begin / unit * unit)
        segments.push_back({begin, end});
      else
        segments.back().end = end;
    }
  }

  /// Computes the scores of rows [first, last), whole groups, against a segment, in whole vectors. Prefetches the keys
  /// that are `ahead` numbers after those of the segment if they are read in place.
  void score(Index j, Index c0, const kernel::Segment& segment, Index first, Index last, S* tile, Index stride,
             Index ahead, WorkerScratch& scratch) const {
    const auto& keys = a_.keys[j];
    const Index d = a_.d(), width = kernels_.width;
    const auto queries = [&](Index r) { return queries_ + (j * padded_rows_ + r) * d; };
    const Index begin = segment.begin / kernels_.lanes * kernels_.lanes;
    const auto rows = keys.in_place();
    if (rows.data != nullptr && last - first <= kernels_.height) {
      kernels_.score_rows(queries(first), last - first, rows.data + (c0 + begin) * rows.stride, rows.stride,
                          segment.end - begin, d, ahead, a_.scale, tile + begin, stride);
      return;
    }
    for (Index c = begin / width * width; c < segment.end; c += width) {
      ScratchFrame frame(scratch);
      const S* panel = panel_of(keys, (c0 + c) / width, frame, scratch);
      const Index from = std::max<Index>(begin - c, 0), to = std::min<Index>(segment.end - c, width);
      for (Index r = first; r < last; r += group_rows(r))
        kernels_.score_few(queries(r), group_rows(r), panel, d, a_.scale, tile + (r - first) * stride + c, stride, from,
                           to);
    }
  }

  /// Returns a panel of keys. Numbers of 16 bits are widened in memory that stays in the first-level cache.
  template <class K>
  const S* panel_of(const K& keys, Index p, ScratchFrame& frame, WorkerScratch& scratch) const {
    if constexpr (requires { keys.stored_panel(p); })
      if (const kernel::StoredNumbers<S> numbers = keys.stored_panel(p)) {
        const Index size = kernels_.width * a_.d();
        S* to = frame.take<S>(size);
        widen(numbers, size, to);
        return to;
      }
    return keys.panel(p, scratch);
  }

  /// Applies patterns and maps to rows [first, last) of a tile. Absent scores become -inf.
  void mask(Index j, Index c0, Index unit, Index first, Index last, S* tile, Index stride,
            const List<kernel::Segment>& segments) const {
    for (Index r = first; r < last; ++r, tile += stride) {
      const Tiles tiles(shape_, a_.stages_of(head_of(j, r)));
      const Slice<KeySpan> spans = spans_of(j, r);
      for (const kernel::Segment& s : segments) {
        const Index begin = s.begin / unit * unit, end = round_up(s.end, unit);
        Index c = begin;
        for (const KeySpan& span : overlapping(spans, c0 + begin, c0 + end)) {
          const KeySpan part{(std::max)(span.begin, c0 + begin), (std::min)(span.end, c0 + end), span.all};
          std::fill(tile + c, tile + (std::max)(part.begin - c0, c), absent);
          tiles.apply_to_span(tile, part.begin - c0, part, query_of(r));
          c = part.end - c0;
        }
        std::fill(tile + c, tile + end, absent);
      }
    }
  }

 private:
  /// Plans the keys of each row, of all rows of a key head, and the chunks that any row attends to.
  void plan() {
    WorkerScratch& scratch = session_.scratch(0);
    const Grid& grid = a_.grid;
    row_spans_ = SpanLists(session_);
    block_spans_ = SpanLists(session_);
    Ranges& ranges = scratch.coverage.sure;  // free after the rows are planned
    const Index lists = a_.shared ? 1 : a_.hkv, heads = a_.shared ? 1 : a_.group();
    for (Index j = 0; j < lists; ++j) {
      for (Index g = 0; g < heads; ++g) {
        const Tiles tiles(shape_, a_.stages_of(j * a_.group() + g));
        for (Index i = 0; i < grid.n; ++i) {
          tiles.plan(i, i + 1, scratch.coverage, scratch.block_spans);
          row_spans_.append(scratch.block_spans);
        }
      }
      ranges.clear();
      for (Index r = 0; r < heads * grid.n; ++r)
        for (const KeySpan& span : row_spans_[j * heads * grid.n + r])
          ranges.add(grid.key_at + span.begin, grid.key_at + span.end);
      ranges.normalize(0, grid);
      scratch.block_spans.clear();
      for (const Range& range : ranges)
        scratch.block_spans.push_back({grid.column(range.begin), grid.column(range.end), false});
      block_spans_.append(scratch.block_spans);
    }
    scratch.block_spans.clear();
    // The chunks.
    ranges.clear();
    for (Index j = 0; j < lists; ++j)
      for (const KeySpan& span : block_spans_[j]) ranges.add(span.begin / chunk, ceil_div(span.end, chunk));
    ranges.normalize(0, {.m = ceil_div(grid.m, chunk)});
    chunks_ = session_.next_buffer().template get<Range>(ranges.size() + 1);
    chunk_ranges_ = ranges.size();
    std::copy(ranges.begin(), ranges.end(), chunks_);
    ranges.clear();
    for (Index c = 0; c < chunk_ranges_; ++c) chunk_count_ += chunks_[c].end - chunks_[c].begin;
  }

  /// Packs the queries of each key head as groups [d][rows]. The rows after the last query are 0.
  void pack_queries() {
    const Index d = a_.d();
    queries_ = session_.next_buffer().template get<S>(a_.hkv * padded_rows_ * d);
    for (Index j = 0; j < a_.hkv; ++j)
      for (Index r = 0; r < padded_rows_; r += group_rows(r)) {
        const Index size = group_rows(r);
        S* to = queries_ + (j * padded_rows_ + r) * d;
        for (Index e = 0; e < size; ++e) {
          if (r + e < rows_) {
            const Index column = head_of(j, r + e) * d;
            for (Index f = 0; f < d; ++f) to[f * size + e] = a_.q(query_of(r + e), column + f);
          } else {
            for (Index f = 0; f < d; ++f) to[f * size + e] = S(0);
          }
        }
      }
  }

  const Attention& a_;
  const Session& session_;
  Shape shape_;
  const kernel::Kernels<S>& kernels_;
  Index rows_, padded_rows_ = 0;  // of a key head
  SpanLists row_spans_, block_spans_;
  Range* chunks_ = nullptr;  // ranges of chunks that any row attends to
  Index chunk_ranges_ = 0, chunk_count_ = 0;
  S* queries_ = nullptr;  // [hkv][padded_rows][d]
};

}  // namespace filigree::detail
