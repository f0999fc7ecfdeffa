// SPDX-License-Identifier: MIT
#pragma once

#include <algorithm>
#include <cstddef>
#include <utility>
#include <vector>

#include "filigree/engine/matrix_product.hpp"
#include "filigree/nn/layer/sparse_product.hpp"
#include "filigree/nn/loss/code_pass.hpp"
#include "filigree/nn/term.hpp"

namespace filigree {

/// A loss of codes: the squared errors of reconstructions from prefixes of the latents.
struct Matryoshka {
  using Kind = CodeLoss;
  std::vector<Index> prefixes;

  template <Real S>
  double add(detail::CodePass<S>& codes, double factor) const {
    const Index n = codes.activations.n, out = codes.out(), size = n * out;
    const auto levels = static_cast<Index>(prefixes.size());
    detail::require(prefixes.back() <= codes.activations.cols,
                    "matryoshka(prefixes): the last prefix must be at most the ", codes.activations.cols,
                    " latents, got ", prefixes.back());
    if (n == 0) return 0;
    // Level l holds the residual of the reconstruction from prefix l. For the backward pass it holds the sum of the
    // gradients with respect to the reconstructions of level l and all higher levels.
    S* residuals = codes.memory[0].template get<S>(levels * size);
    for (Index l = 0; l < levels; ++l) decode(codes, l, residuals);
    const double scale = factor / static_cast<double>(n);
    const double value = scale * detail::sum_over_rows(n, codes.session, [&](Index i) {
                           double sum = 0;
                           for (Index l = 0; l < levels; ++l)
                             for (Index f = 0; f < out; ++f) {
                               const auto r = static_cast<double>(residuals[l * size + i * out + f]);
                               sum += r * r;
                             }
                           return sum;
                         });
    if (!codes.needs_gradient()) return value;
    detail::for_each_rows(n, codes.session, [&](Index first, Index last) {
      for (Index l = levels; l-- > 0;)
        for (Index e = first * out; e < last * out; ++e) {
          S& r = residuals[l * size + e];
          r *= static_cast<S>(2 * scale);
          if (l + 1 < levels) r += residuals[(l + 1) * size + e];
        }
    });
    const double* sums =
        detail::sum_columns(detail::ConstRows<S>(residuals, n, out), codes.session, [](S r) { return r; });
    for (Index f = 0; f < out; ++f) codes.bias_gradient[f] += static_cast<S>(sums[f]);
    if (codes.activations.is_sparse())
      add_sparse(codes, residuals);
    else
      add_dense(codes, residuals);
    return value;
  }

 private:
  [[nodiscard]] Index begin(Index level) const {
    return level == 0 ? 0 : prefixes[static_cast<std::size_t>(level) - 1];
  }
  [[nodiscard]] Index end(Index level) const { return prefixes[static_cast<std::size_t>(level)]; }

  /// Returns the range of entries of row i that belong to a level.
  template <Real S>
  [[nodiscard]] std::pair<Index, Index> entries(const Lists<S>& lists, Index i, Index level) const {
    const Column* from = lists.columns + i * lists.stride;
    const Column* to = from + lists.counts[i];
    const auto at = [&](Index column) { return i * lists.stride + (std::lower_bound(from, to, column) - from); };
    return {at(begin(level)), at(end(level))};
  }

  /// Computes the residuals of a level from the residuals of the preceding level.
  template <Real S>
  void decode(detail::CodePass<S>& codes, Index level, S* residuals) const {
    const Index n = codes.activations.n, out = codes.out();
    S* to = residuals + level * n * out;
    detail::for_each_rows(n, codes.session, [&](Index first, Index last) {
      for (Index i = first; i < last; ++i)
        for (Index f = 0; f < out; ++f)
          to[i * out + f] = level > 0 ? to[(i - n) * out + f] : codes.biases[f] - codes.target(i, f);
    });
    if (codes.activations.is_sparse()) {
      const Lists<S>& lists = codes.activations.lists;
      S* sums = codes.memory[1].template get<S>(n * out);
      detail::for_each_rows(n, codes.session, [&](Index first, Index last) {
        for (Index i = first; i < last; ++i) {
          const auto [from, until] = entries(lists, i, level);
          detail::gather_rows(sums + i * out, lists.values + from, lists.columns + from, until - from, codes.weights,
                              out);
          for (Index f = 0; f < out; ++f) to[i * out + f] += sums[i * out + f];
        }
      });
    } else {
      detail::multiply(columns_of(codes, level), weights(codes, level), {.data = to, .stride = out, .add = true},
                       codes.session);
    }
  }

  template <Real S>
  [[nodiscard]] detail::MatrixView<S> columns_of(detail::CodePass<S>& codes, Index level) const {
    const auto rows = codes.activations.rows(codes.session);
    return {rows.data() + begin(level), rows.rows(), end(level) - begin(level), rows.cols(), 1};
  }
  template <Real S>
  [[nodiscard]] detail::MatrixView<S> weights(const detail::CodePass<S>& codes, Index level) const {
    const Index out = codes.out();
    return {codes.weights + begin(level) * out, end(level) - begin(level), out, out, 1};
  }

  template <Real S>
  void add_dense(detail::CodePass<S>& codes, const S* residuals) const {
    const Index n = codes.activations.n, out = codes.out();
    for (Index l = 0; l < static_cast<Index>(prefixes.size()); ++l) {
      const detail::MatrixView<S> r = {residuals + l * n * out, n, out, out, 1};
      detail::multiply(columns_of(codes, l).transposed(), r,
                       {.data = codes.weight_gradient + begin(l) * out, .stride = out, .add = true}, codes.session);
      detail::multiply(r, weights(codes, l).transposed(),
                       {.data = codes.dy.dense + begin(l), .stride = codes.activations.cols, .add = true},
                       codes.session);
    }
  }

  template <Real S>
  void add_sparse(detail::CodePass<S>& codes, const S* residuals) const {
    const Index n = codes.activations.n, out = codes.out();
    const auto levels = static_cast<Index>(prefixes.size());
    const Lists<S>& lists = codes.activations.lists;
    S* products = codes.memory[1].template get<S>(n * lists.stride);
    detail::for_each_rows(n, codes.session, [&](Index first, Index last) {
      for (Index i = first; i < last; ++i)
        for (Index l = 0; l < levels; ++l) {
          const auto [from, until] = entries(lists, i, l);
          kernel::kernels<S>().dots(products + from, residuals + (l * n + i) * out, lists.columns + from, until - from,
                                    codes.weights, out, out);
          for (Index e = from; e < until; ++e) lists.gradients[e] += products[e];
        }
    });
    codes.by_column.sort(lists, lists.values, codes.activations.cols);
    S* sums = codes.memory[1].template get<S>(prefixes.back() * out);
    for (Index l = 0; l < levels; ++l)
      detail::for_each_rows(end(l) - begin(l), codes.session, [&](Index first, Index last) {
        for (Index j = begin(l) + first; j < begin(l) + last; ++j) {
          const auto& by = codes.by_column;
          detail::gather_rows(sums + j * out, by.values(j), by.rows(j), by.count(j), residuals + l * n * out, out);
          for (Index f = 0; f < out; ++f) codes.weight_gradient[j * out + f] += sums[j * out + f];
        }
      });
  }
};

/// Measures the squared errors of reconstructions from the first latents, summed over prefixes.
///
/// Latents after the last prefix are not used. The decoder must be one linear layer. This loss replaces squared_error()
/// or is added to it.
/// Formula    Σ over prefixes p of mean ‖a_1..p W_1..p + b − x‖²
/// Cost       one reconstruction and one backward pass; N * out numbers for each prefix
/// Throws     Error if there is no prefix, the prefixes are not positive and strictly increasing, or the last one
///            exceeds the number of latents
/// Reference  Bussmann et al., arXiv:2503.17547, equation 4
inline Matryoshka matryoshka(std::vector<Index> prefixes) {
  detail::require(!prefixes.empty(), "matryoshka(prefixes): there must be at least one prefix");
  Index previous = 0;
  for (const Index prefix : prefixes) {
    detail::require(prefix > previous, "matryoshka(prefixes): prefixes must be positive and strictly increasing, got ",
                    prefix, " after ", previous);
    previous = prefix;
  }
  return {.prefixes = std::move(prefixes)};
}

}  // namespace filigree
