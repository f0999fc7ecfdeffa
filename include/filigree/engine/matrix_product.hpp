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
struct View {
  const S* data;
  Index rows, cols, row_stride, col_stride;

  [[nodiscard]] View transposed() const { return {data, cols, rows, col_stride, row_stride}; }
};

template <class M>
View<typename M::Scalar> view(const M& x) {
  return {x.data(), x.rows(), x.cols(), x.rowStride(), x.colStride()};
}

/// Where a product goes: row-major, `stride` apart.
template <Real S>
struct ProductTarget {
  S* data;
  Index stride;
  const S* start = nullptr;  // a row from which every row's chains begin; null: from 0, or from what is there to add to
  bool add = false;
};

/// out = a b. The operands must not lie in the memory of the target.
template <Real S>
class MatrixProduct {
 public:
  MatrixProduct(const View<S>& a, const View<S>& b, const ProductTarget<S>& out, const Session& session)
      : a_(a), b_(b), out_(out), session_(session), kernels_(kernel::kernels<S>()) {
    panels_ = (b.cols + kernels_.width - 1) / kernels_.width;
    // A stretch of a panel stays in the first-level cache while the groups of a block pass by it.
    stretch_ = std::max<Index>(32 * 1024 / (kernels_.width * static_cast<Index>(sizeof(S))), 1);
    deep_ = 8 * stretch_;
    rows_ = 16 * kernels_.height;
  }

  void run() const {
    if (a_.rows == 0 || b_.cols == 0) return;
    S* start = session_.values().template get<S>(panels_ * kernels_.width);
    std::fill_n(start, panels_ * kernels_.width, S(0));
    if (out_.start != nullptr) std::copy_n(out_.start, b_.cols, start);
    Index from = 0;
    do {  // once at least: the product over nothing is where its chains begin
      const Index depth = (std::min)(deep_, b_.rows - from);
      add_stretch(from, depth, from == 0 && !out_.add ? start : nullptr);
      from += depth;
    } while (from < b_.rows);
  }

 private:
  /// Continues all chains over the inner indices [from, from + depth); `start`: they begin there.
  void add_stretch(Index from, Index depth, const S* start) const {
    const Index width = kernels_.width;
    S* panels = session_.keys().template get<S>(panels_ * depth * width);
    session_.run(panels_, [&](Index p, Index) { pack_panel(p, from, depth, panels + p * depth * width); });
    // Tasks are blocks of rows by some panels each, as many as keep all workers busy.
    const Index blocks = (a_.rows + rows_ - 1) / rows_;
    const Index wanted = session_.concurrency() > 1 ? 4 * session_.concurrency() : 1;
    const Index stripes = std::clamp<Index>((wanted + blocks - 1) / blocks, 1, panels_);
    const Index padded = ((std::min)(rows_, a_.rows) + kernels_.height - 1) / kernels_.height * kernels_.height;
    for (Index worker = 0; worker < session_.concurrency(); ++worker) {  // whichever will be called
      session_.scratch(worker).queries.template get<S>(padded * depth);
      session_.scratch(worker).tile.template get<S>(kernels_.height * width);
    }
    session_.run(blocks * stripes, [&](Index task, Index worker) {
      WorkerScratch& scratch = session_.scratch(worker);
      const Index first = task / stripes * rows_, rows = (std::min)(rows_, a_.rows - first), s = task % stripes;
      const Index groups = (rows + kernels_.height - 1) / kernels_.height;
      S* queries = scratch.queries.template get<S>(groups * kernels_.height * depth);
      // One packed part for each stretch of a panel, as the kernel reads them.
      for (Index f = 0; f < depth; f += stretch_)
        pack_groups(first, rows, from + f, (std::min)(stretch_, depth - f), queries + f * groups * kernels_.height);
      for (Index p = s * panels_ / stripes; p < (s + 1) * panels_ / stripes; ++p)
        for (Index f = 0; f < depth || f == 0; f += stretch_)
          multiply({first, rows, p, (std::min)(stretch_, depth - f)}, queries + f * groups * kernels_.height,
                   panels + (p * depth + f) * width, f == 0 ? start : nullptr, scratch);
    });
  }

  struct Part {
    Index first, rows, panel, depth;
  };

  /// One stretch of one panel for a block of rows. Tiles that reach beyond the target are computed apart.
  void multiply(const Part& part, const S* a, const S* b, const S* start, WorkerScratch& scratch) const {
    const Index width = kernels_.width, height = kernels_.height, lanes = kernels_.lanes;
    const Index c0 = part.panel * width, cols = (std::min)(width, b_.cols - c0);
    const Index vectors = (cols + lanes - 1) / lanes, whole = cols % lanes == 0 ? part.rows / height : 0;
    S* to = out_.data + part.first * out_.stride + c0;
    const auto begin = [&](const S* at, Index stride) -> kernel::Strided<const S> {
      return start != nullptr ? kernel::Strided<const S>{start + c0, 0} : kernel::Strided<const S>{at, stride};
    };
    kernels_.multiply_panel(a, whole, b, part.depth, begin(to, out_.stride), {to, out_.stride}, vectors);
    S* tile = scratch.tile.template get<S>(height * width);
    for (Index r = whole * height; r < part.rows; r += height) {
      const Index rows = (std::min)(height, part.rows - r);
      S* corner = to + r * out_.stride;
      if (start == nullptr) {
        std::fill_n(tile, height * width, S(0));
        for (Index i = 0; i < rows; ++i) std::copy_n(corner + i * out_.stride, cols, tile + i * width);
      }
      kernels_.multiply_panel(a + r * part.depth, 1, b, part.depth, begin(tile, width), {tile, width}, vectors);
      for (Index i = 0; i < rows; ++i) std::copy_n(tile + i * width, cols, corner + i * out_.stride);
    }
  }

  /// Inner indices [from, from + depth) of panel p; columns beyond the last are 0.
  void pack_panel(Index p, Index from, Index depth, S* to) const {
    const Index width = kernels_.width, c0 = p * width, cols = (std::min)(width, b_.cols - c0);
    const S* at = b_.data + from * b_.row_stride + c0 * b_.col_stride;
    if (depth == 0) return;
    if (b_.row_stride == 1 && b_.col_stride != 1) return kernels_.pack_panel(at, b_.col_stride, cols, depth, to);
    for (Index f = 0; f < depth; ++f, at += b_.row_stride, to += width) {
      for (Index c = 0; c < cols; ++c) to[c] = at[c * b_.col_stride];
      std::fill(to + cols, to + width, S(0));
    }
  }

  /// Rows [first, first + rows) as groups; missing rows of the last group are 0.
  void pack_groups(Index first, Index rows, Index from, Index depth, S* to) const {
    const Index height = kernels_.height;
    for (Index g = 0; g < rows; g += height, to += depth * height) {
      const S* at = a_.data + (first + g) * a_.row_stride + from * a_.col_stride;
      const Index present = (std::min)(height, rows - g);
      if (a_.col_stride == 1 && present == height) {
        kernels_.pack_group(at, a_.row_stride, depth, to);
        continue;
      }
      for (Index f = 0; f < depth; ++f)
        for (Index r = 0; r < height; ++r)
          to[f * height + r] = r < present ? at[r * a_.row_stride + f * a_.col_stride] : S(0);
    }
  }

  View<S> a_, b_;
  ProductTarget<S> out_;
  const Session& session_;
  const kernel::Kernels<S>& kernels_;
  Index panels_, stretch_, deep_, rows_;
};

template <Real S>
void multiply(const View<S>& a, const View<S>& b, const ProductTarget<S>& out, const Session& session) {
  MatrixProduct<S>(a, b, out, session).run();
}

}  // namespace filigree::detail
