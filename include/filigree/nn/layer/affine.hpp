// SPDX-License-Identifier: MIT
#pragma once

#include <algorithm>

#include "filigree/core/integers.hpp"
#include "filigree/engine/selection.hpp"
#include "filigree/nn/rows.hpp"

namespace filigree::detail {

/// The scores x W + b as a source of an engine.
///
/// The biases are the first feature of the keys, and this feature is 1 in every sample. Each score is therefore one
/// chain of multiply-adds that begins with the bias.
template <Real S>
class Affine {
 public:
  using Scalar = S;

  /// Shapes  weights: in x out, biases: out
  Affine(const ConstRows<S>& x, const S* weights, const S* biases, Index out)
      : x_(x), weights_(weights), biases_(biases), out_(out), keys_(PackedPanels<S>::none(out, x.cols() + 1)) {
    grid_ = {.n = x.rows(), .m = out};
  }

  [[nodiscard]] const Grid& grid() const { return grid_; }
  [[nodiscard]] Index d() const { return keys_.d; }
  [[nodiscard]] S scale() const { return 1; }

  template <class Panels>
  void pack(const Session& session, Index, Panels&&) const {
    S* data = session.keys().get<S>(PackedPanels<S>::size(out_, d()));
    // Writes several panels together, because each row of the weights is in a different memory page.
    constexpr Index batch = 4;
    session.run(ceil_div(keys_.panels(), batch), [&](Index task, Index) {
      const Index width = keys_.width, end = (std::min)((task + 1) * batch, keys_.panels());
      for (Index f = 0; f < d(); ++f) {
        const S* from = f == 0 ? biases_ : weights_ + (f - 1) * out_;
        for (Index p = task * batch; p < end; ++p) {
          S* to = data + (p * d() + f) * width;
          const Index cols = (std::min)(width, out_ - p * width);
          std::copy_n(from + p * width, cols, to);
          std::fill(to + cols, to + width, S(0));
        }
      }
    });
    keys_.data = data;
  }
  [[nodiscard]] const S* panel(Index p, WorkerScratch&) const { return keys_.panel(p); }
  void reserve(WorkerScratch&) const {}

  /// Writes samples [first, first + count) as groups [.][d][height]. Missing rows of the last group are 0.
  void pack_queries(Index first, Index count, S* out) const {
    const auto& kernels = kernel::kernels<S>();
    const Index height = kernels.height, in = x_.cols();
    for (Index g = 0; g < count; g += height, out += d() * height) {
      const Index rows = (std::min)(height, count - g);
      const S* at = x_.data() + (first + g) * in;
      for (Index r = 0; r < height; ++r) out[r] = r < rows ? S(1) : S(0);
      if (rows == height) {
        kernels.pack_group(at, in, in, out + height);
        continue;
      }
      for (Index f = 0; f < in; ++f)
        for (Index r = 0; r < height; ++r) out[(f + 1) * height + r] = r < rows ? at[r * in + f] : S(0);
    }
  }

 private:
  ConstRows<S> x_;
  const S *weights_, *biases_;
  Index out_;
  Grid grid_;
  mutable PackedPanels<S> keys_;
};

}  // namespace filigree::detail
