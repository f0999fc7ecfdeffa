// SPDX-License-Identifier: MIT
#pragma once

#include <algorithm>
#include <cstddef>
#include <optional>
#include <vector>

#include "filigree/engine/matrix_product.hpp"
#include "filigree/nn/layer/sparse_product.hpp"
#include "filigree/nn/loss/residual_pass.hpp"
#include "filigree/nn/term.hpp"

namespace filigree {

/// Options of aux_k(k, options).
struct aux_k_options {
  std::optional<Index> after = {};  ///< a latent that was 0 in this many samples is dead; default: a tenth of the
                                    ///< samples so far, at least 10 batches and at most 10^7, as in the paper
  bool normalized = false;          ///< divides by the variation of the residuals instead of the number of samples
};

/// A loss: the error of a reconstruction of the residuals from dead latents.
struct AuxK {
  using Kind = ResidualLoss;
  Index k, after;  // after = 0: the default
  bool normalized;

  template <Real S>
  double add(detail::ResidualPass<S>& pass, double factor) const {
    std::vector<Column>& dead = pass.memory.dead;
    dead.clear();
    dead.reserve(static_cast<std::size_t>(pass.latents));
    const Index bound = after > 0 ? after : pass.use.dead_after;
    for (Index j = 0; j < pass.latents; ++j)
      if (pass.use.samples_since_active[static_cast<std::size_t>(j)] >= bound) dead.push_back(static_cast<Column>(j));
    const Index n = pass.target.rows(), out = pass.target.cols();
    const double variation = normalized ? residual_variation(pass) : static_cast<double>(n);
    if (dead.empty() || !(variation > 0)) return 0;

    select_latents(pass);
    const Lists<S>& lists = pass.memory.lists.lists();
    const double scale = factor / variation;
    S* residuals = pass.memory.residuals.template get<S>(n * out);
    const double sum = detail::sum_over_rows(n, pass.session, [&](Index i) {
      S* residual = residuals + i * out;
      const Index at = i * lists.stride, count = lists.counts[i];
      detail::gather_rows(residual, lists.values + at, lists.columns + at, count, pass.decoder, out);
      double square = 0;
      for (Index f = 0; f < out; ++f) {
        residual[f] -= pass.target(i, f) - pass.outputs(i, f);
        square += static_cast<double>(residual[f]) * static_cast<double>(residual[f]);
        residual[f] *= static_cast<S>(2 * scale);
      }
      kernel::kernels<S>().dots(lists.gradients + at, residual, lists.columns + at, count, pass.decoder, out, out);
      return square;
    });
    if (pass.decoder_gradient != nullptr) add_gradients(pass, residuals);
    return scale * sum;
  }

 private:
  /// Computes the k largest positive outputs of the encoder for dead latents.
  template <Real S>
  void select_latents(detail::ResidualPass<S>& pass) const {
    const auto& kernels = kernel::kernels<S>();
    auto& memory = pass.memory;
    const Index n = pass.inputs.rows(), in = pass.inputs.cols(), count = static_cast<Index>(memory.dead.size());
    S* weights = memory.weights.template get<S>(in * count);
    S* biases = memory.biases.template get<S>(count);
    for (Index c = 0; c < count; ++c) biases[c] = pass.encoder_biases[memory.dead[static_cast<std::size_t>(c)]];
    detail::for_each_rows(in, pass.session, [&](Index first, Index last) {
      for (Index f = first; f < last; ++f)
        for (Index c = 0; c < count; ++c)
          weights[f * count + c] = pass.encoder[f * pass.latents + memory.dead[static_cast<std::size_t>(c)]];
    });
    S* z = memory.numbers.template get<S>(n * count);
    detail::multiply(detail::view(pass.inputs), {weights, in, count, count, 1},
                     {.data = z, .stride = count, .start = biases}, pass.session);
    memory.lists.allocate(n, count);
    const Lists<S>& lists = memory.lists.lists();
    detail::for_each_rows(n, pass.session, [&](Index first, Index last) {
      for (Index i = first; i < last; ++i) {
        S* values = lists.values + i * lists.stride;
        Column* columns = lists.columns + i * lists.stride;
        std::copy_n(z + i * count, count, values);
        S bound = 0;
        const Index positive = kernels.list_above(values, columns, count, bound);
        lists.counts[i] = kernels.keep_top_k_of(values, columns, positive, k, 0, &bound);
        for (Index e = 0; e < lists.counts[i]; ++e) columns[e] = memory.dead[static_cast<std::size_t>(columns[e])];
      }
    });
  }

  template <Real S>
  void add_gradients(detail::ResidualPass<S>& pass, const S* residuals) const {
    auto& memory = pass.memory;
    const Lists<S>& lists = memory.lists.lists();
    const Index in = pass.inputs.cols(), out = pass.target.cols(), count = static_cast<Index>(memory.dead.size());
    S* sums = memory.sums.template get<S>(count * (std::max)(in, out));
    const auto each_dead = [&](auto&& f) {
      detail::for_each_rows(count, pass.session, [&](Index first, Index last) {
        for (Index c = first; c < last; ++c) f(Index{memory.dead[static_cast<std::size_t>(c)]}, c);
      });
    };
    auto& by = memory.by_column;
    by.sort(lists, lists.values, pass.latents);
    each_dead([&](Index j, Index c) {
      detail::gather_rows(sums + c * out, by.values(j), by.rows(j), by.count(j), residuals, out);
      for (Index f = 0; f < out; ++f) pass.decoder_gradient[j * out + f] += sums[c * out + f];
    });
    by.sort(lists, lists.gradients, pass.latents);
    each_dead([&](Index j, Index c) {
      detail::gather_rows(sums + c * in, by.values(j), by.rows(j), by.count(j), pass.inputs.data(), in);
      for (Index f = 0; f < in; ++f) pass.encoder_gradient[f * pass.latents + j] += sums[c * in + f];
      pass.encoder_bias_gradient[j] += by.sum(j);
    });
  }

  /// Returns the sum over samples of the squared distance of the residuals from their mean. It is exactly 0 for equal
  /// residuals, although their mean is rounded.
  template <Real S>
  static double residual_variation(const detail::ResidualPass<S>& pass) {
    const Index n = pass.target.rows(), out = pass.target.cols();
    double sum = 0;
    for (Index f = 0; f < out && n > 0; ++f) {
      double mean = 0;
      const auto residual = [&](Index i) {
        return static_cast<double>(pass.target(i, f)) - static_cast<double>(pass.outputs(i, f));
      };
      bool all_equal = true;
      for (Index i = 0; i < n; ++i) {
        mean += residual(i);
        all_equal = all_equal && residual(i) == residual(0);
      }
      if (all_equal) continue;
      mean /= static_cast<double>(n);
      for (Index i = 0; i < n; ++i) sum += (residual(i) - mean) * (residual(i) - mean);
    }
    return sum;
  }
};

/// Measures how well dead latents reconstruct the residuals, so that training revives them.
///
/// e = x − x̂ is the error of the autoencoder, treated as constant. ê = a W_dec is its reconstruction without a bias,
/// where a holds the k largest positive outputs of the encoder for dead latents. The paper weights this loss by 1 / 32:
/// (1.0 / 32) * aux_k(512).
///
/// The encoder must begin with a linear layer, or with pre_bias() and a linear layer. The decoder must be linear.
/// Formula    mean ‖e − ê‖²
/// Cost       2 N in dead operations, and a backward pass of k latents; none if no latent is dead
/// Throws     Error if k or `after` is below 1
/// Reference  Gao et al., arXiv:2406.04093, appendix A.2
inline AuxK aux_k(Index k, const aux_k_options& options = {}) {
  detail::require(k >= 1, "aux_k(k): k must be at least 1, got ", k);
  const Index after = options.after.value_or(1);
  detail::require(after >= 1, "aux_k(k, {.after}): after must be at least 1 sample, got ", after);
  return {.k = k, .after = options.after ? after : 0, .normalized = options.normalized};
}

}  // namespace filigree
