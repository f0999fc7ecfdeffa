// SPDX-License-Identifier: MIT
// Random decisions by Philox4x32-10, with the bits of random_bits() in core/philox.hpp.
//
// A decision needs bits >= limit, where bits are 64 bits of the output. Their upper half decides, unless it equals that
// of the limit. This half depends on fewer than the 20 products of ten rounds: the counter's first half is the same for
// a whole row, so that two products are the same too, and the last two rounds need one product each.

static constexpr int halves = single ? 2 : 1;                            // vectors of 64-bit lanes for one of Scalar
static constexpr int draws_together = sizes.vector_bytes == 64 ? 2 : 1;  // vectors of Scalar, to hide latency
static constexpr std::uint32_t philox_first = 0xD2511F53, philox_second = 0xCD9E8D57;
static constexpr std::uint32_t philox_step_first = 0x9E3779B9, philox_step_second = 0xBB67AE85;

[[gnu::always_inline]] static inline std::uint32_t high_word(std::uint64_t x) {
  return static_cast<std::uint32_t>(x >> 32);
}
[[gnu::always_inline]] static inline std::uint32_t low_word(std::uint64_t x) { return static_cast<std::uint32_t>(x); }

// Returns vectors whose low words are the high words of x. The new high words have no meaning.
typedef Lane<std::uint32_t> WordVec __attribute__((vector_size(sizeof(Scalar) * lanes)));
template <int... At>
[[gnu::always_inline]] static inline Wide high_words(const Wide& x, std::integer_sequence<int, At...>) {
  return (Wide)__builtin_shufflevector((WordVec)x, (WordVec)x, (At ^ 1)...);
}
[[gnu::always_inline]] static inline Wide high_words(const Wide& x) {
  return high_words(x, std::make_integer_sequence<int, sizes.vector_bytes / 4>{});
}
[[gnu::always_inline]] static inline Wide broadcast_word(std::uint32_t x) { return Wide{} + x; }

// Returns the 64 bits for one column.
static std::uint64_t philox_bits(const RandomRow& row, Column column) {
  const std::uint64_t key = row.first + static_cast<std::uint64_t>(static_cast<std::int64_t>(column));
  std::uint32_t c[4] = {low_word(row.counter), high_word(row.counter), low_word(key), high_word(key)};
  std::uint32_t k0 = low_word(row.seed), k1 = high_word(row.seed);
  for (int round = 0; round < 10; ++round, k0 += philox_step_first, k1 += philox_step_second) {
    const std::uint64_t p = std::uint64_t{philox_first} * c[0], q = std::uint64_t{philox_second} * c[2];
    c[0] = high_word(q) ^ c[1] ^ k0;
    c[1] = low_word(q);
    c[2] = high_word(p) ^ c[3] ^ k1;
    c[3] = low_word(p);
  }
  return std::uint64_t{c[1]} << 32 | c[0];
}

// What two rounds of a row need of the counter's first half and of the seed.
struct FirstRounds {
  std::uint32_t xor1, xor2, xor3, word;

  FirstRounds() = default;
  [[gnu::always_inline]] explicit FirstRounds(const RandomRow& row) {
    const std::uint32_t k0 = low_word(row.seed), k1 = high_word(row.seed);
    const std::uint64_t p1 = std::uint64_t{philox_first} * low_word(row.counter);
    const std::uint64_t q2 = std::uint64_t{philox_second} * (high_word(p1) ^ row.high ^ k1);
    xor1 = high_word(row.counter) ^ k0;
    xor2 = high_word(q2) ^ (k0 + philox_step_first);
    xor3 = low_word(p1) ^ (k1 + philox_step_second);
    word = low_word(q2);
  }
};

// The first products of the low words of `count` vectors of keys. They do not depend on the row.
template <int count>
struct FirstProducts {
  Wide whole[count * halves];

  // The products of columns that follow each other, from `first` on.
  [[gnu::always_inline]] FirstProducts(const RandomRow& row, Column first) {
    ColumnVec columns[count];
    FILIGREE_UNROLL
    for (int i = 0; i < count; ++i) columns[i] = iota() + (first + i * lanes);
    multiply(row, columns);
  }
  [[gnu::always_inline]] FirstProducts(const RandomRow& row, const ColumnVec (&columns)[count]) {
    multiply(row, columns);
  }

  [[gnu::always_inline]] void multiply(const RandomRow& row, const ColumnVec (&columns)[count]) {
    const Wide second = broadcast_word(philox_second);
    const auto origin = low_word(row.first);
    FILIGREE_UNROLL
    for (int i = 0; i < count; ++i) {
      if constexpr (single) {
        const Wide key = (Wide)((WordVec)columns[i] + origin);
        whole[2 * i] = multiply_words(second, key);
        whole[2 * i + 1] = multiply_words(second, key >> 32);
      } else {
        whole[i] = multiply_words(second, __builtin_convertvector(columns[i], Wide) + row.first);
      }
    }
  }
  // Advances all columns by the number of columns in `count` vectors.
  [[gnu::always_inline]] void advance() {
    FILIGREE_UNROLL
    for (int i = 0; i < count * halves; ++i) whole[i] += std::uint64_t{philox_second} * (count * lanes);
  }
};

// Sets the low words of `word` to the upper halves of the bits, for keys with these first products and their high
// words. All keys must have the same high word.
template <int count>
[[gnu::always_inline]] static inline void upper_bits(std::uint64_t seed, const FirstRounds& rounds,
                                                     const Wide (&product)[count], const Wide (&high)[count],
                                                     Wide (&word)[count]) {
  const Wide first = broadcast_word(philox_first), second = broadcast_word(philox_second);
  Wide a[count], b[count], c[count], d[count];  // the four words of the counter
  FILIGREE_UNROLL
  for (int i = 0; i < count; ++i) {
    const Wide p = multiply_words(first, high[i] ^ broadcast_word(rounds.xor1));
    a[i] = product[i] ^ broadcast_word(rounds.xor2);
    b[i] = broadcast_word(rounds.word);
    c[i] = high_words(p) ^ broadcast_word(rounds.xor3);
    d[i] = p;
  }
  std::uint32_t k0 = low_word(seed) + 2 * philox_step_first, k1 = high_word(seed) + 2 * philox_step_second;
  FILIGREE_UNROLL
  for (int round = 3; round <= 8; ++round) {
    const Wide x0 = broadcast_word(k0), x1 = broadcast_word(k1);
    FILIGREE_UNROLL
    for (int i = 0; i < count; ++i) {
      const Wide p = multiply_words(first, a[i]), q = multiply_words(second, c[i]);
      a[i] = high_words(q) ^ b[i] ^ x0;
      b[i] = q;
      c[i] = high_words(p) ^ d[i] ^ x1;
      d[i] = p;
    }
    k0 += philox_step_first;
    k1 += philox_step_second;
  }
  FILIGREE_UNROLL
  for (int i = 0; i < count; ++i) {
    const Wide p = multiply_words(first, a[i]);
    word[i] = multiply_words(second, high_words(p) ^ d[i] ^ broadcast_word(k1));
  }
}

// Returns the words at even places of the low words of x and at odd places of those of y.
template <int... At>
[[gnu::always_inline]] static inline WordVec interleaved(const Wide& x, const Wide& y,
                                                         std::integer_sequence<int, At...>) {
  constexpr int words = sizes.vector_bytes / 4;
  return __builtin_shufflevector((WordVec)x, (WordVec)y, (At % 2 == 0 ? At : words + At - 1)...);
}

// A column is kept if its number of `bits`, as draw() sets it, is above this.
[[gnu::always_inline]] static inline UnsignedMask largest_dropped(const RandomRow& row) {
  const std::uint32_t limit = high_word(row.limit);
  return UnsignedMask{} + (limit < 0xFFFFFFFF ? limit : limit - 1);
}

// Sets `bits` to the upper halves of the bits of the columns. Where this half equals that of the limit, it becomes all
// ones for a column that is kept, and 0 otherwise. `column(i, l)` is the column of lane l of vector i.
template <int count, class ColumnAt>
[[gnu::always_inline]] static inline void draw(const RandomRow& row, const FirstRounds& rounds,
                                               const FirstProducts<count>& products, const Wide (&high)[count * halves],
                                               const ColumnAt& column, UnsignedMask (&bits)[count]) {
  constexpr std::uint32_t ones = 0xFFFFFFFF;
  Wide word[count * halves];
  upper_bits(row.seed, rounds, products.whole, high, word);
  const UnsignedMask limit = UnsignedMask{} + high_word(row.limit);
  Mask ties{};
  FILIGREE_UNROLL
  for (int i = 0; i < count; ++i) {
    if constexpr (single)
      bits[i] = (UnsignedMask)interleaved(word[2 * i], word[2 * i + 1],
                                          std::make_integer_sequence<int, sizes.vector_bytes / 4>{});
    else
      bits[i] = (UnsignedMask)word[i] & ones;
    ties |= bits[i] == limit;
  }
  if (__builtin_expect(above((Vec)ties, Vec{}) == 0, 1)) return;  // ones are NaN
  for (int i = 0; i < count; ++i)
    for (int l = 0; l < lanes; ++l) bits[i][l] = philox_bits(row, column(i, l)) >= row.limit ? ones : 0;
}

// Calls use(r, c, kept) for `count` rows and each vector of the columns [begin, end), with its first column c, which is
// `begin` or a multiple of lanes after it. The lanes of `kept` are all ones for columns that are kept. The rows differ
// in their counters only.
template <int together, class Use>
[[gnu::always_inline]] static inline void draw_columns(const RandomRow* rows, const FirstRounds* rounds, Index count,
                                                       Index begin, Index end, const Use& use) {
  const UnsignedMask dropped = largest_dropped(*rows);
  FirstProducts<together> products(*rows, static_cast<Column>(begin));
  for (Index c = begin; c < end; c += together * lanes) {
    Wide high[together * halves];
    FILIGREE_UNROLL
    for (int i = 0; i < together * halves; ++i) high[i] = high_words(products.whole[i]);
    for (Index r = 0; r < count; ++r) {
      UnsignedMask bits[together];
      draw(
          rows[r], rounds[r], products, high, [&](int i, int l) { return static_cast<Column>(c + i * lanes + l); },
          bits);
      FILIGREE_UNROLL
      for (int i = 0; i < together; ++i)
        if (i == 0 || c + i * lanes < end) use(r, c + i * lanes, bits[i] > dropped);
    }
    products.advance();
  }
}

// Sets to[i] to the value of column i times `scale`, or to `absent` if the column is dropped. NaN is never dropped, and
// -inf is absent. `from` and `to` are the same array or do not overlap.
static void drop(const Scalar* from, Scalar* to, Index count, RandomRow row, Scalar scale, Scalar absent) {
  const Vec factor = broadcast(scale), none = broadcast(absent), gap = broadcast(-infinity);
  const FirstRounds rounds(row);
  const Index whole = count / lanes * lanes;
  const auto value = [&](const Vec& in, const Mask& kept) {
    const Vec x = in * factor;
    return ((~kept & (x == x)) | (x == gap)) ? none : x;
  };
  draw_columns<draws_together>(&row, &rounds, 1, 0, count, [&](Index, Index c, const Mask& kept) {
    if (c < whole)
      store(to + c, value(load(from + c), kept));
    else
      store_first(to + c, value(load_first(from + c, count - c), kept), count - c);
  });
}

// Drops entries of a list in the same way, and returns the new count. Both arrays are readable and writable up to a
// multiple of lanes.
static Index drop_listed(Scalar* values, Column* columns, Index count, RandomRow row, Scalar scale) {
  const UnsignedMask dropped = largest_dropped(row);
  const FirstRounds rounds(row);
  Index out = 0;
  for (Index i = 0; i < count; i += draws_together * lanes) {
    ColumnVec column[draws_together];
    UnsignedMask bits[draws_together];
    Vec value[draws_together];
    FILIGREE_UNROLL
    for (int u = 0; u < draws_together; ++u) {
      const bool inside = i + u * lanes < count;
      column[u] = inside ? load_columns(columns + i + u * lanes) : ColumnVec{};
      value[u] = inside ? load(values + i + u * lanes) : Vec{};
    }
    const FirstProducts<draws_together> products(row, column);
    Wide high[draws_together * halves];
    FILIGREE_UNROLL
    for (int u = 0; u < draws_together * halves; ++u) high[u] = high_words(products.whole[u]);
    draw(
        row, rounds, products, high, [&](int u, int l) { return column[u][l]; }, bits);
    FILIGREE_UNROLL
    for (int u = 0; u < draws_together; ++u) {
      const Index left = count - i - u * lanes;
      const unsigned valid = left >= lanes ? ~0U : left > 0 ? (1U << left) - 1 : 0U;
      const Vec choice = bits[u] > dropped ? broadcast(1) : value[u] == value[u] ? Vec{} : value[u];
      out += append(values + out, columns + out, value[u] * broadcast(scale), column[u], above(choice, Vec{}) & valid);
    }
  }
  return out;
}
