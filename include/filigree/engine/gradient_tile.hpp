// SPDX-License-Identifier: MIT
#pragma once

#include <algorithm>
#include <cstddef>
#include <limits>
#include <tuple>
#include <type_traits>
#include <utility>

#include "filigree/core/integers.hpp"
#include "filigree/core/with_indices.hpp"
#include "filigree/engine/dropped_weights.hpp"
#include "filigree/engine/form.hpp"
#include "filigree/engine/panels.hpp"
#include "filigree/engine/queries.hpp"
#include "filigree/engine/score_tiles.hpp"
#include "filigree/engine/stage_subsets.hpp"
#include "filigree/stage/derivative.hpp"

namespace filigree::detail {

/// The operands of the backward pass, as contiguous rows of whole vectors, and the sums that it adds to.
template <Real S>
struct TileOperands {
  const S *queries, *keys;  // Q and K, [.][padded]
  const S* outs;            // dO, [.][padded_v]
  PackedPanels<S> values;   // V
  Index padded, padded_v;
  kernel::SoftmaxRows<S> rows;  // of each query
  kernel::StridedRows<S> dq, dk, dv;
  Index first_key = 0;  // of the rows of dk and dv
};

/// Adds numbers to a row of sums.
template <Real S>
void add_row(const S* from, Index length, const kernel::StridedRows<S>& to, Index row) {
  for (Index f = 0; f < length; ++f) to.data[row * to.stride + f] += from[f];
}

/// Backpropagates through tiles of one block of queries and one panel of keys: problem | patterns and maps | softmax,
/// optionally | dropout.
template <class P, class Stages>
class GradientTile {
  using S = typename P::Scalar;
  using Form = detail::Form<Stages>;
  using Patterns = decltype(pattern_references<Form::streamed>(std::declval<const Stages&>()));
  using Maps = decltype(map_references<Form::streamed>(std::declval<const Stages&>()));
  using Tiles = ScoreTiles<P, Patterns>;
  using Block = typename Tiles::Block;
  static constexpr std::size_t depth = std::tuple_size_v<Maps>;
  /// True if a map needs its scores again in the backward pass.
  static constexpr bool keeps_scores = with_indices<depth>([]<std::size_t... L>(std::index_sequence<L...>) {
    return (!derivative_is_one<std::tuple_element_t<L, Maps>> || ...);
  });

 public:
  /// Row `first` is the first row of the operands.
  GradientTile(const P& problem, const Stages& stages, Index padded, Index dv, Index first)
      : problem_(problem),
        patterns_(pattern_references<Form::streamed>(stages)),
        maps_(map_references<Form::streamed>(stages)),
        tiles_(problem, patterns_),
        drops_(problem, stages),
        kernels_(kernel::kernels<S>()),
        dv_(dv),
        first_(first),
        stride_(kernels_.width + 16) {
    const Index cached = cache_budget().queries / (static_cast<Index>(sizeof(S)) * std::max<Index>(padded, 1));
    height_ = tiles_.round_up(std::clamp<Index>(cached, 4 * kernels_.height, 96));
  }
  GradientTile(const GradientTile&) = delete;
  GradientTile& operator=(const GradientTile&) = delete;

  /// The number of rows of a task, and the number of keys of a block. A task computes several blocks of keys.
  [[nodiscard]] Index rows_per_task(Index rows) const {
    return round_up(std::clamp<Index>(rows / 16, 4 * height_, 2048), height_);
  }
  [[nodiscard]] Index keys_per_block() const { return round_up(Index{384}, Index(kernels_.width)); }

  /// Plans rows [begin, end): scratch.block_spans are the keys that they may attend to.
  void plan(Index begin, Index end, WorkerScratch& scratch) const {
    tiles_.plan(begin, end, scratch.coverage, scratch.block_spans);
  }

  /// Adds what rows [begin, end) and these keys give to the gradients, and to the sums of the parameters of maps.
  void add(Index begin, Index end, const Range& keys, const TileOperands<S>& operands, double* parameters,
           WorkerScratch& scratch) const {
    ScratchFrame frame(scratch);
    const Index rows = height_ + kernels_.height, size = rows * stride_;  // a group may extend beyond the last row
    Memory memory{.queries = tiles_.take_queries(height_, frame),
                  .outs = frame.take<S>(height_ * dv_),
                  .weights = frame.take<S>(size),
                  .gradients = frame.take<S>(size),
                  .scores = frame.take<S>(keeps_scores ? Index(depth + 1) * size : 0),
                  .corner = frame.take<S>(kernels_.height * kernels_.width),
                  .visible = frame.take<Range>(height_ / kernels_.height)};
    // The columns after a panel are read by the last group of keys.
    for (Index r = 0; r < rows; ++r)
      for (S* tile : {memory.weights, memory.gradients})
        std::fill(tile + r * stride_ + kernels_.width, tile + (r + 1) * stride_, S(0));
    const Index end_of_keys = (std::min)(keys.end, problem_.grid.m);
    for (; begin < end; begin += height_) {
      const Block block = tiles_.begin_unpacked(begin, (std::min)(height_, end - begin), memory.queries, scratch);
      const Range panels{keys.begin / kernels_.width, keys.end / kernels_.width};
      if (tiles_.keys(scratch, panels) == 0) continue;
      problem_.queries.pack(begin, block.rows, memory.queries, scratch);
      const S* const outs = operands.outs + (begin - first_) * operands.padded_v;
      pack_groups(block.rows, dv_, memory.outs, scratch,
                  [&](Index i, S* to) { std::copy_n(outs + i * operands.padded_v, dv_, to); },
                  {outs, operands.padded_v});
      tiles_.for_each_panel(
          scratch, [&](Index panel) { add_panel(panel, end_of_keys, block, operands, memory, parameters, scratch); },
          panels);
    }
  }

 private:
  /// The memory of a task. The tiles are [rows][stride_].
  struct Memory {
    S *queries, *outs;       // packed as groups
    S *weights, *gradients;  // first the scores, and <dO, v>
    S* scores;               // before each map and after the last one
    S* corner;
    Range* visible;  // [groups]: the columns of the panel that a group attends to, in whole vectors
  };
  /// Consecutive rows of a block, and the columns of a panel that they attend to.
  struct Area {
    Index begin, end;
    Range columns;
  };

  template <class F>
  void each_map(const F& f) const {
    std::apply([&](const auto&... map) { (f(map), ...); }, maps_);
  }

  /// Adds what a panel gives. The sums by the keys before `end_of_keys` belong to this task.
  void add_panel(Index panel, Index end_of_keys, const Block& block, const TileOperands<S>& operands,
                 const Memory& memory, double* parameters, WorkerScratch& scratch) const {
    const Index height = kernels_.height, width = kernels_.width, c0 = panel * width;
    const Index keys = (std::min)(width, problem_.grid.m - c0), groups = ceil_div(block.rows, height);
    const Index lanes = kernels_.lanes;
    std::fill_n(memory.visible, groups, Range{0, 0});
    const auto mark = [&](Index r, Index n, const Range& columns) {
      std::fill(memory.visible + r / height, memory.visible + ceil_div(r + n, height), columns);
    };
    tiles_.visit(
        panel, block, scratch,
        [&](Index r, Index n) {
          tiles_.scores(panel, block, r, n, memory.weights + r * stride_, stride_, scratch);
          mark(r, n, {0, width});
        },
        [&](Index r, Index n) {
          tiles_.masked_scores(panel, block, r, n, memory.weights + r * stride_, stride_, scratch);
          const Range columns = tiles_.visible_columns(panel, r, scratch);
          mark(r, n, {columns.begin / lanes * lanes, round_up(columns.end, lanes)});
        });
    const Area all = visible_area(block, groups, memory);
    if (all.begin >= all.end) return;
    bool is_uniform = true;
    for (Index g = all.begin / height; g * height < all.end;) {
      const Range columns = memory.visible[g];
      Index end = g + 1;
      while (end * height < all.end && memory.visible[end] == columns) ++end;
      const Area area{g * height, (std::min)(end * height, all.end), columns};
      is_uniform = is_uniform && columns == all.columns;
      clear_around(area, all.columns, memory);
      if (columns.begin < columns.end) differentiate(panel, keys, block, area, operands, memory, parameters);
      g = end;
    }
    const Index row = block.first - first_, last = (std::min)(all.columns.end, keys);
    for (Index c = all.columns.begin; c < last;) {
      const Range rows = is_uniform ? Range{all.begin, all.end} : rows_that_see(c, all, memory);
      Index end = is_uniform ? last : c + height;
      while (end < last && rows_that_see(end, all, memory) == rows) end += height;
      // The last group may extend to the next panel, whose columns are 0 in the tiles.
      if (last == width && c0 + c + round_up(end - c, height) <= end_of_keys)
        end = c + round_up(end - c, height);
      else
        end = (std::min)(end, last);
      const auto add = [&](const S* tile, const S* x, Index columns, const kernel::StridedRows<S>& sums) {
        if (columns > 0)
          add_transposed(tile + rows.begin * stride_ + c, end - c, rows.end - rows.begin,
                         {x + (row + rows.begin) * columns, columns}, columns,
                         from_row(sums, c0 + c - operands.first_key), memory.corner);
      };
      if (rows.begin < rows.end) {
        add(memory.gradients, operands.queries, operands.padded, operands.dk);
        add(memory.weights, operands.outs, operands.padded_v, operands.dv);
      }
      c = end;
    }
  }
  static kernel::StridedRows<S> from_row(const kernel::StridedRows<S>& rows, Index i) {
    return {rows.data + i * rows.stride, rows.stride};
  }

  /// Returns the smallest area that contains what the groups of a block see.
  Area visible_area(const Block& block, Index groups, const Memory& memory) const {
    Area all{block.rows, 0, {kernels_.width, 0}};
    for (Index g = 0; g < groups; ++g) {
      const Range& columns = memory.visible[g];
      if (columns.begin >= columns.end) continue;
      all = {(std::min)(all.begin, g * kernels_.height),
             (std::min)((g + 1) * kernels_.height, block.rows),
             {(std::min)(all.columns.begin, columns.begin), (std::max)(all.columns.end, columns.end)}};
    }
    return all;
  }
  /// Returns the rows of groups that attend to a key in [c, c + height) of the panel.
  Range rows_that_see(Index c, const Area& all, const Memory& memory) const {
    Range rows{all.end, all.begin};
    for (Index r = all.begin; r < all.end; r += kernels_.height) {
      const Range& columns = memory.visible[r / kernels_.height];
      if (columns.begin >= c + kernels_.height || columns.end <= c) continue;
      rows = {(std::min)(rows.begin, r), (std::min)(r + kernels_.height, all.end)};
    }
    return rows;
  }

  /// Sets the columns of the tiles to 0 that the rows of an area do not attend to, but others do.
  void clear_around(const Area& area, const Range& columns, const Memory& memory) const {
    const bool sees_none = area.columns.begin >= area.columns.end;
    const Range before{columns.begin, sees_none ? columns.end : area.columns.begin};
    const Range after{sees_none ? columns.end : area.columns.end, columns.end};
    for (Index r = area.begin; r < area.end; ++r)
      for (S* tile : {memory.weights, memory.gradients})
        for (const Range& range : {before, after})
          std::fill(tile + r * stride_ + range.begin, tile + r * stride_ + range.end, S(0));
  }

  /// Replaces the scores of an area, after patterns, by weights, computes the gradients by the scores, and adds them to
  /// the gradients by the queries and the parameters.
  void differentiate(Index panel, Index keys, const Block& block, const Area& area, const TileOperands<S>& operands,
                     const Memory& memory, double* parameters) const {
    const Range columns = area.columns;
    const Index height = kernels_.height, c0 = panel * kernels_.width + columns.begin, count = area.end - area.begin;
    const Index at = area.begin * stride_ + columns.begin, width = columns.end - columns.begin;
    S *const weights = memory.weights + at, *const gradients = memory.gradients + at;
    const ScoreTile<S> tile{weights,
                            stride_,
                            problem_.grid.query_at + block.first + area.begin,
                            count,
                            problem_.grid.key_at + c0,
                            (std::min)(columns.end, keys) - columns.begin,
                            problem_.grid};
    apply_maps(tile, at, memory);
    const S* const outs = memory.outs + area.begin * dv_;
    if (width == kernels_.width)
      kernels_.score_panel(outs, ceil_div(count, height), value_panel(operands, panel), dv_, S(1), gradients, stride_);
    else
      for (Index r = 0; r < count; r += height)
        kernels_.score_columns(outs + r * dv_, value_panel(operands, panel), dv_, S(1),
                               memory.gradients + (area.begin + r) * stride_, stride_, columns.begin, columns.end);
    const Index row = block.first - first_ + area.begin;
    const S scale = depth > 0 ? S(1) : problem_.scale;
    const kernel::SoftmaxRows<S> softmax = operands.rows.from(row);
    if constexpr (Form::drops_weights) {
      typename DroppedWeights<P, Stages>::Rows random;
      for (Index r = 0; r < count; r += height) {
        const Index n = (std::min)(height, count - r);
        kernels_.softmax_backward(weights + r * stride_, gradients + r * stride_, stride_, n, width, softmax.from(r),
                                  drops_.scale(), scale, drops_.of(block.first + area.begin + r, n, c0, random));
      }
    } else {
      kernels_.softmax_backward(weights, gradients, stride_, count, width, softmax, S(1), scale, nullptr);
    }
    with_indices<depth>([&]<std::size_t... L>(std::index_sequence<L...>) {
      (map_backward<depth - 1 - L>(tile, at, gradients, memory, parameters), ...);
    });
    if (scale != problem_.scale)
      for (Index r = 0; r < count; ++r)
        kernels_.multiply_all(gradients + r * stride_, gradients + r * stride_, problem_.scale, width);
    if (operands.padded > 0)
      kernels_.add_product({gradients, stride_}, count, tile.keys,
                           {operands.keys + c0 * operands.padded, operands.padded}, operands.padded,
                           from_row(operands.dq, row));
  }
  static const S* value_panel(const TileOperands<S>& operands, Index panel) {
    return operands.padded_v > 0 ? operands.values.panel(panel) : nullptr;
  }

  void apply_maps(const ScoreTile<S>& tile, Index at, const Memory& memory) const {
    Index l = 0;
    each_map([&](const auto& map) {
      keep_scores(l++, tile, at, memory);
      apply_to_tile(map, tile);
    });
    keep_scores(l, tile, at, memory);
  }
  void keep_scores(Index l, const ScoreTile<S>& tile, Index at, const Memory& memory) const {
    if constexpr (keeps_scores) {
      S* const to = scores_of(l, at, memory);
      for (Index r = 0; r < tile.queries; ++r) std::copy_n(tile.row(r), tile.keys, to + r * stride_);
    }
  }
  /// Returns the scores before map l, from an index of the tiles on.
  S* scores_of(Index l, Index at, const Memory& memory) const {
    return memory.scores + l * (height_ + kernels_.height) * stride_ + at;
  }

  /// Backpropagates through map L, and adds to the sums of its parameters.
  template <std::size_t L>
  void map_backward(const ScoreTile<S>& tile, Index at, S* gradients, const Memory& memory, double* parameters) const {
    const auto& map = std::get<L>(maps_);
    using T = std::remove_cvref_t<decltype(map)>;
    if constexpr (ParameterStage<T> || !derivative_is_one<T>) {
      for_indices<L>([&](auto before) {
        using Before = std::remove_cvref_t<std::tuple_element_t<before, Maps>>;
        if constexpr (ParameterStage<Before>) parameters += std::get<before>(maps_).parameter_count(problem_.grid);
      });
      for (Index r = 0; r < tile.queries; ++r)
        for (Index e = 0; e < tile.keys; ++e) {
          S& d = gradients[r * stride_ + e];
          if (d == S(0)) continue;  // masked scores are -inf, which a derivative need not accept
          S x = 0, y = 0;
          if constexpr (keeps_scores) {
            x = scores_of(Index(L), at, memory)[r * stride_ + e];
            y = scores_of(Index(L + 1), at, memory)[r * stride_ + e];
          }
          if constexpr (ParameterStage<T>)
            map.parameter_gradient(x, y, tile.p + r, tile.j + e, tile.grid, d,
                                   [&](Index index, S value) { parameters[index] += static_cast<double>(value); });
          if constexpr (!derivative_is_one<T>) d *= derivative_at(map, x, y, tile.p + r, tile.j + e, tile.grid);
        }
    }
  }
  template <std::size_t count, class F>
  static void for_indices(const F& f) {
    with_indices<count>([&]<std::size_t... At>(std::index_sequence<At...>) {
      (f(std::integral_constant<std::size_t, At>()), ...);
    });
  }

  /// out += tile' x, for a tile of `rows` x `keys`. The keys are the rows of the result.
  void add_transposed(const S* tile, Index keys, Index rows, const kernel::StridedRows<const S>& x, Index columns,
                      const kernel::StridedRows<S>& out, S* corner) const {
    const Index height = kernels_.height, width = kernels_.width, full = keys / height * height, rest = keys - full;
    for (Index f = 0; f < columns; f += width) {
      const Index count = (std::min)(width, columns - f);
      S* const to = out.data + f;
      kernels_.multiply_panel({tile, height, stride_}, full / height, {x.data + f, x.stride}, rows, {to, out.stride},
                              {to, out.stride}, count);
      if (rest == 0) continue;
      std::fill_n(corner, height * width, S(0));
      for (Index i = 0; i < rest; ++i) std::copy_n(to + (full + i) * out.stride, count, corner + i * width);
      kernels_.multiply_panel({tile + full, height, stride_}, 1, {x.data + f, x.stride}, rows, {corner, width},
                              {corner, width}, count);
      for (Index i = 0; i < rest; ++i) std::copy_n(corner + i * width, count, to + (full + i) * out.stride);
    }
  }

  const P& problem_;
  Patterns patterns_;
  Maps maps_;
  Tiles tiles_;
  DroppedWeights<P, Stages> drops_;
  const kernel::Kernels<S>& kernels_;
  Index dv_, first_, stride_, height_ = 0;
};

}  // namespace filigree::detail
