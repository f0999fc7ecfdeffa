// SPDX-License-Identifier: MIT
// The backward pass of softmax over a tile of scores, and the products that follow it.
//
// Reference: Dao et al., arXiv:2205.14135, algorithm 4.

// Replaces the scores s of a tile by their weights, and d, the gradients by the weights, by the gradients by the
// scores times `scale`. The weight and the gradient of a masked score, -inf, are 0, whatever d is. With random numbers,
// for at most `height` rows, dropped weights become 0, and the others are multiplied by `gain`. `count` is a multiple
// of lanes.
static void softmax_backward(Scalar* s /*[rows][stride]*/, Scalar* d /*[rows][stride]*/, Index stride, Index rows,
                             Index count, SoftmaxRows<Scalar> of, Scalar gain, Scalar scale, const RandomRow* random) {
  const RoundToNearest rounding;
  const Vec masked = broadcast(-infinity), factor = broadcast(gain), scales = broadcast(scale);
  const auto replace = [&](Index r, Index c, const Mask* kept) {
    Scalar *const weight = s + r * stride + c, *const gradient = d + r * stride + c;
    const Vec score = load(weight), e = exponential(score - broadcast(of.maximum[r])) * broadcast(of.inverse[r]);
    Vec w = e, g = load(gradient);
    if (kept != nullptr) {
      w = *kept != 0 ? e * factor : Vec{};
      g = *kept != 0 ? g * factor : Vec{};
    }
    store(weight, w);
    store(gradient, score == masked ? Vec{} : e * (g - broadcast(of.mean[r])) * scales);
  };
  if (random != nullptr) {
    const Segment all{0, count};
    return draw_segments(random, rows, &all, 1, [&](Index r, Index c, const Mask& kept) { replace(r, c, &kept); });
  }
  for (Index r = 0; r < rows; ++r)
    for (Index c = 0; c < count; c += lanes) replace(r, c, nullptr);
}

template <int rows>
static void add_product_rows(StridedRows<const Scalar> a, Index depth, StridedRows<const Scalar> b, Index columns,
                             StridedRows<Scalar> out) {
  const Segment all{0, depth};
  Index f = 0;
  for (; f + width <= columns; f += width)
    accumulate_values<rows, cols, true>(a.data, a.stride, &all, 1, b.data + f, b.stride, out.data + f, out.stride);
  for (; f < columns; f += lanes)
    accumulate_values<rows, 1, true>(a.data, a.stride, &all, 1, b.data + f, b.stride, out.data + f, out.stride);
}

// out += a b. `columns` is a multiple of lanes.
static void add_product(StridedRows<const Scalar> a /*[rows][depth]*/, Index rows, Index depth,
                        StridedRows<const Scalar> b /*[depth][columns]*/, Index columns,
                        StridedRows<Scalar> out /*[rows][columns]*/) {
  for (; rows >= height; rows -= height, a.data += height * a.stride, out.data += height * out.stride)
    add_product_rows<height>(a, depth, b, columns, out);
  for (; rows > 0; --rows, a.data += a.stride, out.data += out.stride) add_product_rows<1>(a, depth, b, columns, out);
}
