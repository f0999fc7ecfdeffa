// SPDX-License-Identifier: MIT
// Files of caches: a loaded cache holds what the saved one held, and damaged files are refused.
#include "filigree/attention/key_value_cache_file.hpp"

#include <filigree/filigree.hpp>
#include <limits>
#include <string>

#include "inputs.hpp"
#include "io/files.hpp"

namespace fg = filigree;
using Eigen::bfloat16;
using Eigen::half;
using test::Index;
using test::Matrix;
using test::Random;

namespace {

template <class T>
using Computed = typename fg::KeyValueCache<T>::Computed;

template <class T>
void append_random(fg::KeyValueCache<T>& cache, Random& random, Index n) {
  using S = Computed<T>;
  cache.append(test::normal<S>(random, n, cache.heads() * cache.d()),
               test::normal<S>(random, n, cache.heads() * cache.dv()));
}

/// Checks that two caches give the same scores and the same attention, to the bit.
template <class T>
void check_same(const fg::KeyValueCache<T>& a, const fg::KeyValueCache<T>& b) {
  using S = Computed<T>;
  REQUIRE(a.rows() == b.rows());
  REQUIRE(a.dropped() == b.dropped());
  REQUIRE(a.heads() == b.heads());
  REQUIRE(a.d() == b.d());
  REQUIRE(a.dv() == b.dv());
  Random random(9301);
  const Matrix<S> q = test::normal<S>(random, 3, a.d());
  for (Index i = 0; i < a.heads(); ++i) {
    REQUIRE(test::same(Matrix<S>(fg::scores(q, a.head(i))), Matrix<S>(fg::scores(q, b.head(i)))));
    REQUIRE(test::same(Matrix<S>((fg::scores(q, a.head(i)) | fg::softmax()) * a.values(i)),
                       Matrix<S>((fg::scores(q, b.head(i)) | fg::softmax()) * b.values(i))));
  }
}

}  // namespace

TEMPLATE_TEST_CASE("a loaded cache holds what the saved one held", "", float, double, half, bfloat16) {
  using T = TestType;
  Random random(9300);
  const test::Folder folder;
  const std::string path = folder / "cache.safetensors";
  for (int number = 0; number < 20; ++number) {
    const Index hkv = random.between(1, 3), d = random.between(0, 20), dv = random.between(0, 20);
    fg::KeyValueCache<T> cache(hkv, d, dv);
    for (int step = 0; step < 3; ++step) append_random(cache, random, random.pick<Index>({0, 1, 63, 64, 700}));
    if (random.chance(0.3)) cache.slide(random.between(0, cache.rows()));
    if (random.chance(0.3) && cache.dropped().begin == 0 && cache.dropped().end == 0)
      cache.slide(random.pick<Index>({0, 1, 4, 600}), random.pick<Index>({0, 5, 100}));
    INFO("cache " << number << ", rows " << cache.rows() << ", dropped " << cache.dropped().begin << " to "
                  << cache.dropped().end);
    fg::save_key_value_cache(path, cache);
    fg::KeyValueCache<T> loaded = fg::load_key_value_cache<T>(path, {.capacity = random.between(0, 3000)});
    check_same(loaded, cache);
    // Both go on in the same way.
    const Matrix<Computed<T>> k = test::normal<Computed<T>>(random, 5, hkv * d);
    const Matrix<Computed<T>> v = test::normal<Computed<T>>(random, 5, hkv * dv);
    loaded.append(k, v);
    cache.append(k, v);
    check_same(loaded, cache);
  }
}

TEST_CASE("a file holds non-finite numbers") {
  const test::Folder folder;
  const std::string path = folder / "cache.safetensors";
  auto cache = fg::key_value_cache(1, 2, 2);
  constexpr float infinity = std::numeric_limits<float>::infinity(), nan = std::numeric_limits<float>::quiet_NaN();
  Matrix<float> k(2, 2), v(2, 2);
  k << 1, 2, infinity, nan;
  v << -infinity, nan, 0, -0.0F;
  cache.append(k, v);
  fg::save_key_value_cache(path, cache);
  check_same(fg::load_key_value_cache(path), cache);
}

TEMPLATE_TEST_CASE("damaged files are refused", "", float, half) {
  using T = TestType;
  Random random(9302);
  const test::Folder folder;
  const std::string path = folder / "cache.safetensors";
  fg::KeyValueCache<T> cache(2, 3, 2);
  append_random(cache, random, 5);
  cache.slide(1, 3);
  fg::save_key_value_cache(path, cache);
  const std::string text = test::content(path);
  const auto parse = [](const std::string& changed) {
    return fg::parse_key_value_cache<T>(fg::Bytes::copy(changed), "damaged");
  };
  check_same(parse(text), cache);
  for (std::size_t size = 0; size < text.size(); ++size) REQUIRE_THROWS_AS(parse(text.substr(0, size)), fg::Error);
  REQUIRE_THROWS_AS(parse(text + '\0'), fg::Error);
  int harmless = 0;
  for (std::size_t at = 0; at < text.size(); ++at)
    for (unsigned change = 1; change < 256; ++change) {
      std::string changed = text;
      changed[at] = static_cast<char>(static_cast<unsigned char>(changed[at]) ^ change);
      INFO("byte " << at << ", change " << change);
      try {
        check_same(parse(changed), cache);
        ++harmless;
      } catch (const fg::Error&) {
      }
    }
  INFO("harmless " << harmless);
  CHECK(harmless <= 3 * 7);  // white space of the padding of the header
}

TEST_CASE("messages of load_key_value_cache") {
  Random random(9303);
  const test::Folder folder;
  const std::string path = folder / "cache.safetensors";
  fg::KeyValueCache<float> cache(2, 3, 4);
  append_random(cache, random, 5);
  fg::save_key_value_cache(path, cache);
  CHECK_THROWS_WITH(fg::load_key_value_cache<half>(path),
                    "filigree: " + path +
                        ": \"keys\": must be float16, is float32: load_key_value_cache<T> needs the "
                        "T of the saved cache");
  CHECK_THROWS_AS(fg::load_key_value_cache<float>(folder / "missing"), fg::Error);
  CHECK_THROWS_WITH(fg::load_key_value_cache<float>(path, {.capacity = -1}),
                    "filigree: load_key_value_cache(path, {.capacity}): capacity must be at least 0, got -1");
  const auto file = fg::load_safetensors(path);
  auto metadata = file.metadata;
  metadata["rows"] = "6";
  fg::save_safetensors(path, file.tensors, metadata);
  CHECK_THROWS_WITH(fg::load_key_value_cache<float>(path), contains("must have the checksum"));
  metadata.erase("rows");
  fg::save_safetensors(path, file.tensors, metadata);
  CHECK_THROWS_WITH(fg::load_key_value_cache<float>(path),
                    "filigree: " + path + ": must be a file of save_key_value_cache, has no \"rows\" in its metadata");
  fg::save_safetensors(path, {{"keys", file["keys"]}}, file.metadata);
  CHECK_THROWS_AS(fg::load_key_value_cache<float>(path), fg::Error);
  fg::save_safetensors(path, {{"keys", file["keys"]}, {"values", file["values"]}, {"more", file["keys"]}},
                       file.metadata);
  CHECK_THROWS_WITH(fg::load_key_value_cache<float>(path), contains("is not a tensor of a cache"));

  // Consistent checksums of inconsistent shapes.
  const auto refuses = [&](const fg::detail::CacheHeader& header, const fg::NdArray& keys, const fg::NdArray& values) {
    const fg::Arrays tensors = {{"keys", keys}, {"values", values}};
    fg::save_safetensors(path, tensors, header.text(tensors));
    CHECK_THROWS_AS(fg::load_key_value_cache<float>(path), fg::Error);
  };
  const fg::NdArray keys = file["keys"], values = file["values"];
  refuses({6, 0, 0}, keys, values);
  refuses({5, 3, 1}, keys, values);
  refuses({5, 0, 1}, keys, values);
  refuses({Index{1} << 60, 1, (Index{1} << 60) - 4}, keys, values);
  refuses({5, 0, 0}, keys, values.reshaped({5, 4, 2}));
  refuses({5, 0, 0}, keys, values.reshaped({4, 2, 5}));
  refuses({5, 0, 0}, keys.reshaped({30}), values);
  refuses({0, 0, 0}, {.shape = {0, 0, 3}}, {.shape = {0, 0, 3}});
}

TEST_CASE("a failed save leaves the old file") {
  const test::Folder folder;
  const auto cache = fg::key_value_cache(1, 1, 1);
  CHECK_THROWS_AS(fg::save_key_value_cache(folder / "missing/cache", cache), fg::Error);
  CHECK(folder.names().empty());
}
