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

/// The operands of the backward pass, as rows of whole vectors, and the sums that it adds to.
template <Real S>
struct TileOperands {
  const S *queries, *keys;  // scale * Q and scale * K, [.][padded]
  const S* outs;            // dO, [.][padded_v]
  PackedPanels<S> values;   // V
  Index padded, padded_v;
  kernel::SoftmaxRows<S> rows;  // of each query
  kernel::StridedRows<S> dq, dk, dv;
};

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

  /// The blocks of rows and of keys that one task computes.
  [[nodiscard]] Index rows_per_block() const { return 4 * height_; }
  [[nodiscard]] Index keys_per_block() const { return round_up(Index{384}, Index(kernels_.width)); }

  /// Plans rows [begin, end): scratch.block_spans are the keys that they may attend to.
  void plan(Index begin, Index end, WorkerScratch& scratch) const {
    tiles_.plan(begin, end, scratch.coverage, scratch.block_spans);
  }

  /// Calls f(count) for each map with parameters, with their number.
  template <class F>
  void each_parameter_map(const F& f) const {
    each_map([&](const auto& map) {
      if constexpr (ParameterStage<std::remove_cvref_t<decltype(map)>>) f(map.parameter_count(problem_.grid));
    });
  }
  /// Returns the number of parameters of all maps.
  [[nodiscard]] Index parameter_count() const {
    Index count = 0;
    each_parameter_map([&](Index size) { count += size; });
    return count;
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
                  .visited = frame.take<char>(height_ / kernels_.height)};
    // The columns after a panel are read by the last group of keys.
    for (Index r = 0; r < rows; ++r)
      for (S* tile : {memory.weights, memory.gradients})
        std::fill(tile + r * stride_ + kernels_.width, tile + (r + 1) * stride_, S(0));
    for (; begin < end; begin += height_) {
      const Block block = tiles_.begin(begin, (std::min)(height_, end - begin), memory.queries, scratch);
      const S* const outs = operands.outs + (begin - first_) * operands.padded_v;
      pack_groups(block.rows, dv_, memory.outs, scratch,
                  [&](Index i, S* to) { std::copy_n(outs + i * operands.padded_v, dv_, to); },
                  {outs, operands.padded_v});
      tiles_.for_each_panel(scratch,
                            [&](Index panel) { add_panel(panel, block, operands, memory, parameters, scratch); },
                            {keys.begin / kernels_.width, keys.end / kernels_.width});
    }
  }

 private:
  /// The memory of a task. The tiles are [rows][stride_].
  struct Memory {
    S *queries, *outs;       // packed as groups
    S *weights, *gradients;  // first the scores, and <dO, v>
    S* scores;               // before each map and after the last one
    S* corner;
    char* visited;  // [groups]
  };
  /// Consecutive rows of a block that attend to a panel.
  struct Rows {
    Index begin, end;
  };

  template <class F>
  void each_map(const F& f) const {
    std::apply([&](const auto&... map) { (f(map), ...); }, maps_);
  }

  void add_panel(Index panel, const Block& block, const TileOperands<S>& operands, const Memory& memory,
                 double* parameters, WorkerScratch& scratch) const {
    const Index height = kernels_.height, width = kernels_.width, c0 = panel * width;
    const Index keys = (std::min)(width, problem_.grid.m - c0), groups = ceil_div(block.rows, height);
    std::fill_n(memory.visited, groups, char(0));
    const auto mark = [&](Index r, Index n) {
      std::fill(memory.visited + r / height, memory.visited + ceil_div(r + n, height), char(1));
    };
    tiles_.visit(
        panel, block, scratch,
        [&](Index r, Index n) {
          tiles_.scores(panel, block, r, n, memory.weights + r * stride_, stride_, scratch);
          mark(r, n);
        },
        [&](Index r, Index n) {
          tiles_.masked_scores(panel, block, r, n, memory.weights + r * stride_, stride_, scratch);
          mark(r, n);
        });
    Rows all{block.rows, 0};
    for (Index g = 0; g < groups;) {
      if (memory.visited[g] == 0) {
        ++g;
        continue;
      }
      Index end = g + 1;
      while (end < groups && memory.visited[end] != 0) ++end;
      const Rows rows{g * height, (std::min)(end * height, block.rows)};
      if (all.begin < all.end) clear({all.end, rows.begin}, memory);
      all = {(std::min)(all.begin, rows.begin), rows.end};
      differentiate(panel, keys, block, rows, operands, memory, parameters);
      g = end;
    }
    if (all.begin >= all.end) return;
    const Index row = block.first - first_ + all.begin, count = all.end - all.begin;
    const S* const weights = memory.weights + all.begin * stride_;
    const S* const gradients = memory.gradients + all.begin * stride_;
    const auto at = [](const kernel::StridedRows<S>& rows, Index i) {
      return kernel::StridedRows<S>{rows.data + i * rows.stride, rows.stride};
    };
    if (operands.padded > 0) {
      kernels_.add_product({gradients, stride_}, count, keys, {operands.keys + c0 * operands.padded, operands.padded},
                           operands.padded, at(operands.dq, row));
      add_transposed(gradients, keys, count, {operands.queries + row * operands.padded, operands.padded},
                     operands.padded, at(operands.dk, c0), memory.corner);
    }
    if (operands.padded_v > 0)
      add_transposed(weights, keys, count, {operands.outs + row * operands.padded_v, operands.padded_v},
                     operands.padded_v, at(operands.dv, c0), memory.corner);
  }

  /// Sets the tiles of rows that attend to no key of the panel to 0.
  void clear(const Rows& rows, const Memory& memory) const {
    for (Index r = rows.begin; r < rows.end; ++r)
      for (S* tile : {memory.weights, memory.gradients}) std::fill_n(tile + r * stride_, kernels_.width, S(0));
  }

  /// Replaces the scores of some rows, after patterns, by weights, and computes the gradients by the scores.
  void differentiate(Index panel, Index keys, const Block& block, const Rows& rows, const TileOperands<S>& operands,
                     const Memory& memory, double* parameters) const {
    const Index height = kernels_.height, c0 = panel * kernels_.width, count = rows.end - rows.begin;
    S *const weights = memory.weights + rows.begin * stride_, *const gradients =
                                                                  memory.gradients + rows.begin * stride_;
    const ScoreTile<S> tile{
        weights, stride_,      problem_.grid.query_at + block.first + rows.begin, count, problem_.grid.key_at + c0,
        keys,    problem_.grid};
    apply_maps(tile, rows, memory);
    kernels_.score_panel(memory.outs + rows.begin * dv_, ceil_div(count, height), value_panel(operands, panel), dv_,
                         S(1), gradients, stride_);
    const kernel::SoftmaxRows<S> softmax = operands.rows.from(block.first - first_ + rows.begin);
    if constexpr (Form::drops_weights) {
      typename DroppedWeights<P, Stages>::Rows random;
      for (Index r = 0; r < count; r += height) {
        const Index n = (std::min)(height, count - r);
        kernels_.softmax_backward(weights + r * stride_, gradients + r * stride_, stride_, n, kernels_.width,
                                  softmax.from(r), drops_.scale(),
                                  drops_.of(block.first + rows.begin + r, n, c0, random));
      }
    } else {
      kernels_.softmax_backward(weights, gradients, stride_, count, kernels_.width, softmax, S(1), nullptr);
    }
    with_indices<depth>([&]<std::size_t... L>(std::index_sequence<L...>) {
      (map_backward<depth - 1 - L>(tile, rows, gradients, memory, parameters), ...);
    });
  }
  static const S* value_panel(const TileOperands<S>& operands, Index panel) {
    return operands.padded_v > 0 ? operands.values.panel(panel) : nullptr;
  }

  void apply_maps(const ScoreTile<S>& tile, const Rows& rows, const Memory& memory) const {
    Index l = 0;
    each_map([&](const auto& map) {
      keep_scores(l++, tile, rows, memory);
      apply_to_tile(map, tile);
    });
    keep_scores(l, tile, rows, memory);
  }
  void keep_scores(Index l, const ScoreTile<S>& tile, const Rows& rows, const Memory& memory) const {
    if constexpr (keeps_scores) {
      S* const to = scores_of(l, rows, memory);
      for (Index r = 0; r < tile.queries; ++r) std::copy_n(tile.row(r), tile.keys, to + r * stride_);
    }
  }
  /// Returns the scores before map l.
  S* scores_of(Index l, const Rows& rows, const Memory& memory) const {
    return memory.scores + l * (height_ + kernels_.height) * stride_ + rows.begin * stride_;
  }

  /// Backpropagates through map L, and adds to the sums of its parameters.
  template <std::size_t L>
  void map_backward(const ScoreTile<S>& tile, const Rows& rows, S* gradients, const Memory& memory,
                    double* parameters) const {
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
            x = scores_of(Index(L), rows, memory)[r * stride_ + e];
            y = scores_of(Index(L + 1), rows, memory)[r * stride_ + e];
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
    with_indices<count>([&]<std::size_t... I>(std::index_sequence<I...>) {
      (f(std::integral_constant<std::size_t, I>()), ...);
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
