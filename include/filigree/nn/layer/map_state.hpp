// SPDX-License-Identifier: MIT
#pragma once

#include <algorithm>

#include "filigree/nn/state.hpp"

namespace filigree::detail {

/// A map whose output may overwrite its input, because its derivative depends only on the output.
template <class T, class S>
concept MapInPlace = DifferentiableMap<T, S> && requires {
  requires T::derivative_from_output;
};

/// A map with a derivative as a layer.
template <class T, Real S>
  requires DifferentiableMap<T, S>
class State<T, S> {
 public:
  static constexpr bool runs_in_batches = MapInPlace<T, S>;

  void forward(const T& stage, Context<S>& context) {
    const ConstRows<S> x = context.inputs();
    const Grid grid = {.n = x.rows(), .m = x.cols()};
    check_for<S>(stage, grid);
    S* y = context.make_outputs(grid.m).data();
    context.for_each_rows([&](Index first, Index last) {
      std::copy(x.data() + first * grid.m, x.data() + last * grid.m, y + first * grid.m);
      map(stage, y, first, last, grid);
    });
  }
  /// Maps rows [first, last) in place.
  static void map(const T& stage, S* all, Index first, Index last, const Grid& grid) {
    if constexpr (MapsVectors<T, S>) {
      stage.map_all(all + first * grid.m, (last - first) * grid.m);
    } else {
      for (Index i = first; i < last; ++i)
        for (Index j = 0; j < grid.m; ++j) all[i * grid.m + j] = stage.map(all[i * grid.m + j], i, j, grid);
    }
  }

  /// Computes the gradient with respect to the input, in place of dy.
  Gradient<S> backward(const T& stage, Context<S>& context) {
    const ConstRows<S> x = context.inputs(), y = context.out.rows(context.session);
    S* d = context.writable_output_gradient().data();
    const Grid grid = {.n = x.rows(), .m = x.cols()};
    context.for_each_rows([&](Index first, Index last) {
      for (Index i = first; i < last; ++i)
        for (Index j = 0, e = i * grid.m; j < grid.m; ++j, ++e)
          d[e] *= derivative_at(stage, x.data()[e], y.data()[e], i, j, grid);
    });
    return {.dense = d};
  }
};

}  // namespace filigree::detail
