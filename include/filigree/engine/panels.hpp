// SPDX-License-Identifier: MIT
#pragma once

#include "filigree/pipe/widen.hpp"
#include "filigree/pipe/workspace.hpp"

namespace filigree::detail {

/// Keys in panels of `width`, feature by feature, as the score kernel reads them.
template <Real S>
struct PackedPanels {
  const S* data;  // [panels][d][width]; missing keys of the last panel are 0
  Index m, d, width;

  [[nodiscard]] Index panels() const { return (m + width - 1) / width; }
  [[nodiscard]] const S* panel(Index p) const { return data + p * d * width; }
  /// Panels that are not there.
  static PackedPanels none(Index m, Index d) { return {nullptr, m, d, kernel::kernels<S>().width}; }
  static Index size(Index m, Index d) {
    const Index width = kernel::kernels<S>().width;
    return (m + width - 1) / width * width * d;
  }
};

/// Packs rows row_of(0), ..., row_of(count - 1) of a matrix that is stored in 16 bits as a panel: some features of them
/// at a time are widened into memory that stays in the first cache.
template <class R, Real S, class RowOf>
void pack_widened(const R& k, Index width, Index count, RowOf&& row_of, S* to) {
  constexpr Index room = 4096;
  alignas(Buffer::alignment) S rows[room];
  const Index d = k.cols(), step = room / width;
  for (Index f = 0; f < d; f += step) {
    const Index features = (std::min)(step, d - f);
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

/// Packs some rows of K, side by side as a panel; the rest of it is some numbers.
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

/// Packs the rows of K into memory of PackedPanels::size(m, d) numbers, panels in parallel.
template <class R, Real S, class Run>
PackedPanels<S> pack_panels_to(const R& k, S* data, Run&& run) {
  const PackedPanels<S> packed{data, k.rows(), k.cols(), kernel::kernels<S>().width};
  if (packed.d == 0) return packed;  // nothing to copy, and data may be null
  constexpr Index batch = 16;
  run((packed.panels() + batch - 1) / batch, [&](Index task, Index) {
    const Index end = (std::min)((task + 1) * batch, packed.panels());
    for (Index p = task * batch; p < end; ++p) pack_panel(k, packed, p, data + p * packed.d * packed.width);
  });
  return packed;
}

template <Real S, class R>
PackedPanels<S> pack_panels(const R& k, Buffer& buffer, const Session& session) {
  S* data = buffer.get<S>(PackedPanels<S>::size(k.rows(), k.cols()));
  return pack_panels_to(k, data, [&](Index tasks, auto&& f) { session.run(tasks, f); });
}

}  // namespace filigree::detail
