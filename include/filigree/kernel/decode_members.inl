// SPDX-License-Identifier: MIT
// The members of Kernels for a few queries, which are defined in decode.inl.

// clang-format off
  /// Returns the number of rows, 1, 2, 4 or `height`, of a group of a few queries.
  static Index few_rows(Index present)
      FILIGREE_BY_LEVEL(few_rows(present))
  static void score_few(const Scalar* q, Index rows, const Scalar* k, Index d, Scalar scale, Scalar* out, Index stride,
      Index begin, Index end)
      FILIGREE_BY_LEVEL(score_few(q, rows, k, d, scale, out, stride, begin, end))
  static void score_rows(const Scalar* q, Index rows, const Scalar* k, Index k_stride, Index count, Index d, Index ahead,
      Scalar scale, Scalar* out, Index stride)
      FILIGREE_BY_LEVEL(score_rows(q, rows, k, k_stride, count, d, ahead, scale, out, stride))
  static void exponentiate_few(Scalar* tile, Index rows, Index stride, const Segment* segments, Index count,
      SoftmaxState<Scalar> to)
      FILIGREE_BY_LEVEL(exponentiate_few(tile, rows, stride, segments, count, to))
  static void accumulate_few(const Scalar* w, Index rows, Index stride, Index count, const Scalar* v, Index v_stride,
      Index dv, Index ahead, SoftmaxState<Scalar> to)
      FILIGREE_BY_LEVEL(accumulate_few(w, rows, stride, count, v, v_stride, dv, ahead, to))
    // clang-format on
