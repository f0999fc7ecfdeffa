// SPDX-License-Identifier: MIT
#pragma once

#include <algorithm>

#include "filigree/pipe/workspace.hpp"

// Products of dense matrices by the kernels of the machine that runs them, whatever flags the program was compiled
// with. Every number of the result is one chain over the inner dimension in ascending order, so its bits depend neither
// on threads nor on the rows and columns computed beside it.

namespace filigree::detail {

/// A matrix in memory, or its transpose.
template <Real S>
struct MatrixView {
  const S* data;
  Index rows, cols, row_stride, col_stride;

  [[nodiscard]] MatrixView transposed() const { return {data, cols, rows, col_stride, row_stride}; }
};

template <class M>
MatrixView<typename M::Scalar> view(const M& x) {
  return {x.data(), x.rows(), x.cols(), x.rowStride(), x.colStride()};
}

/// Where a product goes: row-major, `stride` apart.
template <Real S>
struct ProductTarget {
  S* data;
  Index stride;
  const S* start = nullptr;  // a row from which every row's chains begin; null: from 0, or from what is there to add to
  bool add = false;
  const TaskRef* finish = nullptr;  // is called as (first, last) for rows as soon as they are complete, each once
};

/// out = a b. The operands must not lie in the memory of the target.
///
/// Both are packed: b as panels of columns, some of which stay in the second-level cache while rows of a stream by. A b
/// that fits there as a whole is packed first, and each task packs its rows of a; otherwise a is packed first, and each
/// task packs its panels, which never reach memory. What stands as a panel does, or as a group, is read where it is, if
/// its rows are near to each other.
template <Real S>
class MatrixProduct {
 public:
  MatrixProduct(const MatrixView<S>& a, const MatrixView<S>& b, const ProductTarget<S>& out, const Session& session)
      : a_(a), b_(b), out_(out), session_(session), kernels_(kernel::kernels<S>()) {
    panels_ = (b.cols + kernels_.width - 1) / kernels_.width;
    groups_ = (a.rows + kernels_.height - 1) / kernels_.height;
    most_ = cache_.panel / (kernels_.width * static_cast<Index>(sizeof(S)));
    constexpr Index step = 1024 / static_cast<Index>(sizeof(S));
    a_in_place_ = a.row_stride == 1 && a.col_stride <= step;
    b_in_place_ = b.col_stride == 1 && b.row_stride <= step && groups_ <= 8;  // vectors there may lie across lines
  }

  void run() {
    if (a_.rows == 0 || b_.cols == 0) return;
    S* start = session_.values().template get<S>(panels_ * kernels_.width);
    std::fill_n(start, panels_ * kernels_.width, S(0));
    if (out_.start != nullptr) std::copy_n(out_.start, b_.cols, start);
    Index from = 0;
    do {  // once at least: the product over nothing is where its chains begin
      const Index depth = (std::min)(most_, b_.rows - from);
      add({from, depth, from == 0 && !out_.add ? start : nullptr});
      from += depth;
    } while (from < b_.rows);
    if (out_.finish != nullptr && !finished_)
      session_.run((groups_ + block - 1) / block, [&](Index task, Index) { finish(task * block, (task + 1) * block); });
  }

 private:
  /// A stretch of the inner dimension, and where its chains begin; null: where those of the one before it ended.
  struct Stretch {
    Index from, depth;
    const S* start;
  };
  /// Groups of rows, or panels of columns.
  struct IndexRange {
    Index begin, end;
  };
  static constexpr Index block = 16;  // groups that are multiplied by some panels in turn

  void add(const Stretch& stretch) {
    const Index a_size = kernels_.height * stretch.depth, b_size = kernels_.width * stretch.depth;
    const Index b_bytes = b_size * static_cast<Index>(sizeof(S));
    const Index fit = std::max<Index>(cache_.panels / std::max<Index>(b_bytes, 1), 1);
    // Packing all of a pays only for a b that is longer than a, or would leave no room in the cache for anything else.
    const bool b_held = panels_ * b_bytes <= cache_.operand && a_.rows >= b_.cols;
    const bool b_first = panels_ <= fit || b_held;
    const Index columns = b_first ? 1 : (panels_ + fit - 1) / fit;
    const Index wanted = session_.concurrency() > 1 ? 4 * session_.concurrency() : 1;
    const Index stripes = std::clamp<Index>((wanted + columns - 1) / columns, 1, (groups_ + block - 1) / block);
    for (Index worker = 0; worker < session_.concurrency(); ++worker) {  // whichever will be called
      session_.scratch(worker).queries.template get<S>(b_first ? block * a_size : fit * b_size);
      session_.scratch(worker).tile.template get<S>(kernels_.height * kernels_.width);
    }
    S* first = session_.keys().template get<S>(b_first ? panels_ * b_size : groups_ * a_size);
    const Index parts = b_first ? panels_ : (groups_ + block - 1) / block;
    session_.run(parts, [&](Index p, Index) {
      if (b_first)
        pack_panels({p, p + 1}, stretch, first + p * b_size);
      else
        pack_groups({p * block, (std::min)((p + 1) * block, groups_)}, stretch, first + p * block * a_size);
    });
    const bool finishes = out_.finish != nullptr && columns == 1 && stretch.from + stretch.depth == b_.rows;
    session_.run(columns * stripes, [&](Index task, Index worker) {
      WorkerScratch& scratch = session_.scratch(worker);
      const Index column = task / stripes, stripe = task % stripes;
      const IndexRange panels = {b_first ? 0 : column * fit,
                                 b_first ? panels_ : (std::min)((column + 1) * fit, panels_)};
      const IndexRange rows = {stripe * groups_ / stripes, (stripe + 1) * groups_ / stripes};
      S* own = scratch.queries.template get<S>(0);
      if (!b_first) pack_panels(panels, stretch, own);
      for (Index g = rows.begin; g < rows.end; g += block) {
        const IndexRange some = {g, (std::min)(g + block, rows.end)};
        if (b_first) pack_groups(some, stretch, own);
        const S* a = b_first ? own : first + g * a_size;
        const S* b = b_first ? first : own;
        for (Index p = panels.begin; p < panels.end; ++p, b += b_size) multiply(some, p, a, b, stretch, scratch);
        if (finishes) finish(some.begin, some.end);
      }
    });
    finished_ = finishes;
  }

  /// Rows of these groups, which are in the cache if they have just been computed.
  void finish(Index begin, Index end) const {
    (*out_.finish)(begin * kernels_.height, (std::min)(end * kernels_.height, a_.rows));
  }

  /// Some groups times a panel. A group that reaches beyond the target's rows is computed apart.
  void multiply(const IndexRange& groups, Index panel, const S* a, const S* b, const Stretch& stretch,
                WorkerScratch& scratch) const {
    const Index width = kernels_.width, height = kernels_.height, depth = stretch.depth;
    const Index c0 = panel * width, cols = (std::min)(width, b_.cols - c0);
    const Index whole = std::clamp<Index>(a_.rows / height, groups.begin, groups.end);
    const kernel::StridedRows<const S> keys =
        in_place(panel) ? kernel::StridedRows<const S>{b_.data + stretch.from * b_.row_stride + c0, b_.row_stride}
                        : kernel::StridedRows<const S>{b, width};
    const kernel::StridedGroups<S> packed = {a, height * depth, height};
    const kernel::StridedGroups<S> queries =
        a_in_place_ ? kernel::StridedGroups<S>{a_.data + stretch.from * a_.col_stride + groups.begin * height, height,
                                               a_.col_stride}
                    : packed;
    S* to = out_.data + groups.begin * height * out_.stride + c0;
    const auto begin = [&](const S* at, Index stride) -> kernel::StridedRows<const S> {
      return stretch.start != nullptr ? kernel::StridedRows<const S>{stretch.start + c0, 0}
                                      : kernel::StridedRows<const S>{at, stride};
    };
    kernels_.multiply_panel(queries, whole - groups.begin, keys, depth, begin(to, out_.stride), {to, out_.stride},
                            cols);
    S* tile = scratch.tile.template get<S>(height * width);
    for (Index g = whole; g < groups.end; ++g) {
      const Index rows = (std::min)(height, a_.rows - g * height);
      S* corner = out_.data + g * height * out_.stride + c0;
      if (stretch.start == nullptr) {
        std::fill_n(tile, height * width, S(0));
        for (Index i = 0; i < rows; ++i) std::copy_n(corner + i * out_.stride, cols, tile + i * width);
      }
      kernels_.multiply_panel({packed.data + (g - groups.begin) * packed.stride, packed.stride, packed.step}, 1, keys,
                              depth, begin(tile, width), {tile, width}, cols);
      for (Index i = 0; i < rows; ++i) std::copy_n(tile + i * width, cols, corner + i * out_.stride);
    }
  }

  /// Whether a panel is read where it stands: vectors must not reach beyond the last row.
  [[nodiscard]] bool in_place(Index panel) const {
    return b_in_place_ && ((panel + 1) * kernels_.width <= b_.cols || b_.cols % kernels_.lanes == 0);
  }

  /// Panels one after the other; columns beyond the last are 0. Rows of b give to all panels before the next does, for
  /// each may lie in a page of its own.
  void pack_panels(const IndexRange& panels, const Stretch& stretch, S* to) const {
    const Index width = kernels_.width, depth = stretch.depth;
    if (depth == 0 || in_place(panels.end - 1)) return;
    const S* at = b_.data + stretch.from * b_.row_stride;
    const auto cols = [&](Index p) { return (std::min)(width, b_.cols - p * width); };
    if (b_.row_stride == 1 && b_.col_stride != 1) {
      for (Index p = panels.begin; p < panels.end; ++p, to += depth * width)
        kernels_.pack_panel(at + p * width * b_.col_stride, b_.col_stride, cols(p), depth, to);
      return;
    }
    for (Index f = 0; f < depth; ++f, at += b_.row_stride)
      for (Index p = panels.begin; p < panels.end; ++p) {
        S* row = to + ((p - panels.begin) * depth + f) * width;
        const S* from = at + p * width * b_.col_stride;
        if (b_.col_stride == 1)
          std::copy_n(from, cols(p), row);
        else
          for (Index c = 0; c < cols(p); ++c) row[c] = from[c * b_.col_stride];
        std::fill(row + cols(p), row + width, S(0));
      }
  }

  /// Groups one after the other, if they cannot be read in place; missing rows of the last one are 0.
  void pack_groups(const IndexRange& groups, const Stretch& stretch, S* to) const {
    const Index height = kernels_.height, depth = stretch.depth;
    for (Index g = groups.begin; g < groups.end; ++g, to += depth * height) {
      const S* at = a_.data + g * height * a_.row_stride + stretch.from * a_.col_stride;
      const Index present = (std::min)(height, a_.rows - g * height);
      if (a_in_place_ && present == height) continue;
      if (a_.col_stride == 1 && present == height) {
        kernels_.pack_group(at, a_.row_stride, depth, to);
        continue;
      }
      for (Index f = 0; f < depth; ++f, at += a_.col_stride) {
        S* column = to + f * height;
        if (a_.row_stride == 1)
          std::copy_n(at, present, column);
        else
          for (Index r = 0; r < present; ++r) column[r] = at[r * a_.row_stride];
        std::fill(column + present, column + height, S(0));
      }
    }
  }

  MatrixView<S> a_, b_;
  ProductTarget<S> out_;
  const Session& session_;
  const kernel::Kernels<S>& kernels_;
  const CacheShares cache_ = cache_shares();
  Index panels_, groups_, most_;  // most: features of a panel that the cache holds
  bool a_in_place_, b_in_place_;
  bool finished_ = false;
};

template <Real S>
void multiply(const MatrixView<S>& a, const MatrixView<S>& b, const ProductTarget<S>& out, const Session& session) {
  MatrixProduct<S>(a, b, out, session).run();
}

}  // namespace filigree::detail
