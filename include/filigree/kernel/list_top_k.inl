// SPDX-License-Identifier: MIT
// The k largest scores of short rows, for all rows of a tile together. The search of a row is a few comparisons, so the
// rows are searched side by side: the bounds of `lanes` rows are in one vector, and each step counts the values above
// the bound of each row. With vectors of 16 bytes this would gain little, and rows are searched one by one.

// The largest and the smallest value of a row, and the number of values that are present. `irregular` is true if a
// value may be NaN or infinite.
struct RowRange {
  Scalar low, high;
  Index present;
  bool irregular;
};
[[gnu::always_inline]] static inline RowRange range_of(const Scalar* values, Index padded) {
  const Vec absent = broadcast(-infinity);
  Vec high = absent, low = -absent, total{};
  Index present = 0;
  for (Index c = 0; c < padded; c += lanes) {
    const Vec v = load(values + c);
    const Vec filled = v == absent ? -absent : v;
    present += population(above(v, absent));
    high = v > high ? v : high;
    low = filled < low ? filled : low;
    total += v;  // NaN if one is NaN; -inf and +inf give NaN too
  }
  const Scalar top = largest(high);
  return {-largest(-low), top, present, above(total, broadcast(infinity)) != 0 || top == infinity};
}

// Returns the number of values above t, none of which is NaN.
[[gnu::always_inline]] static inline Index count_numbers_above(const Scalar* values, Index padded, Scalar t) {
  const Vec bound = broadcast(t);
  Index i = 0, count = 0;
  for (; i + 4 * lanes <= padded; i += 4 * lanes) {
    std::uint64_t bits = 0;
    FILIGREE_UNROLL
    for (int c = 0; c < 4; ++c) bits |= std::uint64_t{above(load(values + i + c * lanes), bound)} << (c * lanes);
    count += __builtin_popcountll(bits);
  }
  for (; i < padded; i += lanes) count += population(above(load(values + i), bound));
  return count;
}

// Lists the k largest values of one row: lists the values that are present, and reduces the list.
static Index list_one_row(const Scalar* values, Index padded, Index k, Scalar* to_values, Column* to_columns) {
  Scalar list[max_short_row + 2 * lanes], bound = -infinity;
  Column columns[max_short_row + 2 * lanes];
  const Index count = copy_above(values, padded, -infinity, list, columns);
  if (count <= k) return copy_above(values, padded, -infinity, to_values, to_columns);
  Search search;
  set_list(search, list, columns, count, &bound);
  search.to_values = to_values;
  search.to_columns = to_columns;
  keep_top_k_of_group(&search, 1, k, 0);
  return search.count;
}

// Lists the k largest values of rows by side-by-side searches.
static void search_side_by_side(const Scalar* tile /*[count][stride]*/, Index stride, Index count, Index m,
                                Index padded, Index k, Candidates<Scalar> to) {
  const Vec wanted = broadcast(static_cast<Scalar>(k));
  // Where the k-th largest of m normally distributed values is, between the smallest and the largest.
  const Index rest = 2 * k < m ? k : m > k ? m - k : 1;
  const float tail = tail_quantile(rough_log2(1024 * rest) - rough_log2(1024 * m)),
              end = tail_quantile(-rough_log2(2 * m));
  const auto guess = static_cast<Scalar>(0.5F + 0.5F * (2 * k < m ? tail : -tail) / end);
  for (Index r = 0; r < count; r += lanes, tile += lanes * stride) {
    const int size = static_cast<int>(count - r < lanes ? count - r : lanes);
    RowRange ranges[lanes];
    Scalar first[lanes]{}, last[lanes]{}, entries[lanes]{};
    for (int i = 0; i < size; ++i) {
      ranges[i] = range_of(tile + i * stride, padded);
      first[i] = ranges[i].present <= k ? -infinity : below(ranges[i].low);
      last[i] = ranges[i].high;
      entries[i] = ranges[i].irregular ? Scalar(0) : static_cast<Scalar>(ranges[i].present);
    }
    // Fewer than k values are above hi, and at least k are above lo, or all that are present.
    Vec lo = load(first), hi = load(last), above_lo = load(entries), above_hi{};
    for (int step = 0; step < 14; ++step) {
      unsigned open = above(above_lo, wanted);
      if (open == 0) break;
      const Vec share = step == 0       ? broadcast(guess)
                        : step % 4 == 3 ? broadcast(Scalar(0.5))
                                        : (above_lo - wanted) / (above_lo - above_hi);
      const Vec at = lo + (hi - lo) * share;
      const Mask is_between = (at > lo) & (at < hi) & (above_lo > wanted);
      open &= ~at_least(lo, at) & ~at_least(at, hi);
      Scalar bounds[lanes], counts[lanes];
      store(bounds, at);
      store(counts, Vec{});
      for (; open != 0; open &= open - 1) {
        const int i = __builtin_ctz(open);
        counts[i] = static_cast<Scalar>(count_numbers_above(tile + i * stride, padded, bounds[i]));
      }
      const Vec found = load(counts);
      const Mask raises = is_between & (found >= wanted), lowers = is_between & (found < wanted);
      lo = raises ? at : lo;
      above_lo = raises ? found : above_lo;
      hi = lowers ? at : hi;
      above_hi = lowers ? found : above_hi;
    }
    store(first, lo);
    store(entries, above_lo);
    for (int i = 0; i < size; ++i) {
      const Scalar* values = tile + i * stride;
      Scalar* to_values = to.values + (r + i) * to.stride;
      Column* to_columns = to.columns + (r + i) * to.stride;
      to.count[r + i] = static_cast<Column>(entries[i] > static_cast<Scalar>(k) || ranges[i].irregular
                                                ? list_one_row(values, padded, k, to_values, to_columns)
                                                : copy_above(values, padded, first[i], to_values, to_columns));
    }
  }
}

// Lists the k largest of `m` <= max_short_row values in each of `count` rows, and leaves the rows as they are. NaN
// ranks first, ties go to the lowest column. Rows are padded with -inf up to a whole vector, and -inf is absent. Each
// list has room for k entries and one more vector.
static void list_top_k(const Scalar* tile /*[count][stride]*/, Index stride, Index count, Index m, Index k,
                       Candidates<Scalar> to) {
  const Index padded = ceil_div(m, lanes) * lanes;
  if constexpr (sizes.vector_bytes > 16) {
    search_side_by_side(tile, stride, count, m, padded, k, to);
  } else {
    for (Index r = 0; r < count; ++r)
      to.count[r] = static_cast<Column>(
          list_one_row(tile + r * stride, padded, k, to.values + r * to.stride, to.columns + r * to.stride));
  }
}
