// SPDX-License-Identifier: MIT
#pragma once

#include <limits>
#include <type_traits>

#include "filigree/core/integers.hpp"
#include "filigree/engine/keys.hpp"
#include "filigree/engine/queries.hpp"
#include "filigree/run/workspace.hpp"

namespace filigree::detail {

/// The scores that an engine computes: scale * <query, key>. Engines refer to a problem and pack its keys. The type
/// depends only on how operands are read, not on their Eigen types, so that an engine is compiled once for all matrices
/// in memory. K may be a reference to the keys of another problem.
template <class Q, class K>
struct Problem {
  static_assert(PackableQueries<Q>);
  static_assert(Keys<std::remove_reference_t<K>>);
  using Scalar = typename Q::Scalar;

  Q queries;
  K keys;
  Grid grid;
  Scalar scale;

  [[nodiscard]] Index d() const { return keys.d(); }

  // For the general evaluator, which computes all scores of a few rows.
  void pack(const Session& session, Index count) {
    keys.pack(session, count, [] { return (std::numeric_limits<Index>::max)(); });
  }
  [[nodiscard]] Index height() const { return kernel::kernels<Scalar>().height; }
  [[nodiscard]] Index stride() const { return (ceil_div(grid.m, width()) + 1) * width(); }
  void fill(Index first, Index count, Scalar* to, WorkerScratch& scratch) const {
    const Index groups = ceil_div(count, height());
    ScratchFrame frame(scratch);
    Scalar* q = frame.take<Scalar>(groups * height() * d());
    queries.pack(first, count, q, scratch);
    keys.reserve(scratch);
    const Range dropped = keys.dropped();
    for (Index p = 0; p * width() < grid.m; ++p)
      if (p * width() < dropped.begin || (std::min)((p + 1) * width(), grid.m) > dropped.end)
        kernel::kernels<Scalar>().score_panel(q, groups, keys.panel(p, scratch), d(), scale, to + p * width(),
                                              stride());
    constexpr Scalar absent = -std::numeric_limits<Scalar>::infinity();
    for (Index r = 0; r < count; ++r)
      std::fill(to + r * stride() + dropped.begin, to + r * stride() + dropped.end, absent);
  }

 private:
  static Index width() { return kernel::kernels<Scalar>().width; }
};

}  // namespace filigree::detail
