// SPDX-License-Identifier: MIT
#pragma once

#include <concepts>
#include <tuple>
#include <type_traits>
#include <vector>

#include "filigree/core/check.hpp"
#include "filigree/nn/network.hpp"
#include "filigree/transformer/decoding_state.hpp"

namespace filigree {

/// Options of Decoder.
struct decoder_options {
  Index capacity = 0;         ///< number of tokens for which memory is allocated in the first call
  ExecutorRef executor = {};  ///< threads that compute; results do not depend on it
};

/// Computes the outputs of a network for one sequence of tokens as it grows, with a key_value_cache for each layer with
/// attention: Decoder decoder(network, {.capacity = 4096}).
///
/// Each attention must be causal: a token attends to tokens up to itself. A call computes only its own tokens; these
/// attend to the keys of the earlier calls. So the outputs are those of network(all tokens) at the same tokens, with
/// the same bits as long as all layers pass on matrices, however the tokens are divided into calls. Every layer other
/// than attention() and positions must compute each row by itself. The network must outlive the decoder, and its
/// parameters must not change before clear(). A copy continues the same sequence by itself; the copies share memory
/// until one of them gets tokens.
/// Cost       for a token: that of the layers for one row, and of multi_head() over a cache. Memory: the keys and
///            values of all tokens in each layer with attention
template <class Net>
class Decoder {
 public:
  using Scalar = typename Net::Scalar;
  using Matrix = typename Net::Matrix;

  /// Makes a decoder of an empty sequence.
  ///
  /// Throws  Error if capacity is below 0, the parameters do not satisfy the constraints of their layers, a layer
  ///         depends on other rows in its own way, or attention has a router, keeps a later token, or keeps other keys
  ///         in a longer sequence. Patterns are checked at the first 64 positions
  explicit Decoder(const Net& net, const decoder_options& options = {})
      : net_(&net), executor_(options.executor), state_(options.capacity) {
    detail::require(options.capacity >= 0, "Decoder(network, {.capacity}): must be at least 0, got ", options.capacity);
    detail::require(net.is_constrained(),
                    "Decoder(network): the parameters must satisfy the constraints of their layers; call "
                    "network.constrain()");
    net.each_layer([](const auto& layer, std::size_t l, Index) {
      if constexpr (requires { layer.check_decoding(); })
        layer.check_decoding();
      else
        detail::require(
            !requires { layer.reads_sequences; }, "Decoder(network): stage ", l,
            " depends on the order of tokens, but has no check_decoding()");
    });
  }
  explicit Decoder(const Net&&, const decoder_options& = {}) = delete;  // the decoder refers to the network
  Decoder(const Decoder& other)
      : net_(other.net_), executor_(other.executor_), state_(other.state_), tokens_(other.tokens_) {}
  Decoder& operator=(const Decoder& other) {
    net_ = other.net_;
    executor_ = other.executor_;
    state_ = other.state_;
    tokens_ = other.tokens_;
    return *this;
  }
  ~Decoder() = default;

  /// Returns the number of tokens of the sequence: the position of the next token.
  [[nodiscard]] Index size() const { return tokens_; }

  /// Appends tokens to the sequence, and returns the outputs for them.
  ///
  /// Shapes     X: n x inputs, or n integers, the ids of tokens; result: n x outputs
  /// Edge case  n = 0 changes nothing
  /// Throws     Error if X.cols() is not inputs(), or as the layers do. The sequence is unchanged then
  template <DenseExpression X>
  [[nodiscard]] Matrix operator()(const X& x) {
    if constexpr (std::integral<typename X::Scalar>) {
      return run(Matrix(x.template cast<Scalar>()));
    } else {
      static_assert(StoredReal<typename X::Scalar, Scalar>,
                    "filigree: decoder(X): X must have the scalar of the network; cast it with .cast<>()");
      return run(x);
    }
  }
  /// Appends the token with an id, and returns the outputs for it.
  ///
  /// Shapes     result: 1 x outputs
  template <std::integral T>
  [[nodiscard]] Matrix operator()(T id) {
    return run(Matrix::Constant(1, 1, static_cast<Scalar>(id)));
  }

  /// Keeps the first `tokens` tokens of the sequence.
  ///
  /// Throws  Error unless 0 <= tokens <= size(), or if the last of these tokens was dropped
  void truncate(Index tokens) {
    detail::require(tokens >= 0 && tokens <= tokens_, "decoder.truncate(tokens): tokens must be between 0 and the ",
                    tokens_, " tokens of the sequence, got ", tokens);
    for (auto& cache : state_.caches()) cache.truncate(tokens);
    tokens_ = tokens;
  }
  /// Removes all tokens. The memory is kept.
  void clear() { truncate(0); }

  /// Drops the keys and values of all but the first `sinks` and the last `window` tokens. Positions continue.
  ///
  /// For attention with streaming(sinks, recent) and recent <= window + 1, outputs do not change. See
  /// KeyValueCache::slide().
  /// Throws  Error if sinks < 0 or window < 0, or if some of the first `sinks` tokens were dropped before
  void slide(Index sinks, Index window) {
    for (auto& cache : state_.caches()) cache.slide(sinks, window);
  }

  /// Returns the caches of the layers with attention, in their order; none before the first call.
  [[nodiscard]] const std::vector<KeyValueCache<Scalar>>& caches() const { return state_.caches(); }

 private:
  template <class Stages>
  struct PassOf;
  template <class... T>
  struct PassOf<std::tuple<T...>> {
    using type = detail::NetworkPass<Scalar, detail::no_boundary, T...>;
  };

  template <class X>
  Matrix run(const X& x) {
    detail::require(x.cols() == net_->inputs(), "decoder(X): X.cols() = ", x.cols(), " must be ", net_->inputs());
    if (x.rows() == 0) return Matrix(0, net_->outputs());
    const detail::Session session(detail::Execution{executor_, &workspace_});
    pass_.load(x, {}, session);
    auto context = pass_.context(*net_, 0, nullptr, nullptr, session, false, 0);
    context.network.position = tokens_;
    context.network.decoding = &state_;
    state_.begin();
    try {
      pass_.sequence().forward(net_->stages(), context);
    } catch (...) {
      for (auto& cache : state_.caches())
        if (cache.rows() > tokens_) cache.truncate(tokens_);
      throw;
    }
    tokens_ += x.rows();
    return pass_.output().rows(session);
  }

  const Net* net_;
  ExecutorRef executor_;
  detail::DecodingState<Scalar> state_;
  Index tokens_ = 0;
  Workspace workspace_;
  typename PassOf<typename Net::StageTuple>::type pass_;
};

}  // namespace filigree
