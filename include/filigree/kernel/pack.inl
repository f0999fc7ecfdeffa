// SPDX-License-Identifier: MIT
// Keys and queries as the score kernel reads them: a panel of `width` rows turned to [d][width], a group of `height`
// rows turned to [d][height].

// One round of a transposition of lanes x lanes numbers: blocks of distance x distance beside the diagonal change
// places. Reference: Eklundh, IEEE Transactions on Computers C-21 (1972), 801-803.
template <int distance, int... I>
[[gnu::always_inline]] inline void exchange_blocks(Vec* v, std::integer_sequence<int, I...>) {
  FILIGREE_UNROLL
  for (int r = 0; r < lanes; ++r) {
    if ((r & distance) != 0) continue;
    const Vec a = v[r], b = v[r + distance];
    v[r] = __builtin_shufflevector(a, b, ((I & distance) != 0 ? lanes + I - distance : I)...);
    v[r + distance] = __builtin_shufflevector(a, b, ((I & distance) != 0 ? lanes + I : I + distance)...);
  }
}
template <int distance = 1>
[[gnu::always_inline]] inline void transpose(Vec* v /*[lanes]*/) {
  if constexpr (distance < lanes) {
    exchange_blocks<distance>(v, std::make_integer_sequence<int, lanes>{});
    transpose<2 * distance>(v);
  }
}

// Rows from `count` on are 0.
inline void pack_panel(const Real* rows /*[count][stride]*/, Index stride, Index count, Index d,
                       Real* out /*[d][width]*/) {
  for (int c = 0; c < width; c += lanes) {
    const Real* from = rows + c * stride;
    Index f = 0;
    if (c + lanes <= count) {
      for (; f + lanes <= d; f += lanes) {
        Vec v[lanes];
        FILIGREE_UNROLL
        for (int r = 0; r < lanes; ++r) v[r] = load(from + r * stride + f);
        transpose(v);
        FILIGREE_UNROLL
        for (int r = 0; r < lanes; ++r) store(out + (f + r) * width + c, v[r]);
      }
    }
    for (; f < d; ++f)
      for (int r = 0; r < lanes; ++r) out[f * width + c + r] = c + r < count ? from[r * stride + f] : Real(0);
  }
}

inline void pack_group(const Real* rows /*[height][stride]*/, Index stride, Index d, Real* out /*[d][height]*/) {
  for (Index f = 0; f < d; ++f, ++rows, out += height) {
    FILIGREE_UNROLL
    for (int r = 0; r < height; ++r) out[r] = rows[r * stride];
  }
}
