// SPDX-License-Identifier: MIT
// The k largest values of a dense row, where -inf stands for an absent entry, as a list.

// Lists the values above the bound and NaN. Unlike list_above, the values stay where they are, and nothing beyond them
// is read. The list has room for one more vector.
[[gnu::noinline]] static Index copy_above(const Scalar* from, Index count, Scalar bound, Scalar* values,
                                          Column* columns) {
  const Vec limit = broadcast(bound);
  Index i = 0, out = 0;
  for (; i + lanes <= count; i += lanes) {
    const Vec v = load(from + i);
    out += append(values + out, columns + out, v, iota() + static_cast<Column>(i), above(v, limit));
  }
  if (i < count) {
    const unsigned valid = (1U << (count - i)) - 1;
    const Vec v = load_first(from + i, count - i);
    out += append(values + out, columns + out, v, iota() + static_cast<Column>(i), above(v, limit) & valid);
  }
  return out;
}

// Returns the number of values above the bound and NaN.
static Index count_in(const Scalar* from, Index count, Scalar bound) {
  const Vec limit = broadcast(bound);
  Index i = 0, found = 0;
  for (; i + lanes <= count; i += lanes) found += population(above(load(from + i), limit));
  for (; i < count; ++i) found += from[i] <= bound ? 0 : 1;
  return found;
}

// Returns a bound that at least k and usually not many more values exceed, or -inf if the row is too short or k too
// large for an estimate: the k-th largest of the maxima of a few subsets.
static Scalar bound_of_maxima(const Scalar* from, Index count, Index k) {
  const Index size = k <= max_pairwise / 4 ? max_pairwise / 2 : max_pairwise;
  if (k > max_pairwise / 2 || count < 2 * size) return -infinity;
  Scalar maxima[max_pairwise];
  for (Index c = 0; c < size; c += lanes) {
    Vec high = broadcast(-infinity);
    for (Index i = c; i + lanes <= count; i += size) {
      const Vec v = load(from + i);
      high = v > high ? v : high;
    }
    store(maxima + c, high);
  }
  Scalar greater[max_pairwise];
  (void)rank_pairwise(maxima, size, k, greater);
  const Scalar bound = kth_pairwise(maxima, size, k, greater);
  return bound > -infinity ? below(bound) : bound;
}

// Returns a bound that probably more than k and not many more values exceed, or -inf if the row is too short for an
// estimate. It is a value of a sample: vectors at equal distances.
static Scalar sampled_bound(const Scalar* from, Index count, Index k) {
  constexpr Index capacity = 512;
  const Index vectors = count / lanes, step = ceil_div(vectors, capacity / lanes);
  if (step < 3) return bound_of_maxima(from, count, k);
  Scalar sample[capacity + lanes];
  Column columns[capacity + lanes];
  Index size = 0, taken = 0;
  for (Index i = 0; i < vectors; i += step, taken += lanes)
    size += append(sample + size, columns + size, load(from + i * lanes), ColumnVec{},
                   above(load(from + i * lanes), broadcast(-infinity)));
  // The number of sampled values among the k largest has a deviation of at most the root of its mean.
  const float mean = static_cast<float>(k) * static_cast<float>(taken) / static_cast<float>(count);
  const Index rank_in_sample = static_cast<Index>(mean + 3 * __builtin_sqrtf(mean)) + 2;
  if (rank_in_sample >= size) return -infinity;
  Search search;
  Scalar bound = -infinity;
  set_list(search, sample, columns, size, &bound);
  search.sample = sample;
  const Index padded = ceil_div(size, lanes) * lanes;
  for (Index i = size; i < padded; ++i) sample[i] = -infinity;
  start_search(search, padded, rank_in_sample, 1.0F - rough_log2(rank_in_sample) / rough_log2(size));
  const Index enough = rank_in_sample + rank_in_sample / 8;
  for (int i = 0; i < 16 && is_unfinished(search, enough); ++i) bisect(search, padded, rank_in_sample, i);
  return search.lo;
}

// Lists the k largest values in ascending columns. NaN ranks first, ties go to the lowest column. The list has room for
// `count` values and one more vector.
static Index copy_top_k(const Scalar* from, Index count, Index k, Scalar* values, Column* columns) {
  const Scalar guess = sampled_bound(from, count, k);
  Index found = copy_above(from, count, guess, values, columns);
  if (found < k && guess > -infinity) found = copy_above(from, count, -infinity, values, columns);
  if (k < found && found <= max_pairwise) return keep_pairwise(values, columns, found, k);
  Scalar bound = -infinity;
  return keep_top_k_of(values, columns, found, k, 0, &bound);
}
