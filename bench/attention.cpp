// SPDX-License-Identifier: MIT
// Attention, its lower bounds on the time, and plain implementations. The names of the cases contain their sizes:
// n/m/d, n/d/k, n/m/d/k, n/d/k/threads.

#include <map>
#include <memory>
#include <string>
#include <utility>

#include "block_attention.hpp"
#include "cases.hpp"
#include "context.hpp"
#include "decode.hpp"
#include "dense.hpp"
#include "planning.hpp"
#include "routed_attention.hpp"
#include "score_product.hpp"
#include "top_k_attention.hpp"

namespace {

using namespace bench;

constexpr Index d = 64;

/// Returns the matrices of one size and order, which all cases have in common.
const Problem& problem(Index n, Order order = Order::random) {
  static std::map<std::pair<Index, Order>, std::unique_ptr<Problem>> problems;
  auto& found = problems[{n, order}];
  if (!found) found = std::make_unique<Problem>(make_problem(n, d, order));
  return *found;
}

template <class... Sizes>
std::string name(const char* base, Sizes... sizes) {
  return (std::string(base) + ... + ("/" + std::to_string(sizes)));
}

void add_products() {
  add_fma_peak();
  for (const Index n : {4096, 16384}) {
    add(name("ScoreProduct", n, n, d), [=] { return std::make_unique<ScoreProduct>(problem(n).q, problem(n).k); });
    add(name("EigenScoreProduct", n, n, d),
        [=] { return std::make_unique<EigenScoreProduct>(problem(n).q, problem(n).k); });
  }
}

auto* add_attention(const std::string& name, Index n, Index k, Order order, TopKAttention::Options options = {}) {
  return add(name, [=] { return std::make_unique<TopKAttention>(problem(n, order), k, options); });
}

void add_attention() {
  for (const auto& [n, k] : {std::pair<Index, Index>{4096, 32}, {4096, 64}, {16384, 32}})
    add_attention(name("TopKAttention", n, d, k), n, k, Order::random);
  for (const Index n : {4096, 16384})
    add_attention(name("TopKAttentionCausal", n, d, 32), n, 32, Order::random, {.causal = true});
  for (const Index threads : {1, 2})
    add_attention(name("TopKAttentionThreads", 16384, d, 32, threads), 16384, 32, Order::random, {.threads = threads})
        ->UseRealTime();
  add_attention(name("TopKAttentionAscending", 4096, d, 32), 4096, 32, Order::ascending);
  add_attention(name("TopKAttentionDescending", 4096, d, 32), 4096, 32, Order::descending);
  add_attention(name("TopKAttentionMisleading", 4096, d, 32), 4096, 32, Order::misleading);
  add_attention(name("TopKAttentionEqual", 4096, d, 32), 4096, 32, Order::equal);
  add_attention(name("TopKAttentionConstantRows", 4096, d, 32), 4096, 32, Order::constant_rows);
  add_attention(name("TopKAttentionNearTies", 4096, d, 32), 4096, 32, Order::near_ties);
  for (const Index n : {16, 64, 256})
    for (const bool own : {false, true})
      add(name(own ? "TopKAttentionSelf" : "TopKAttentionOther", n, 200000, d, 10),
          [=] { return std::make_unique<SearchAttention>(make_search(n, 200000, d, own), 10); });
  for (const Index n : {4096, 16384})
    add(name("NaiveTopKAttention", n, d, 32), [=] { return std::make_unique<NaiveTopKAttention>(problem(n), 32); });
}

template <class Pattern>
void add_pattern(const std::string& name, Index n, const Pattern& pattern) {
  add(name, [=] { return std::make_unique<PatternAttention<Pattern>>(problem(n), pattern); });
}

/// Returns the ids of the sequences when sequences of `length` tokens are packed one after another.
Eigen::VectorXi packed(Index n, Index length) {
  return Eigen::VectorXi::NullaryExpr(n, [=](Index i) { return static_cast<int>(i / length); });
}

void add_patterns() {
  const auto local = fg::window(256) || fg::global({0, 1});
  for (const Index n : {4096, 16384}) add_pattern(name("SoftmaxAttention", n, d), n, fg::first(n));
  for (const Index n : {4096, 16384, 65536}) add_pattern(name("WindowAttention", n, d, 256), n, local);
  add("Planning/65536/256",
      [=] { return std::make_unique<Planning<std::remove_const_t<decltype(local)>>>(65536, local); });
  add_pattern(name("CausalAttention", 4096, d), 4096, fg::causal());
  add_pattern(name("BigBirdAttention", 16384, d, 64, 3), 16384, fg::bigbird(64, 3, 1));
  add_pattern(name("StridedAttention", 16384, d, 128), 16384, fg::sparse_transformer_strided(128));
  add_pattern(name("FixedAttention", 16384, d, 128, 8), 16384, fg::sparse_transformer_fixed(128, 8));
  add_pattern(name("StreamingAttention", 16384, d, 4, 512), 16384, fg::streaming(4, 512));
  add_pattern(name("NeighborhoodAttention", 16384, d, 512), 16384, fg::neighborhood(512));
  add_pattern(name("DilatedWindowAttention", 16384, d, 64, 4), 16384, fg::dilated_window(64, 4));
  add_pattern(name("DocumentsAttention", 16384, d, 512), 16384, fg::documents(packed(16384, 512)));
  add_pattern(name("RandomAttention", 16384, d, 16), 16384, fg::plan(fg::random(16, 1), 16384, 16384));
}

template <class Head>
void add_head(const std::string& name, Index n, const Head& head) {
  add(name, [=] { return std::make_unique<RoutedAttention<Head>>(problem(n), head); });
}

void add_routers() {
  for (const Index n : {4096, 65536}) {
    add_head(name("ProbSparseAttention", n, d, 5), n, fg::prob_sparse(5, 1) | fg::softmax());
    add_head(name("ProbSparseAttentionCausal", n, d, 5), n, fg::causal() | fg::prob_sparse(5, 1) | fg::softmax());
  }
  // A fixed number of buckets, and Reformer's choice, two per chunk.
  for (const Index n : {4096, 16384, 65536}) {
    add_head(name("LshAttention", n, d, 4, 64, 64), n, fg::lsh(4, 64, 64, 1) | fg::softmax());
    add_head(name("LshAttention", n, d, 4, n / 32, 64), n, fg::lsh(4, n / 32, 64, 1) | fg::softmax());
  }
  add_head(name("BlockTopKAttention", 16384, d, 64, 8), 16384,
           fg::causal() | fg::block_top_k(64, 8).always(fg::same_block(64)) | fg::softmax());
}

void add_decode() {
  add("MemoryRead", [] { return std::make_unique<MemoryRead>(); });
  add(name("Decode", 65536, d, 4, 4096), [] { return std::make_unique<Decode>(problem(65536), 4, 4096); });
}

template <class T, class Head>
auto* add_decode_heads(const std::string& what, Index m, Index n, const Head& head, const DecodeKeys& keys = {},
                       Index threads = 1) {
  return add(name(("DecodeHeads/" + what).c_str(), m, n, threads),
             [=] { return std::make_unique<DecodeHeads<T, Head>>(m, n, head, keys, threads); });
}
void add_decode_heads() {
  constexpr Index k = 64, first = 4, window = 4096;
  const auto top_k = fg::top_k(k) | fg::softmax();
  const auto streaming = fg::streaming(first, window) | fg::softmax();
  const auto causal = fg::causal() | fg::softmax();
  for (const Index m : {Index{32768}, Index{131072}}) {
    add_decode_heads<float>("softmax", m, 1, fg::softmax());
    add_decode_heads<Eigen::bfloat16>("softmax16", m, 1, fg::softmax());
    add_decode_heads<float>("top_k", m, 1, top_k, {.k = k});
  }
  for (const Index m : {Index{8192}, Index{131072}})
    add_decode_heads<float>("streaming", m, 1, streaming, {.first = first, .window = window});
  for (const Index n : {1, 4, 16}) add_decode_heads<float>("causal", 32768, n, causal);
  for (const Index threads : {1, 2}) {
    add_decode_heads<float>("softmax_threads", 32768, 1, fg::softmax(), {}, threads)->UseRealTime();
    add_decode_heads<float>("top_k_threads", 32768, 1, top_k, {.k = k}, threads)->UseRealTime();
  }
}

void add_dense() {
  using Kind = DenseCase::Kind;
  constexpr Index n = 1024, m = 4096, k = 32;
  add(name("DenseCopy", n, m), [=] { return std::make_unique<DenseCase>(Kind::copy, n, m); });
  add(name("ThresholdDense", n, m), [=] { return std::make_unique<DenseCase>(Kind::threshold, n, m); });
  add(name("TopKDense", n, m, k), [=] { return std::make_unique<DenseCase>(Kind::top_k, n, m, k); });
}

}  // namespace

int main(int argc, char** argv) {
  add_products();
  add_attention();
  add_patterns();
  add_routers();
  add_decode();
  add_decode_heads();
  add_dense();
  return run_benchmarks(argc, argv);
}
