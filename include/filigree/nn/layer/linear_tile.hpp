// SPDX-License-Identifier: MIT
#pragma once

#include "filigree/engine/matrix_product.hpp"
#include "filigree/nn/layer/linear.hpp"

namespace filigree::detail {

/// A range of rows or of columns.
struct TileRange {
  Index begin, end;
  [[nodiscard]] Index size() const { return end - begin; }
};

/// Computes the outputs of a linear layer for some rows of its inputs x and some columns of its weights.
///
/// Shapes  weights: in x width, and those of the skip connection, skip x width, with rows `stride` numbers apart;
///         biases: width; outputs: rows x width
template <Real S>
void multiply_tile(const Linear<S>& layer, const Context<S>& context, const ConstRows<S>& x, const TileRange& rows,
                   const MatrixView<S>& weights, const S* biases, S* outputs) {
  const Session& session = context.session;
  const auto multiply_by = [&](const ConstRows<S>& in, Index first, const S* start) {
    multiply<S>({in.data() + rows.begin * in.cols(), rows.size(), in.cols(), in.cols(), 1},
                {weights.data + first * weights.row_stride, in.cols(), weights.cols, weights.row_stride, 1},
                {.data = outputs, .stride = weights.cols, .start = start, .add = start == nullptr}, session);
  };
  if (layer.skip > 0) multiply_by(context.network.input->rows(session), layer.in, biases);
  multiply_by(x, 0, layer.skip > 0 ? nullptr : biases);
}

}  // namespace filigree::detail
