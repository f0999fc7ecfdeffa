// SPDX-License-Identifier: MIT
// Magnitudes and sums of squares of whole arrays, and the operations on rows that are built on them. Sums are computed
// in double, as 16 partial sums that are then added in ascending order. They are the same bits for all instruction
// sets.

// Returns v in a register, so that the compiler does not contract a product v and a later sum. Results then do not
// depend on the instruction set.
template <class V>
[[gnu::always_inline]] static inline V rounded(V v) {
#if defined(__SSE2__)
  asm("" : "+v"(v));
#elif defined(__aarch64__)
  asm("" : "+w"(v));
#else
  asm("" : "+m"(v));
#endif
  return v;
}

typedef Lane<double> Doubles __attribute__((vector_size(sizes.vector_bytes)));
static constexpr int wide_lanes = sizes.vector_bytes / static_cast<int>(sizeof(double));
typedef Scalar Narrow __attribute__((vector_size(sizeof(Scalar) * wide_lanes)));  // as many numbers as Doubles
static constexpr int double_sums = 16;

[[gnu::always_inline]] static inline Doubles load_wide(const Scalar* p) {
  Narrow v;
  __builtin_memcpy(&v, p, sizeof v);
  if constexpr (single)
    return __builtin_convertvector(v, Doubles);
  else
    return v;
}

// Partial sums: number i of an array is added to sum i % double_sums.
struct WideSums {
  static constexpr int vectors = double_sums / wide_lanes;
  Doubles lanes[vectors] = {};

  [[gnu::always_inline]] inline void add_products(const Scalar* x, const Scalar* y /*[double_sums]*/) {
    FILIGREE_UNROLL
    for (int c = 0; c < vectors; ++c)
      lanes[c] = lanes[c] + rounded(load_wide(x + c * wide_lanes) * load_wide(y + c * wide_lanes));
  }
  [[nodiscard]] double total() const {
    double sum = 0;
    for (int c = 0; c < vectors; ++c)
      for (int l = 0; l < wide_lanes; ++l) sum += lanes[c][l];
    return sum;
  }
};
// The last numbers of an array, fewer than double_sums, followed by zeros.
struct LastNumbers {
  Scalar values[double_sums] = {};

  LastNumbers(const Scalar* x, Index count) {
    for (Index i = 0; i < count; ++i) values[i] = x[i];
  }
};

// The sum of the squares of x[0, count).
static double sum_squares(const Scalar* x, Index count) {
  WideSums sums;
  Index i = 0;
  for (; i + double_sums <= count; i += double_sums) sums.add_products(x + i, x + i);
  if (i < count) {
    const LastNumbers last(x + i, count - i);
    sums.add_products(last.values, last.values);
  }
  return sums.total();
}

// The sums of x[i] y[i] and of x[i] x[i].
static ProductSums sum_products(const Scalar* x, const Scalar* y, Index count) {
  WideSums products, squares;
  Index i = 0;
  for (; i + double_sums <= count; i += double_sums) {
    products.add_products(x + i, y + i);
    squares.add_products(x + i, x + i);
  }
  if (i < count) {
    const LastNumbers last(x + i, count - i), other(y + i, count - i);
    products.add_products(last.values, other.values);
    squares.add_products(last.values, last.values);
  }
  return {products.total(), squares.total()};
}

// Returns a bound of the magnitudes of x[0, count): the largest one for float, and at most 2^-20 more for double. It is
// infinite or NaN exactly if one of the numbers is. Magnitudes are compared as integers, which order NaN above infinity
// and do not depend on the treatment of denormal numbers; of a double the first 32 bits are compared.
static Scalar magnitude_bound(const Scalar* x, Index count) {
  typedef Lane<std::int32_t> FirstWords __attribute__((vector_size(sizes.vector_bytes)));
  constexpr Bits magnitude = single ? Bits(0x7fffffff) : static_cast<Bits>(0x7fffffff00000000);
  FirstWords high[chains] = {};
  const auto take = [&](int c, const Vec& v) {
    const FirstWords words = (FirstWords)((Mask)v & (Mask{} + magnitude));
    high[c] = words > high[c] ? words : high[c];
  };
  const Index full = count / lanes * lanes;
  sweep(x, full, take);
  if (full < count) take(0, load_first(x + full, count - full));
  std::int32_t largest = 0;
  for (int c = 0; c < chains; ++c)
    for (int w = 0; w < sizes.vector_bytes / 4; ++w) largest = high[c][w] > largest ? high[c][w] : largest;
  const Bits bits =
      single ? static_cast<Bits>(largest) : static_cast<Bits>(static_cast<std::uint64_t>(largest) << 32 | 0xffffffffU);
  Scalar bound;
  __builtin_memcpy(&bound, &bits, sizeof bound);
  return bound;
}

// y -= factor * x
static void subtract_multiple(Scalar* y, const Scalar* x, Scalar factor, Index count) {
  for_vectors(count, [&](Index i, const auto& at) {
    at.store(y + i, at.load(y + i) - rounded(broadcast(factor) * at.load(x + i)));
  });
}

// y = factor * x
static void multiply_all(Scalar* y, const Scalar* x, Scalar factor, Index count) {
  for_vectors(count, [&](Index i, const auto& at) { at.store(y + i, broadcast(factor) * at.load(x + i)); });
}

// x *= factor, computed in double.
static void scale_wide(Scalar* x, double factor, Index count) {
  Index i = 0;
  for (; i + wide_lanes <= count; i += wide_lanes) {
    const Doubles product = load_wide(x + i) * (factor - Doubles{});
    Narrow narrow;
    if constexpr (single)
      narrow = __builtin_convertvector(product, Narrow);
    else
      narrow = product;
    __builtin_memcpy(x + i, &narrow, sizeof narrow);
  }
  for (; i < count; ++i) x[i] = static_cast<Scalar>(static_cast<double>(x[i]) * factor);
}
