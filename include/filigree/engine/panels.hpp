// SPDX-License-Identifier: MIT
#pragma once

#include <algorithm>

#include "filigree/core/integers.hpp"
#include "filigree/run/widen.hpp"
#include "filigree/run/workspace.hpp"
#include "filigree/stage/ranges.hpp"

namespace filigree::detail {

/// Rows [begin, begin + size) of a sequence that are not in memory. The rows after them follow the rows before them.
struct RowGap {
  Index begin = 0, size = 0;

  /// Returns the place in memory of a row that is in memory.
  [[nodiscard]] Index place(Index row) const { return row < begin ? row : row - size; }
};

/// Keys packed for the score kernel: panels of `width` keys, transposed to [d][width].
template <Real S>
struct PackedPanels {
  const S* data;  // [panels][d][width]
  Index m, d, width;
  StoredNumbers<S> stored{};  // the panels, if they are stored in 16 bits; then `data` is null
  Range dropped{};            // columns whose scores are absent
  RowGap gap{};               // a part of the dropped columns, in whole panels

  [[nodiscard]] Index panels() const { return ceil_div(m, width); }
  /// Returns the index of the first number of a panel.
  [[nodiscard]] Index index(Index p) const { return gap.place(p * width) * d; }
  [[nodiscard]] const S* panel(Index p) const { return data + index(p); }
  /// Returns the shape of panels without data.
  static PackedPanels none(Index m, Index d) { return {nullptr, m, d, kernel::kernels<S>().width}; }
  /// Returns how many numbers the panels of m keys with d features hold.
  static Index size(Index m, Index d) {
    const Index width = kernel::kernels<S>().width;
    return round_up(m, width) * d;
  }
};

/// Packs rows row_of(0), ..., row_of(count - 1) of a matrix of 16-bit numbers as a panel. Features are widened in
/// batches in a buffer that fits in the L1 cache.
template <class R, Real S, class RowOf>
void pack_widened(const R& k, Index width, Index count, RowOf&& row_of, S* to) {
  constexpr Index capacity = 4096;
  alignas(Buffer::alignment) S rows[capacity];
  const Index d = k.cols(), batch = capacity / width;
  for (Index f = 0; f < d; f += batch) {
    const Index features = (std::min)(batch, d - f);
    for (Index c = 0; c < count; ++c) widen_row(k, row_of(c), f, features, rows + c * features);
    kernel::kernels<S>().pack_panel(rows, features, count, features, to + f * width);
  }
}

/// Packs panel p of the rows of K.
template <class R, Real S>
void pack_panel(const R& k, const PackedPanels<S>& shape, Index p, S* to) {
  const Index first = p * shape.width, count = (std::min)(shape.width, shape.m - first);
  if constexpr (R::direct) {
    if (k.contiguous_rows()) {
      [[maybe_unused]] const auto row_of = [&](Index c) { return first + c; };
      if constexpr (is_widened<R, S>)
        return pack_widened(k, shape.width, count, row_of, to);
      else
        return kernel::kernels<S>().pack_panel(k.data() + first * k.row_stride(), k.row_stride(), count, shape.d, to);
    }
  }
  for (Index c = 0; c < shape.width; ++c) {
    if (c < count)
      k.copy_row(first + c, to + c, shape.width);
    else
      for (Index f = 0; f < shape.d; ++f) to[f * shape.width + c] = S(0);
  }
}

/// Packs the rows of K given by `columns` as a panel. The padding of the panel is unspecified.
template <class R, Real S>
void gather_panel(const R& k, const PackedPanels<S>& shape, const Column* columns, Index count, S* to) {
  if constexpr (R::direct) {
    if (k.contiguous_rows()) {
      [[maybe_unused]] const auto row_of = [&](Index c) { return columns[c]; };
      if constexpr (is_widened<R, S>)
        return pack_widened(k, shape.width, count, row_of, to);
      else
        return kernel::kernels<S>().gather_panel(k.data(), k.row_stride(), columns, count, shape.d, to);
    }
  }
  for (Index c = 0; c < shape.width; ++c) k.copy_row(columns[(std::min)(c, count - 1)], to + c, shape.width);
}

/// Packs the rows of K into PackedPanels::size(m, d) numbers at `data`, with panels in parallel.
template <class R, Real S, class Run>
PackedPanels<S> pack_panels_to(const R& k, S* data, Run&& run) {
  const PackedPanels<S> packed{data, k.rows(), k.cols(), kernel::kernels<S>().width};
  if (packed.d == 0) return packed;  // nothing to copy, and data may be null
  constexpr Index batch = 16;
  run(ceil_div(packed.panels(), batch), [&](Index task, Index) {
    const Index end = (std::min)((task + 1) * batch, packed.panels());
    for (Index p = task * batch; p < end; ++p) pack_panel(k, packed, p, data + p * packed.d * packed.width);
  });
  return packed;
}

/// Packs the rows of K into a buffer, with panels in parallel.
template <Real S, class R>
PackedPanels<S> pack_panels(const R& k, Buffer& buffer, const Session& session) {
  S* data = buffer.get<S>(PackedPanels<S>::size(k.rows(), k.cols()));
  return pack_panels_to(k, data, [&](Index tasks, auto&& f) { session.run(tasks, f); });
}

}  // namespace filigree::detail
