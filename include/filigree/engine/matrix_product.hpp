// SPDX-License-Identifier: MIT
#pragma once

#include <algorithm>
#include <cstring>
#include <limits>
#include <numeric>

#include "filigree/core/integers.hpp"
#include "filigree/run/workspace.hpp"

// Dense matrix products with the kernels for the machine that runs the program, independent of the compiler flags. Each
// number of the result is one chain of multiply-adds over the ascending inner dimension. Its bits therefore do not
// depend on the number of threads or on the other rows and columns.

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

/// The target of a product: row-major, with rows `stride` numbers apart.
template <Real S>
struct ProductTarget {
  S* data;
  Index stride;
  const S* start = nullptr;  // initial value of every row; null: 0, or the target's own values if `add`
  bool add = false;
  const TaskRef* finish = nullptr;  // called once for each row, as finish(first, last), when the rows are complete
};

/// Computes out = a b. The operands must not overlap the target.
///
/// Both operands are packed. b is packed as panels of columns, and a batch of panels stays in the L2 cache while rows
/// of a are read. If all of b fits in the L2 cache, b is packed first, and each task packs its rows of a. Otherwise a
/// is packed first, and each task packs its panels of b, which stay in the cache. An operand that already has the
/// layout of panels or groups is read in place, if its rows are close to each other in memory. With a few groups of
/// rows, packing b takes most of the time: b is then packed in ranges of its rows, which are read in long pieces.
template <Real S>
class MatrixProduct {
 public:
  MatrixProduct(const MatrixView<S>& a, const MatrixView<S>& b, const ProductTarget<S>& out, const Session& session)
      : a_(a), b_(b), out_(out), session_(session), kernels_(kernel::kernels<S>()) {
    panels_ = ceil_div(b.cols, kernels_.width);
    groups_ = ceil_div(a.rows, kernels_.height);
    max_depth_ = cache_.panel / (kernels_.width * static_cast<Index>(sizeof(S)));
    constexpr Index step = 1024 / static_cast<Index>(sizeof(S));
    a_in_place_ = a.row_stride == 1 && a.col_stride <= step;
    b_in_place_ = b.col_stride == 1 && b.row_stride <= step && groups_ <= few_groups;  // vectors may cross cache lines
  }

  void run() {
    if (a_.rows == 0 || b_.cols == 0) return;
    S* start = session_.initial_row().get<S>(panels_ * kernels_.width);
    std::fill_n(start, panels_ * kernels_.width, S(0));
    if (out_.start != nullptr) std::copy_n(out_.start, b_.cols, start);
    if (groups_ <= few_groups && b_.col_stride == 1 && b_.rows > 0 && !a_in_place_ && !b_in_place_) {
      add_few_groups(start);
      if (out_.finish != nullptr) finish(0, groups_);
      return;
    }
    Index from = 0;
    do {  // at least once: an empty inner dimension gives the initial values
      const Index depth = (std::min)(max_depth_, b_.rows - from);
      add({from, depth, from == 0 && !out_.add ? start : nullptr});
      from += depth;
    } while (from < b_.rows);
    if (out_.finish != nullptr && !finished_)
      session_.run(ceil_div(groups_, block), [&](Index task, Index) { finish(task * block, (task + 1) * block); });
  }

 private:
  /// A range of the inner dimension, and the initial values of its chains; null continues from the previous range.
  struct InnerRange {
    Index from, depth;
    const S* start;
  };
  /// A range of groups of rows, or of panels of columns.
  struct IndexRange {
    Index begin, end;
  };
  static constexpr Index block = 16;  // number of groups that are multiplied by each panel of a batch in turn
  static constexpr Index few_groups = 8;

  /// The memory of a task: a packed operand, and a tile for the last group of rows.
  struct Local {
    S *operand, *tile;
  };
  Local take_local(Index size, ScratchFrame& frame) const {
    S* operand = frame.take<S>(size);
    return {operand, frame.take<S>(kernels_.height * kernels_.width)};
  }

  void add(const InnerRange& inner) {
    const Index a_size = kernels_.height * inner.depth, b_size = kernels_.width * inner.depth;
    const Index b_bytes = b_size * static_cast<Index>(sizeof(S));
    const Index max_panels = std::max<Index>(cache_.panels / std::max<Index>(b_bytes, 1), 1);
    // Packing all of a pays off only if b has more columns than a has rows, or if b would fill the cache.
    const bool b_fits = panels_ * b_bytes <= cache_.operand && a_.rows >= b_.cols;
    const bool b_first = panels_ <= max_panels || b_fits;
    const Index panel_batches = b_first ? 1 : ceil_div(panels_, max_panels);
    const Index target_tasks = session_.concurrency() > 1 ? 4 * session_.concurrency() : 1;
    const Index row_batches = std::clamp<Index>(ceil_div(target_tasks, panel_batches), 1, ceil_div(groups_, block));
    const Index local_size = b_first ? block * a_size : max_panels * b_size;
    for (Index worker = 0; worker < session_.concurrency(); ++worker) {  // any worker may run a task
      ScratchFrame frame(session_.scratch(worker));
      (void)take_local(local_size, frame);
    }
    S* first = session_.operand().get<S>(b_first ? panels_ * b_size : groups_ * a_size);
    const Index packing_tasks = b_first ? panels_ : ceil_div(groups_, block);
    session_.run(packing_tasks, [&](Index p, Index) {
      if (b_first)
        pack_panels({p, p + 1}, inner, first + p * b_size);
      else
        pack_groups({p * block, (std::min)((p + 1) * block, groups_)}, inner, first + p * block * a_size);
    });
    const bool finishes = out_.finish != nullptr && panel_batches == 1 && inner.from + inner.depth == b_.rows;
    session_.run(panel_batches * row_batches, [&](Index task, Index worker) {
      const Index panel_batch = task / row_batches, row_batch = task % row_batches;
      const IndexRange panels = {b_first ? 0 : panel_batch * max_panels,
                                 b_first ? panels_ : (std::min)((panel_batch + 1) * max_panels, panels_)};
      const IndexRange groups = {row_batch * groups_ / row_batches, (row_batch + 1) * groups_ / row_batches};
      ScratchFrame frame(session_.scratch(worker));
      const auto [local, tile] = take_local(local_size, frame);
      if (!b_first) pack_panels(panels, inner, local);
      for (Index g = groups.begin; g < groups.end; g += block) {
        const IndexRange current = {g, (std::min)(g + block, groups.end)};
        if (b_first) pack_groups(current, inner, local);
        const S* a = b_first ? local : first + g * a_size;
        const S* b = b_first ? first : local;
        for (Index p = panels.begin; p < panels.end; ++p, b += b_size)
          multiply(current, p, {a, a_size, kernels_.height}, b, inner, tile);
        if (finishes) finish(current.begin, current.end);
      }
    });
    finished_ = finishes;
  }

  /// Computes the product of a few groups of rows. Each task packs one range of rows of its panels after another.
  void add_few_groups(const S* start) {
    constexpr Index range = 80;  // rows of b; not a power of 2, so that panels do not share sets of the cache
    const Index height = kernels_.height, width = kernels_.width, depth = (std::min)(range, b_.rows);
    const Index cached = std::max<Index>(cache_.packed / (width * depth * static_cast<Index>(sizeof(S))), 1);
    const Index threads = session_.concurrency();
    const Index tasks = (std::max)(ceil_div(panels_, cached), (std::min)(threads > 1 ? 4 * threads : 1, panels_));
    const Index local_size = ceil_div(panels_, tasks) * width * depth;
    for (Index worker = 0; worker < threads; ++worker) {  // any worker may run a task
      ScratchFrame frame(session_.scratch(worker));
      (void)take_local(local_size, frame);
    }
    S* const a = session_.operand().get<S>(groups_ * height * b_.rows);
    pack_groups({0, groups_}, {0, b_.rows, nullptr}, a);
    session_.run(tasks, [&](Index task, Index worker) {
      const IndexRange panels = {task * panels_ / tasks, (task + 1) * panels_ / tasks};
      ScratchFrame frame(session_.scratch(worker));
      const auto [local, tile] = take_local(local_size, frame);
      for (Index from = 0; from < b_.rows; from += depth) {
        const InnerRange inner = {from, (std::min)(depth, b_.rows - from), from == 0 && !out_.add ? start : nullptr};
        pack_panels(panels, inner, local);
        for (Index p = panels.begin; p < panels.end; ++p)
          multiply({0, groups_}, p, {a + from * height, height * b_.rows, height},
                   local + (p - panels.begin) * inner.depth * width, inner, tile);
      }
    });
  }

  /// Calls the target's finish() for the rows of these groups, while they are still in the cache.
  void finish(Index begin, Index end) const {
    (*out_.finish)(begin * kernels_.height, (std::min)(end * kernels_.height, a_.rows));
  }

  /// Multiplies groups of rows by a panel. A group that extends beyond the last row is computed in a separate tile.
  void multiply(const IndexRange& groups, Index panel, const kernel::StridedGroups<S>& packed, const S* b,
                const InnerRange& inner, S* tile) const {
    const Index width = kernels_.width, height = kernels_.height, depth = inner.depth;
    const Index c0 = panel * width, cols = (std::min)(width, b_.cols - c0);
    const Index full_end = std::clamp<Index>(a_.rows / height, groups.begin, groups.end);
    const kernel::StridedRows<const S> keys =
        in_place(panel) ? kernel::StridedRows<const S>{b_.data + inner.from * b_.row_stride + c0, b_.row_stride}
                        : kernel::StridedRows<const S>{b, width};
    const kernel::StridedGroups<S> queries =
        a_in_place_ ? kernel::StridedGroups<S>{a_.data + inner.from * a_.col_stride + groups.begin * height, height,
                                               a_.col_stride}
                    : packed;
    S* to = out_.data + groups.begin * height * out_.stride + c0;
    const auto initial = [&](const S* at, Index stride) -> kernel::StridedRows<const S> {
      return inner.start != nullptr ? kernel::StridedRows<const S>{inner.start + c0, 0}
                                    : kernel::StridedRows<const S>{at, stride};
    };
    kernels_.multiply_panel(queries, full_end - groups.begin, keys, depth, initial(to, out_.stride), {to, out_.stride},
                            cols);
    for (Index g = full_end; g < groups.end; ++g) {
      const Index rows = (std::min)(height, a_.rows - g * height);
      S* corner = out_.data + g * height * out_.stride + c0;
      if (inner.start == nullptr) {
        std::fill_n(tile, height * width, S(0));
        for (Index i = 0; i < rows; ++i) std::copy_n(corner + i * out_.stride, cols, tile + i * width);
      }
      kernels_.multiply_panel({packed.data + (g - groups.begin) * packed.stride, packed.stride, packed.step}, 1, keys,
                              depth, initial(tile, width), {tile, width}, cols);
      for (Index i = 0; i < rows; ++i) std::copy_n(tile + i * width, cols, corner + i * out_.stride);
    }
  }

  /// Returns true if a panel is read in place: its vectors must not extend beyond the last row.
  [[nodiscard]] bool in_place(Index panel) const {
    return b_in_place_ && ((panel + 1) * kernels_.width <= b_.cols || b_.cols % kernels_.lanes == 0);
  }

  /// Packs consecutive panels, with columns beyond the last set to 0. Each row of b is copied to all panels before the
  /// next row, because each row may be in a different memory page.
  void pack_panels(const IndexRange& panels, const InnerRange& inner, S* to) const {
    const Index width = kernels_.width, depth = inner.depth;
    if (depth == 0 || in_place(panels.end - 1)) return;
    const S* at = b_.data + inner.from * b_.row_stride;
    const auto cols = [&](Index p) { return (std::min)(width, b_.cols - p * width); };
    if (b_.row_stride == 1 && b_.col_stride != 1) {
      for (Index p = panels.begin; p < panels.end; ++p, to += depth * width)
        kernels_.pack_panel(at + p * width * b_.col_stride, b_.col_stride, cols(p), depth, to);
      return;
    }
    const bool whole = b_.col_stride == 1 && panels.end * width <= b_.cols;
    for (Index f = 0; f < depth; ++f, at += b_.row_stride)
      for (Index p = panels.begin; p < panels.end; ++p) {
        S* row = to + ((p - panels.begin) * depth + f) * width;
        const S* from = at + p * width * b_.col_stride;
        if (whole) {
          copy_vectors(from, width, row);
          continue;
        }
        if (b_.col_stride == 1)
          std::copy_n(from, cols(p), row);
        else
          for (Index c = 0; c < cols(p); ++c) row[c] = from[c * b_.col_stride];
        std::fill(row + cols(p), row + width, S(0));
      }
  }

  /// Copies a row of a panel, which is a multiple of 32 bytes. A call of memcpy for each row would take longer.
  static void copy_vectors(const S* from, Index width, S* to) {
    constexpr Index step = 32 / static_cast<Index>(sizeof(S));
    for (Index c = 0; c < width; c += step) std::memcpy(to + c, from + c, 32);
  }

  /// Packs consecutive groups that cannot be read in place, with rows beyond the last set to 0.
  void pack_groups(const IndexRange& groups, const InnerRange& inner, S* to) const {
    const Index height = kernels_.height, depth = inner.depth;
    for (Index g = groups.begin; g < groups.end; ++g, to += depth * height) {
      const S* at = a_.data + g * height * a_.row_stride + inner.from * a_.col_stride;
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
  const CacheBudget cache_ = cache_budget();
  Index panels_, groups_, max_depth_;  // max_depth_: number of features of a panel that fit in the cache
  bool a_in_place_, b_in_place_;
  bool finished_ = false;
};

/// Returns true if b is read once in place: packing it would cost more than to multiply few rows.
template <Real S>
bool has_few_rows(const MatrixView<S>& a, const MatrixView<S>& b) {
  constexpr Index max_rows = 8;
  return a.rows <= max_rows && a.col_stride == 1 && b.rows > 0 && b.cols > 0 && b.col_stride == 1 &&
         b.cols % kernel::kernels<S>().lanes == 0 && b.rows <= (std::numeric_limits<kernel::Column>::max)();
}

/// Computes out = a b for few rows of a. Each number is the same chain of multiply-adds as in MatrixProduct.
template <Real S>
void multiply_few_rows(const MatrixView<S>& a, const MatrixView<S>& b, const ProductTarget<S>& out,
                       const Session& session) {
  constexpr Index step = 8;  // rows of b that all rows of a multiply while they are in the first-level cache
  const auto& kernels = kernel::kernels<S>();
  auto* const numbers = session.operand().template get<kernel::Column>(b.rows);
  std::iota(numbers, numbers + b.rows, kernel::Column(0));
  const Index vectors = b.cols / kernels.lanes;
  const Index tasks = (std::min)(session.concurrency(), ceil_div(vectors * kernels.lanes, 64));
  session.run(tasks, [&](Index task, Index) {
    const Index begin = vectors * task / tasks * kernels.lanes,
                cols = vectors * (task + 1) / tasks * kernels.lanes - begin;
    for (Index i = 0; i < a.rows; ++i) {
      S* const row = out.data + i * out.stride + begin;
      if (out.add) continue;
      if (out.start != nullptr)
        std::copy_n(out.start + begin, cols, row);
      else
        std::fill_n(row, cols, S(0));
    }
    for (Index from = 0; from < b.rows; from += step)
      for (Index i = 0; i < a.rows; ++i)
        kernels.gather(out.data + i * out.stride + begin, a.data + i * a.row_stride + from, numbers + from,
                       (std::min)(step, b.rows - from), b.data + begin, b.row_stride, cols, true);
  });
  if (out.finish != nullptr) (*out.finish)(0, a.rows);
}

/// Computes out = a b.
template <Real S>
void multiply(const MatrixView<S>& a, const MatrixView<S>& b, const ProductTarget<S>& out, const Session& session) {
  if (a.rows > 0 && has_few_rows(a, b))
    multiply_few_rows(a, b, out, session);
  else
    MatrixProduct<S>(a, b, out, session).run();
}

}  // namespace filigree::detail
