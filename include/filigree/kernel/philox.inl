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

// Sets the low words of `word` to the upper halves of the bits, for keys whose low words are those of `key`. All keys
// must have the same high word.
template <int count>
[[gnu::always_inline]] static inline void upper_bits(const RandomRow& row, const Wide (&key)[count],
                                                     Wide (&word)[count]) {
  std::uint32_t k0 = low_word(row.seed), k1 = high_word(row.seed);
  const std::uint64_t p1 = std::uint64_t{philox_first} * low_word(row.counter);
  const std::uint64_t q2 = std::uint64_t{philox_second} * (high_word(p1) ^ row.high ^ k1);
  const Wide first = broadcast_word(philox_first), second = broadcast_word(philox_second);
  const Wide xor1 = broadcast_word(high_word(row.counter) ^ k0);
  const Wide xor2 = broadcast_word(high_word(q2) ^ (k0 + philox_step_first));
  const Wide xor3 = broadcast_word(low_word(p1) ^ (k1 + philox_step_second));
  Wide a[count], b[count], c[count], d[count];  // the four words of the counter
  FILIGREE_UNROLL
  for (int i = 0; i < count; ++i) {
    const Wide q = multiply_words(second, key[i]);
    const Wide p = multiply_words(first, high_words(q) ^ xor1);
    a[i] = q ^ xor2;
    b[i] = broadcast_word(low_word(q2));
    c[i] = high_words(p) ^ xor3;
    d[i] = p;
  }
  k0 += 2 * philox_step_first;
  k1 += 2 * philox_step_second;
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

// Sets each lane of `kept` to all ones if the bits of its column are at least the limit.
template <int count>
[[gnu::always_inline]] static inline void draw(const RandomRow& row, const ColumnVec (&columns)[count],
                                               Mask (&kept)[count]) {
  constexpr std::uint64_t low = 0xFFFFFFFF;
  const auto origin = static_cast<Column>(low_word(row.first));
  Wide key[count * halves], word[count * halves];
  FILIGREE_UNROLL
  for (int i = 0; i < count; ++i) {
    if constexpr (single) {
      key[2 * i] = (Wide)(WordVec)((WordVec)columns[i] + static_cast<std::uint32_t>(origin));
      key[2 * i + 1] = key[2 * i] >> 32;
    } else {
      key[i] = __builtin_convertvector(columns[i], Wide) + row.first;
    }
  }
  upper_bits(row, key, word);
  const std::uint32_t limit = high_word(row.limit);
  Mask ties{};
  FILIGREE_UNROLL
  for (int i = 0; i < count; ++i) {
    Mask bits, bound;
    if constexpr (single) {
      bits = (Mask)((word[2 * i] & low) | word[2 * i + 1] << 32) ^ sign_bit;
      bound = Mask{} + (static_cast<Bits>(limit) ^ sign_bit);
    } else {
      bits = (Mask)(word[i] & low);
      bound = Mask{} + static_cast<Bits>(limit);
    }
    kept[i] = bits > bound;
    ties |= bits == bound;
  }
  if (__builtin_expect(above(ties != 0 ? broadcast(1) : Vec{}, Vec{}) == 0, 1)) return;
  for (int i = 0; i < count; ++i)
    for (int l = 0; l < lanes; ++l) kept[i][l] = philox_bits(row, columns[i][l]) >= row.limit ? -1 : 0;
}

// Multiplies the values of all columns by `scale` and replaces those that are dropped by -inf. NaN is never dropped.
static void drop(Scalar* values, Index count, RandomRow row, Scalar scale) {
  constexpr int step = draws_together * lanes;
  const auto update = [&](const Vec& v, const Mask& kept) {
    return (kept | (v != v)) != 0 ? v * broadcast(scale) : broadcast(-infinity);
  };
  ColumnVec columns[draws_together];
  FILIGREE_UNROLL
  for (int i = 0; i < draws_together; ++i) columns[i] = iota() + i * lanes;
  for (Index c = 0; c < count; c += step) {
    Mask kept[draws_together];
    draw(row, columns, kept);
    FILIGREE_UNROLL
    for (int i = 0; i < draws_together; ++i) {
      const Index left = count - c - i * lanes;
      Scalar* const at = values + c + i * lanes;
      if (left >= lanes)
        store(at, update(load(at), kept[i]));
      else if (left > 0)
        store_first(at, update(load_first(at, left), kept[i]), left);
      columns[i] += static_cast<Column>(step);
    }
  }
}

// Drops entries of a list in the same way, and returns the new count. Both arrays are readable and writable up to a
// multiple of lanes.
static Index drop_listed(Scalar* values, Column* columns, Index count, RandomRow row, Scalar scale) {
  Index out = 0;
  for (Index i = 0; i < count; i += draws_together * lanes) {
    ColumnVec column[draws_together];
    Mask kept[draws_together];
    Vec value[draws_together];
    FILIGREE_UNROLL
    for (int u = 0; u < draws_together; ++u) {
      const bool inside = i + u * lanes < count;
      column[u] = inside ? load_columns(columns + i + u * lanes) : ColumnVec{};
      value[u] = inside ? load(values + i + u * lanes) : Vec{};
    }
    draw(row, column, kept);
    FILIGREE_UNROLL
    for (int u = 0; u < draws_together; ++u) {
      const Index left = count - i - u * lanes;
      const unsigned valid = left >= lanes ? ~0U : left > 0 ? (1U << left) - 1 : 0U;
      const Vec choice = value[u] == value[u] ? (kept[u] != 0 ? broadcast(1) : Vec{}) : value[u];
      out += append(values + out, columns + out, value[u] * broadcast(scale), column[u], above(choice, Vec{}) & valid);
    }
  }
  return out;
}
