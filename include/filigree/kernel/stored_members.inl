// SPDX-License-Identifier: MIT
// The members of Kernels that read keys and values of 16 bits, which the table of stored_kernels() refers to.

// clang-format off
  static void score_panel_stored(const Scalar* q, Index present, StoredNumbers<Scalar> k, Index d, Scalar scale, Scalar* out,
      Index stride)
      FILIGREE_BY_LEVEL(score_panel_stored(q, present, k, d, scale, out, stride))
  static void score_columns_stored(const Scalar* q, StoredNumbers<Scalar> k, Index d, Scalar scale, Scalar* out, Index stride,
      Index begin, Index end)
      FILIGREE_BY_LEVEL(score_columns_stored(q, k, d, scale, out, stride, begin, end))
  static void append_panel_stored(const Scalar* q, Index present, StoredNumbers<Scalar> k, Index d, Scalar scale, Column first,
      Candidates<Scalar> rows)
      FILIGREE_BY_LEVEL(append_panel_stored(q, present, k, d, scale, first, rows))
  static void attend_chunk_stored(Scalar* tile, Index stride, const Segment* segments, Index count, StoredNumbers<Scalar> v,
      Index v_stride, Index dv, Index present, const RandomRow* random, SoftmaxState<Scalar> to)
      FILIGREE_BY_LEVEL(attend_chunk_stored(tile, stride, segments, count, v, v_stride, dv, present, random, to))
  static void attend_nonfinite_stored(Scalar* tile, Index stride, const Segment* segments, Index count, StoredNumbers<Scalar> v,
      Index v_stride, Index dv, Index present, const RandomRow* random, SoftmaxState<Scalar> to)
      FILIGREE_BY_LEVEL(attend_nonfinite_stored(tile, stride, segments, count, v, v_stride, dv, present, random, to))
  static void gather_stored(Scalar* out, const Scalar* weights, const Column* columns, Index count, StoredNumbers<Scalar> v,
      Index stride, Index dv, bool add = false)
      FILIGREE_BY_LEVEL(gather_stored(out, weights, columns, count, v, stride, dv, add))
    // clang-format on
