// SPDX-License-Identifier: MIT
// Score maps that add a number to each score of a tile. A score of -inf is absent and stays -inf.

// Returns x + b, or -inf where x is -inf, also if b is NaN or infinite.
[[gnu::always_inline]] static inline Vec add_to_present(const Vec& x, const Vec& b) {
  return x == broadcast(-infinity) ? x : x + b;
}

// Adds a vector to values[i, i + n) for each vector of values[0, count). get(i, n, vector) sets its first n lanes.
template <class F>
[[gnu::always_inline]] static inline void add_vectors(Scalar* values, Index count, const F& get) {
  Vec b{};
  Index i = 0;
  for (; i + lanes <= count; i += lanes) {
    get(i, Index(lanes), b);
    store(values + i, add_to_present(load(values + i), b));
  }
  if (i == count) return;
  get(i, count - i, b);
  store_first(values + i, add_to_present(load_first(values + i, count - i), b), count - i);
}

// Adds b(r, c) to the score of row r and column c, where the rows of b are contiguous and its columns `step` numbers
// apart. Squares of lanes x lanes numbers are transposed, so that each column is read once for several rows.
static void add_transposed(StridedRows<Scalar> tile, Index rows, Index count, const Scalar* b, Index step) {
  for (Index r0 = 0; r0 < rows; r0 += lanes) {
    const Index n = rows - r0 < lanes ? rows - r0 : Index(lanes);
    for (Index c0 = 0; c0 < count; c0 += lanes) {
      const Index m = count - c0 < lanes ? count - c0 : Index(lanes);
      const Scalar* from = b + r0 + c0 * step;
      Vec v[lanes];
      if (n == lanes && m == lanes) {
        FILIGREE_UNROLL
        for (int l = 0; l < lanes; ++l) v[l] = load(from + l * step);
        transpose(v);
      } else {
        Scalar square[lanes * lanes]{};
        for (Index l = 0; l < m; ++l)
          for (Index r = 0; r < n; ++r) square[r * lanes + l] = from[l * step + r];
        for (Index r = 0; r < n; ++r) v[r] = load(square + r * lanes);
      }
      for (Index r = 0; r < n; ++r) {
        Scalar* values = tile.data + (r0 + r) * tile.stride + c0;
        if (m == lanes)
          store(values, add_to_present(load(values), v[r]));
        else
          store_first(values, add_to_present(load_first(values, m), v[r]), m);
      }
    }
  }
}

// Adds b(r, c) to the score of row r and column c. The columns of b are `step` numbers apart.
static void add_matrix(StridedRows<Scalar> tile, Index rows, Index count, StridedRows<const Scalar> b, Index step) {
  if (step != 1 && b.stride == 1 && rows > 1) return add_transposed(tile, rows, count, b.data, step);
  for (Index r = 0; r < rows; ++r) {
    const Scalar* from = b.data + r * b.stride;
    Scalar* values = tile.data + r * tile.stride;
    if (step == 1)
      add_vectors(values, count,
                  [&](Index i, Index n, Vec& v) { v = n == lanes ? load(from + i) : load_first(from + i, n); });
    else
      add_vectors(values, count, [&](Index i, Index n, Vec& v) {
        for (int l = 0; l < n; ++l) v[l] = from[(i + l) * step];
      });
  }
}

// Adds table[clamp(first - r + c, 0, size - 1)] to the score of row r and column c. Its numbers are `step` apart.
static void add_diagonals(StridedRows<Scalar> tile, Index rows, Index count, const Scalar* table, Index step,
                          Index size, Index first) {
  const Vec low = broadcast(table[0]), high = broadcast(table[(size - 1) * step]);
  for (Index r = 0; r < rows; ++r)
    add_vectors(tile.data + r * tile.stride, count, [&](Index i, Index n, Vec& v) {
      const Index at = first - r + i;
      if (at + n <= 1) {
        v = low;
      } else if (at >= size - 1) {
        v = high;
      } else if (at >= 0 && at + lanes <= size && step == 1) {
        v = load(table + at);
      } else {
        for (int l = 0; l < n; ++l) v[l] = at + l <= 0 ? low[0] : at + l >= size - 1 ? high[0] : table[(at + l) * step];
      }
    });
}

// Subtracts slope * |first - r + c| from the score of row r and column c. Where multiply_add is fused, product and
// difference are rounded together.
static void subtract_distances(StridedRows<Scalar> tile, Index rows, Index count, Scalar slope, Index first) {
  constexpr Index largest = 0x7FFFFF00;
  const Vec factor = broadcast(-slope);
  // With these bounds, no product overflows, so that -inf stays -inf, and distances are integers of 32 bits.
  if (-Scalar(0x1p64) < slope && slope < Scalar(0x1p64) && first - rows > -largest && first + count < largest) {
    for (Index r = 0; r < rows; ++r) {
      Scalar* values = tile.data + r * tile.stride;
      ColumnVec distance = iota() + static_cast<Column>(first - r);
      Index i = 0;
      for (; i + lanes <= count; i += lanes, distance += lanes)
        store(values + i, multiply_add(factor, absolute(__builtin_convertvector(distance, Vec)), load(values + i)));
      if (i == count) continue;
      const Vec x = load_first(values + i, count - i);
      store_first(values + i, multiply_add(factor, absolute(__builtin_convertvector(distance, Vec)), x), count - i);
    }
    return;
  }
  for (Index r = 0; r < rows; ++r) {
    Scalar* values = tile.data + r * tile.stride;
    for (Index i = 0; i < count; i += lanes) {
      const Index n = count - i < lanes ? count - i : Index(lanes);
      Vec distance{};
      for (int l = 0; l < n; ++l) {
        const Index at = first - r + i + l;
        distance[l] = static_cast<Scalar>(at < 0 ? -at : at);
      }
      const Vec x = load_first(values + i, n);
      store_first(values + i, x == broadcast(-infinity) ? x : multiply_add(factor, distance, x), n);
    }
  }
}

// Returns true if a score of the tile is -inf.
static bool any_absent(StridedRows<const Scalar> tile, Index rows, Index count) {
  Mask found{};
  for (Index r = 0; r < rows; ++r) {
    const Scalar* values = tile.data + r * tile.stride;
    Index i = 0;
    for (; i + lanes <= count; i += lanes) found |= load(values + i) == broadcast(-infinity);
    if (i < count) found |= load_first(values + i, count - i) == broadcast(-infinity);
  }
  return above((Vec)(found & (Mask)broadcast(1)), Vec{}) != 0;
}
