// SPDX-License-Identifier: MIT
#pragma once

#include <algorithm>
#include <string>
#include <tuple>
#include <utility>
#include <vector>

#include "filigree/attention/gradients.hpp"
#include "filigree/attention/multi_head.hpp"
#include "filigree/core/check.hpp"
#include "filigree/engine/matrix_product.hpp"
#include "filigree/nn/layer/linear.hpp"
#include "filigree/nn/sequence.hpp"
#include "filigree/nn/stage_text.hpp"
#include "filigree/normalize/softmax.hpp"
#include "filigree/pattern/window.hpp"

namespace filigree {

namespace detail {
template <Real S>
class LongformerHeadsState;
}

/// The heads of longformer_attention(), with their projections. The parameters are those of `projection`, whose columns
/// are the queries, keys and values of all tokens, the keys and values of global tokens, and the queries of global
/// tokens.
template <Real S>
struct LongformerHeads {
  using Category = Layer;
  using Scalar = S;
  template <Real>
  using State = detail::LongformerHeadsState<S>;
  static constexpr bool reads_sequences = true;
  Linear<S> projection;  // d, 6 h width
  Index h, width, w;
  std::vector<Index> globals;

  [[nodiscard]] Index inputs() const { return projection.in; }
  [[nodiscard]] Index outputs(Index columns) const {
    detail::require(columns == projection.in, text(), ": gets ", columns, " columns from the stage before it, not ",
                    projection.in);
    return h * width;
  }
  [[nodiscard]] Index weight_count() const { return projection.weight_count(); }
  [[nodiscard]] Index parameter_count() const { return projection.parameter_count(); }
  // Throws an Error: a window has later tokens.
  void check_decoding() const { detail::fail("Decoder(network): longformer_attention() attends to later tokens"); }
  void initialize(S* parameters, Generator& generator) const { projection.initialize(parameters, generator); }
  // Describes the layer in messages and in a checkpoint.
  [[nodiscard]] std::string text() const {
    std::string ids;
    for (const Index id : globals) ids += (ids.empty() ? "" : ", ") + std::to_string(id);
    return detail::text_of("longformer_attention(", projection.in, ", heads{", h, "}, ", w, ", {", ids, "})");
  }
};

/// Makes the attention of Longformer, in which global tokens have projections of their own:
/// longformer_attention(768, heads{12}, 512, {0}).
///
/// A token attends to a window of w keys, half on each side, and to the global tokens. A global token attends to all
/// tokens, with its own query, keys and values. The tokens with the positions `globals` are global in each sequence.
/// Formula    i not global: softmax over j ∈ window(w / 2) or j global of ⟨q_i, k_j⟩ / √width, times v;
///            i global: softmax over all j of ⟨q'_i, k'_j⟩ / √width, times v'; then heads W_o + b_o
/// Shapes     x: N x d, result: N x d. q, k, v, k', v' and q' are x W + b, with W d x 6 d and their columns in this
///            order. The layer is a sequence of the heads with W and b, and linear(d, d)
/// Cost       O(N (w + globals) d) for each sequence, and the projections; q' is computed for global tokens only
/// Edge case  a negative position counts from the end of a sequence, and a position outside of a sequence is ignored
/// Throws     Error if d is not a multiple of h, hkv is not h, or w is negative
/// Reference  Beltagy et al., arXiv:2004.05150, section 3.1
template <Real S = float>
auto longformer_attention(Index d, heads count, Index w, const std::vector<Index>& globals) {
  const auto [h, hkv] = count;
  detail::require(h >= 1, "longformer_attention(d, heads{h}, w, globals): h must be at least 1, got ", h);
  detail::require(hkv == 0 || hkv == h, "longformer_attention(d, heads{h}, w, globals): hkv must be h, got ", hkv);
  detail::require(d >= 1 && d % h == 0,
                  "longformer_attention(d, heads{h}, w, globals): d must be a multiple of h = ", h, ", got ", d);
  detail::require(w >= 0, "longformer_attention(d, heads{h}, w, globals): w must be at least 0, got ", w);
  return sequence(LongformerHeads<S>{linear<S>(d, 6 * d), h, d / h, w, globals} | linear<S>(d, d));
}

namespace detail {

/// Keeps the given keys for every query.
struct GivenKeys {
  using Category = Pattern;
  static constexpr bool ranges_are_exact = true;
  std::vector<Index> ids;  // ascending

  [[nodiscard]] bool keeps(Index, Index j) const { return std::binary_search(ids.begin(), ids.end(), j); }
  void covers(Index, Index, const Grid&, Ranges& out) const {
    for (const Index id : ids) out.add(id, id + 1);
  }
  void contains(Index p0, Index p1, const Grid& grid, Ranges& out) const { covers(p0, p1, grid, out); }
};

template <Real S>
class LongformerHeadsState {
  using Layer = LongformerHeads<S>;
  using Matrix = Eigen::Matrix<S, Eigen::Dynamic, Eigen::Dynamic, Eigen::RowMajor>;
  using View = Eigen::Map<const Matrix, 0, Eigen::OuterStride<>>;

 public:
  void forward(const Layer& layer, Context<S>& context) {
    find_globals(layer, context);
    const ConstRows<S> x = context.inputs();
    const Index n = x.rows(), d = x.cols(), part = layer.h * layer.width, cols = projected_cols(part), g = rows_.size();
    const S *const weights = context.parameters, *const biases = weights + layer.weight_count();
    S* const projected = projected_.get<S>((std::max)(n * cols, Index{1}));
    multiply<S>(view(x), {weights, d, cols, 6 * part, 1}, {.data = projected, .stride = cols, .start = biases},
                context.session);
    if (g > 0) {
      S* const gathered = gathered_.get<S>(g * d);
      for (Index i = 0; i < g; ++i) std::copy_n(x.data() + rows_[i] * d, d, gathered + i * d);
      multiply<S>({gathered, g, d, d, 1}, {weights + 5 * part, d, part, 6 * part, 1},
                  {.data = queries_.get<S>(g * part), .stride = part, .start = biases + 5 * part}, context.session);
    }
    S* const y = context.make_outputs(part).data();
    each_product(
        layer, context,
        [&](Index first, Index count, const auto& product) { Rows<S>(y + first * part, count, part) = product; },
        [&](Index, Index, Index begin, Index end, const auto& product) {
          S* const out = outs_.get<S>((end - begin) * part);
          Rows<S>(out, end - begin, part) = product;
          for (Index i = begin; i < end; ++i) std::copy_n(out + (i - begin) * part, part, y + rows_[i] * part);
        });
  }

  Gradient<S> backward(const Layer& layer, Context<S>& context) {
    const Session& session = context.session;
    const ConstRows<S> x = context.inputs();
    const Index n = x.rows(), d = x.cols(), part = layer.h * layer.width, cols = projected_cols(part), g = rows_.size();
    Rows<S> dy = context.writable_output_gradient();
    S *const d_outs = d_outs_.get<S>((std::max)(g * part, Index{1})),
             *const d_queries = d_queries_.get<S>((std::max)(g * part, Index{1})),
             *const d_projected = d_projected_.get<S>((std::max)(n * cols, Index{1}));
    for (Index i = 0; i < g; ++i) {  // the outputs of the window are replaced at global tokens
      std::copy_n(dy.data() + rows_[i] * part, part, d_outs + i * part);
      std::fill_n(dy.data() + rows_[i] * part, part, S(0));
    }
    // Writes gradients of consecutive tokens to the columns of the projections from `column` on.
    const auto put = [&](const Matrix& from, Index first, Index column) {
      for_each_rows(from.rows(), session, [&](Index begin, Index end) {
        for (Index i = begin; i < end; ++i)
          std::copy_n(from.data() + i * part, part, d_projected + (first + i) * cols + column);
      });
    };
    each_product(
        layer, context,
        [&](Index first, Index count, const auto& product) {
          const auto by = gradients(product, dy.middleRows(first, count));
          put(by.q, first, 0);
          put(by.k, first, part);
          put(by.v, first, 2 * part);
          if (g == 0) return;
          for (Index i = first; i < first + count; ++i) std::fill_n(d_projected + i * cols + 3 * part, 2 * part, S(0));
        },
        [&](Index first, Index, Index begin, Index end, const auto& product) {
          const auto by = gradients(product, ConstRows<S>(d_outs + begin * part, end - begin, part));
          put(by.k, first, 3 * part);
          put(by.v, first, 4 * part);
          std::copy_n(by.q.data(), by.q.size(), d_queries + begin * part);
        });

    const ConstRows<S> projected(d_projected, n, cols), queries(d_queries, g, part);
    S *const weights = context.gradient, *const biases = weights + layer.weight_count();
    std::fill_n(weights, g == 0 ? layer.parameter_count() : Index{0}, S(0));
    const MatrixView<S> gathered = {gathered_.get<S>(0), g, d, d, 1};
    multiply<S>(view(x).transposed(), view(projected), {.data = weights, .stride = 6 * part}, session);
    const auto sum = [&](const ConstRows<S>& rows, S* to) {
      const double* const sums = sum_columns(rows, session, [](S value) { return value; });
      for (Index j = 0; j < rows.cols(); ++j) to[j] = static_cast<S>(sums[j]);
    };
    sum(projected, biases);
    if (g > 0) {
      multiply<S>(gathered.transposed(), view(queries), {.data = weights + 5 * part, .stride = 6 * part}, session);
      sum(queries, biases + 5 * part);
    }
    if (!context.needs_input_gradient) return {};
    S* const dx = gradients_.get<S>((std::max)(n * d, Index{1}));
    const MatrixView<S> w = {context.parameters, d, cols, 6 * part, 1};
    multiply<S>(view(projected), w.transposed(), {.data = dx, .stride = d}, session);
    if (g > 0) {
      const MatrixView<S> w_q = {context.parameters + 5 * part, d, part, 6 * part, 1};
      S* const by_queries = d_gathered_.get<S>(g * d);
      multiply<S>(view(queries), w_q.transposed(), {.data = by_queries, .stride = d}, session);
      for (Index i = 0; i < g; ++i)
        for (Index j = 0; j < d; ++j) dx[rows_[i] * d + j] += by_queries[i * d + j];
    }
    return {.dense = dx};
  }

 private:
  /// Returns the number of columns of the projections of all tokens: without global tokens only q, k and v.
  [[nodiscard]] Index projected_cols(Index part) const { return (rows_.empty() ? 3 : 5) * part; }

  /// Finds the rows of the global tokens of all sequences.
  void find_globals(const Layer& layer, const Context<S>& context) {
    rows_.clear();
    begins_.clear();
    context.for_each_sequence([&](Index first, Index last) {
      const Index begin = rows_.size(), n = last - first;
      begins_.push_back(begin);
      for (const Index id : layer.globals)
        if (id >= -n && id < n) rows_.push_back(first + (id < 0 ? n + id : id));
      std::sort(rows_.begin() + begin, rows_.end());
      rows_.resize(std::unique(rows_.begin() + begin, rows_.end()) - rows_.begin());
    });
    begins_.push_back(rows_.size());
  }

  /// Calls local(first, count, product) for the tokens of each sequence and their attention to the window and to
  /// global tokens, and global(first, count, begin, end, product) for the attention of its global tokens, numbers
  /// [begin, end) of all.
  template <class Local, class Global>
  void each_product(const Layer& layer, const Context<S>& context, Local&& local, Global&& global) {
    const Index part = layer.h * layer.width, cols = projected_cols(part);
    const heads count{layer.h};
    const S *const projected = projected_.get<S>(0), *const queries = queries_.get<S>(0);
    ExecutorRef executor = context.session.executor();
    Index sequence = 0;
    context.for_each_sequence([&](Index first, Index last) {
      const Index begin = begins_[sequence], end = begins_[sequence + 1], n = last - first;
      ++sequence;
      if (n == 0) return;
      const auto columns = [&](Index number) {
        return View(projected + first * cols + number * part, n, part, Eigen::OuterStride<>(cols));
      };
      GivenKeys keys;
      for (Index i = begin; i < end; ++i) keys.ids.push_back(rows_[i] - first);
      const View q = columns(0), k = columns(1), v = columns(2);
      local(first, n,
            multi_head(count, q, k, v, (window(layer.w / 2) || keys) | softmax()).on(executor).with(workspace_));
      if (begin == end) return;
      const View q_global(queries + begin * part, end - begin, part, Eigen::OuterStride<>(part)), k_global = columns(3),
                                                                                                  v_global = columns(4);
      global(first, n, begin, end,
             multi_head(count, q_global, k_global, v_global, softmax()).on(executor).with(workspace_));
    });
  }

  List<Index> rows_;    // of the global tokens of all sequences
  List<Index> begins_;  // of the global tokens of each sequence, and the number of all
  Workspace workspace_;
  Buffer projected_, gathered_, queries_, outs_, gradients_, d_outs_, d_queries_, d_projected_, d_gathered_;
};

}  // namespace detail
}  // namespace filigree
