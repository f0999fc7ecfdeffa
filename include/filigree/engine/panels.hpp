// SPDX-License-Identifier: MIT
#pragma once

#include "filigree/core/lazy.hpp"
#include "filigree/pipe/workspace.hpp"

namespace filigree::detail {

/// Keys in panels of `width`, feature by feature, as the score kernel reads them.
template <Real S>
struct PackedPanels {
  const S* data;  // [panels][d][width]; missing keys of the last panel are 0
  Index m, d, width;

  [[nodiscard]] Index panels() const { return (m + width - 1) / width; }
  [[nodiscard]] const S* panel(Index p) const { return data + p * d * width; }
  static Index size(Index m, Index d) {
    const Index width = kernel::kernels<S>().width;
    return (m + width - 1) / width * width * d;
  }
};

/// Packs the rows of K into memory of PackedPanels::size(m, d) numbers, panels in parallel.
template <class K, Real S, class Run>
PackedPanels<S> pack_panels_to(const Reader<K>& k, S* data, Run&& run) {
  const PackedPanels<S> packed{data, k.rows(), k.cols(), kernel::kernels<S>().width};
  if (packed.d == 0) return packed;  // nothing to copy, and data may be null
  constexpr Index batch = 16;
  run((packed.panels() + batch - 1) / batch, [&](Index task, Index) {
    const Index end = (std::min)((task + 1) * batch, packed.panels());
    for (Index p = task * batch; p < end; ++p) {
      S* to = data + p * packed.d * packed.width;
      if constexpr (Reader<K>::direct) {
        if (k.contiguous_rows()) {
          const Index first = p * packed.width;
          kernel::kernels<S>().pack_panel(k.data() + first * k.row_stride(), k.row_stride(),
                                          (std::min)(packed.width, packed.m - first), packed.d, to);
          continue;
        }
      }
      for (Index c = 0; c < packed.width; ++c) {
        const Index row = p * packed.width + c;
        if (row < packed.m)
          k.copy_row(row, to + c, packed.width);
        else
          for (Index f = 0; f < packed.d; ++f) to[f * packed.width + c] = S(0);
      }
    }
  });
  return packed;
}

template <class K, class S = typename K::Scalar>
PackedPanels<S> pack_panels(const Reader<K>& k, Buffer& buffer, const Session& session) {
  S* data = buffer.get<S>(PackedPanels<S>::size(k.rows(), k.cols()));
  return pack_panels_to(k, data, [&](Index tasks, auto&& f) { session.run(tasks, f); });
}

}  // namespace filigree::detail
