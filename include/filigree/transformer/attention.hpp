// SPDX-License-Identifier: MIT
#pragma once

#include <algorithm>
#include <concepts>
#include <cstdint>
#include <string>
#include <tuple>
#include <type_traits>
#include <utility>

#include "filigree/attention/gradients.hpp"
#include "filigree/attention/multi_head.hpp"
#include "filigree/core/check.hpp"
#include "filigree/core/generator.hpp"
#include "filigree/nn/layer/linear.hpp"
#include "filigree/nn/sequence.hpp"
#include "filigree/nn/stage_text.hpp"
#include "filigree/normalize/dropout.hpp"
#include "filigree/transformer/decoding_state.hpp"
#include "filigree/transformer/feed_forward.hpp"
#include "filigree/transformer/rotary.hpp"

namespace filigree {

namespace detail {
template <Real S, class Head>
class AttentionHeadsState;

/// Checks the arguments of attention(), and sets hkv. Returns the number of features of a head.
inline Index width_of_heads(const char* name, Index d, heads& count, Index width) {
  if (count.hkv == 0) count.hkv = count.h;
  const auto [h, hkv] = count;
  require(h >= 1 && h <= 65536, name, "(d, heads{h, hkv}, head): h must be from 1 to 65536, got ", h);
  require(hkv >= 1 && h % hkv == 0, name, "(d, heads{h, hkv}, head): hkv must divide h = ", h, ", got ", hkv);
  require(d >= 1, name, "(d, heads, head): d must be at least 1, got ", d);
  require(width >= 0, name, "(d, heads, head, {.width}): width must be at least 1, or 0 for d / h, got ", width);
  require(width > 0 || d % h == 0, name, "(d, heads{h}, head): d = ", d, " must be a multiple of h = ", h,
          " unless {.width} is given");
  return width > 0 ? width : d / h;
}

/// Describes the pipeline of the heads in a checkpoint.
template <class Head>
std::string head_text(const Head& head) {
  if constexpr (Piped<Head>) {
    std::string stages;
    std::apply([&](const auto&... stage) { ((stages += " | " + stage_text(stage)), ...); }, stages_of(head));
    return stages;
  } else {
    return type_name<Head>();
  }
}
}  // namespace detail

/// Multi-head attention without projections, as a layer. The columns of its inputs are the queries of all heads, then
/// the keys, then the values. attention() makes it.
template <Real S, class Head>
struct AttentionHeads {
  using Category = Layer;
  using Scalar = S;
  template <Real>
  using State = detail::AttentionHeadsState<S, Head>;
  static constexpr bool reads_sequences = true;
  heads count;
  Index width;  // of a head
  Rotary rotary;
  Head head;

  [[nodiscard]] Index inputs() const { return (count.h + 2 * count.hkv) * width; }
  [[nodiscard]] Index outputs(Index columns) const {
    detail::require(columns == inputs(), "attention: gets ", columns, " columns from the stage before it, not ",
                    inputs());
    return count.h * width;
  }
  [[nodiscard]] Index parameter_count() const { return 0; }
  // Throws an Error unless a Decoder computes the layer.
  void check_decoding() const {
    for (Index i = 0; i < count.h; ++i) detail::require_decodable<S>(detail::head_stages(head, i));
  }
  void initialize(S*, Generator&) const {}
  // Describes the layer in a checkpoint.
  [[nodiscard]] std::string text() const {
    return detail::text_of("attention_heads(", count.h, ", ", count.hkv, ", ", width, ", rotary(", rotary.width, ", ",
                           rotary.base, ", ", static_cast<Index>(rotary.pairs), ")", detail::head_text(head), ")");
  }
};

/// Options of attention().
struct attention_options {
  Index width = 0;     ///< features of a head; 0: d / h
  Rotary rotary = {};  ///< rotary(width): rotates queries and keys by their positions
  bool bias = true;    ///< false: all projections are without biases
};

/// Makes a layer of multi-head self-attention, with projections of queries, keys, values and output.
///
/// `head` is a pipeline on the scores, or a function of the head that returns one, as in multi_head(). The tokens of a
/// sequence attend to each other; the samples are one sequence, or those of a Batch. `dropout` in the pipeline drops
/// other weights in each step, sequence and head, and nothing in inference.
/// Formula    multi_head(x W_q + b_q, x W_k + b_k, x W_v + b_v) W_o + b_o
/// Shapes     x: N x d, result: N x d. The layer is a sequence of linear(d, (h + 2 hkv) width), the heads, and
///            linear(h width, d). W_q, W_k and W_v are the first h width, the next hkv width and the last hkv width
///            columns of the weights of the first layer
/// Cost       that of multi_head() for each sequence, and of the projections. The backward pass computes the weights
///            of attention again; memory does not grow with the pairs
/// Throws     Error if h or hkv does not divide, or the rotary width exceeds that of a head
/// Reference  Vaswani et al., arXiv:1706.03762, section 3.2.2
template <Real S = float, class Head>
auto attention(Index d, heads count, Head&& head, const attention_options& options = {}) {
  static_assert(detail::Piped<Head> || std::invocable<const std::decay_t<Head>&, Index>,
                "filigree: attention(d, heads, head): head must be a pipeline or a function of the head index");
  const Index width = detail::width_of_heads("attention", d, count, options.width);
  const auto [h, hkv] = count;
  detail::require(options.rotary.width <= width, "attention(d, heads, head, {.rotary}): rotary(", options.rotary.width,
                  ") rotates more features than the ", width, " of a head");
  const auto projection = detail::make_linear<S>(options.bias);
  return sequence(projection(d, (h + 2 * hkv) * width) |
                  AttentionHeads<S, std::decay_t<Head>>{count, width, options.rotary, std::forward<Head>(head)} |
                  projection(h * width, d));
}

namespace detail {

template <class Stages>
inline constexpr bool has_dropout = false;
template <class... T>
inline constexpr bool has_dropout<std::tuple<T...>> = (std::same_as<T, Dropout> || ...);

/// Returns the stages with the dropout of one head of one sequence in a pass.
template <class Stages>
auto with_draw(Stages stages, bool training, std::uint64_t draw, Index stream) {
  const auto set = [&](auto& stage) {
    if constexpr (std::same_as<std::remove_cvref_t<decltype(stage)>, Dropout>) {
      const std::uint64_t seed = Generator(stage.seed, draw).bits64();
      stage.seed = Generator(seed, static_cast<std::uint64_t>(stream)).bits64();
      if (!training) stage.p = 0;
    }
  };
  std::apply([&](auto&... stage) { (set(stage), ...); }, stages);
  return make_pipeline(std::move(stages));
}

/// Calls f(product) for multi_head() of one sequence. `stream` is a number of the sequence, for dropout.
template <Real S, class Head, class Q, class K, class F>
void attend_heads(const heads& count, const Head& head, const Q& q, const K& k, const K& v, const Context<S>& context,
                  Index stream, Workspace& workspace, F&& f) {
  ExecutorRef executor = context.session.executor();
  const auto run = [&](const auto& one) { f(multi_head(count, q, k, v, one).on(executor).with(workspace)); };
  if constexpr (has_dropout<decltype(head_stages(head, 0))>)
    run([&](Index i) { return with_draw(head_stages(head, i), context.training, context.draw, stream + i); });
  else
    run(head);
}

template <Real S, class Head>
class AttentionHeadsState {
  using Layer = AttentionHeads<S, Head>;
  using Matrix = Eigen::Matrix<S, Eigen::Dynamic, Eigen::Dynamic, Eigen::RowMajor>;
  using View = Eigen::Map<const Matrix, 0, Eigen::OuterStride<>>;

 public:
  void forward(const Layer& layer, Context<S>& context) {
    const Index outputs = layer.count.h * layer.width;
    S* y = context.make_outputs(outputs).data();
    rotate(layer, context);
    if (context.network.decoding != nullptr) return decode(layer, context, y);
    each_product(layer, context, [&](Index first, Index count, const auto& product) {
      Rows<S>(y + first * outputs, count, outputs) = product;
    });
  }

  Gradient<S> backward(const Layer& layer, Context<S>& context) {
    if (!context.needs_input_gradient) return {};
    const Index h = layer.count.h, hkv = layer.count.hkv, width = layer.width, cols = context.in.cols;
    const ConstRows<S> dy = context.output_gradient();
    S* dx = gradients_.get<S>((std::max)(context.in.n * cols, Index{1}));
    each_product(layer, context, [&](Index first, Index count, const auto& product) {
      const auto g = gradients(product, dy.middleRows(first, count));
      detail::for_each_rows(count, context.session, [&](Index begin, Index end) {
        for (Index i = begin; i < end; ++i) {
          S* const row = dx + (first + i) * cols;
          std::copy_n(g.q.data() + i * h * width, h * width, row);
          std::copy_n(g.k.data() + i * hkv * width, hkv * width, row + h * width);
          std::copy_n(g.v.data() + i * hkv * width, hkv * width, row + (h + hkv) * width);
          if (layer.rotary.width > 0) rotate_row(layer, row, i, true);
        }
      });
    });
    return {.dense = dx};
  }

 private:
  /// Rotates the queries and keys of one token.
  void rotate_row(const Layer& layer, S* row, Index position, bool back) const {
    for (Index i = 0; i < layer.count.h + layer.count.hkv; ++i)
      angles_.rotate(layer.rotary, row + i * layer.width, position, back);
  }
  /// Copies and rotates the queries and keys of all sequences.
  void rotate(const Layer& layer, const Context<S>& context) {
    if (layer.rotary.width == 0) return;
    const ConstRows<S> x = context.inputs();
    const Index cols = (layer.count.h + layer.count.hkv) * layer.width;
    S* to = rotated_.get<S>((std::max)(x.rows() * cols, Index{1}));
    context.for_each_sequence([&](Index first, Index last) {
      const Index position = context.network.position;
      angles_.prepare(layer.rotary, position + last - first);
      detail::for_each_rows(last - first, context.session, [&](Index begin, Index end) {
        for (Index i = begin; i < end; ++i) {
          S* const row = to + (first + i) * cols;
          std::copy_n(x.data() + (first + i) * x.cols(), cols, row);
          rotate_row(layer, row, position + i, false);
        }
      });
    });
  }
  /// Calls f(first, count, product) for the tokens of each sequence and their attention.
  template <class F>
  void each_product(const Layer& layer, const Context<S>& context, F&& f) {
    const ConstRows<S> x = context.inputs();
    const Index h = layer.count.h, q_cols = h * layer.width, kv_cols = layer.count.hkv * layer.width;
    const bool rotated = layer.rotary.width > 0;
    const S* scored = rotated ? rotated_.get<S>(0) : x.data();
    const Index stride = rotated ? q_cols + kv_cols : x.cols();
    Index stream = 0;
    context.for_each_sequence([&](Index first, Index last) {
      const Index count = last - first;
      if (count == 0) return;
      const auto view = [&](const S* data, Index row_stride, Index column, Index cols) {
        return View(data + first * row_stride + column, count, cols, Eigen::OuterStride<>(row_stride));
      };
      const View q = view(scored, stride, 0, q_cols), k = view(scored, stride, q_cols, kv_cols),
                 v = view(x.data(), x.cols(), q_cols + kv_cols, kv_cols);
      attend_heads(layer.count, layer.head, q, k, v, context, stream, workspace_,
                   [&](const auto& product) { f(first, count, product); });
      stream += h;
    });
  }

  /// Appends the keys and values of the tokens to the cache of the layer, and attends to all of its keys.
  void decode(const Layer& layer, const Context<S>& context, S* y) {
    const ConstRows<S> x = context.inputs();
    const Index n = x.rows(), q_cols = layer.count.h * layer.width, kv_cols = layer.count.hkv * layer.width;
    const bool rotated = layer.rotary.width > 0;
    const S* scored = rotated ? rotated_.get<S>(0) : x.data();
    const Eigen::OuterStride<> stride(rotated ? q_cols + kv_cols : x.cols()), value_stride(x.cols());
    KeyValueCache<S>& cache = context.network.decoding->next_cache(layer.count.hkv, layer.width);
    cache.append(View(scored + q_cols, n, kv_cols, stride),
                 View(x.data() + q_cols + kv_cols, n, kv_cols, value_stride));
    const View q(scored, n, q_cols, stride);
    ExecutorRef executor = context.session.executor();
    const auto run = [&](const auto& head) {
      Rows<S>(y, n, q_cols) = multi_head(layer.count, q, cache, head).on(executor).with(workspace_);
    };
    if constexpr (has_dropout<decltype(head_stages(layer.head, 0))>)
      run([&](Index i) { return with_draw(head_stages(layer.head, i), false, 0, i); });
    else
      run(layer.head);
  }

  RotaryAngles<S> angles_;
  Workspace workspace_;
  Buffer rotated_, gradients_;
};

}  // namespace detail
}  // namespace filigree
