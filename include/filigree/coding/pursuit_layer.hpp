// SPDX-License-Identifier: MIT
#pragma once

#include <algorithm>
#include <cmath>
#include <limits>
#include <string>
#include <tuple>

#include "filigree/coding/methods.hpp"
#include "filigree/coding/pursuit.hpp"
#include "filigree/nn/layer/linear.hpp"
#include "filigree/nn/layer/sparse_product.hpp"
#include "filigree/nn/stage_text.hpp"

namespace filigree {

namespace detail {
template <Real S>
class PursuitState;
}

/// An encoder that is matching pursuit by the atoms of the decoder. It has no parameters of its own.
struct Pursuit {
  using Category = Layer;
  template <Real S>
  using State = detail::PursuitState<S>;
  Index in, latents;
  matching_pursuit method;

  [[nodiscard]] Index inputs() const { return in; }
  [[nodiscard]] Index outputs(Index width) const {
    detail::require(width == in, "pursuit(", in, ", ", latents, ", method): gets ", width,
                    " columns from the stage before it, not ", in);
    return latents;
  }
  [[nodiscard]] Index parameter_count() const { return 0; }
  template <Real S>
  void initialize(S*, Generator&) const {}
  template <class Net>
  void check_network(const Net& net) const {
    using Decoder = std::tuple_element_t<Net::depth - 1, typename Net::StageTuple>;
    static_assert(detail::is_linear<Decoder>, "filigree: pursuit(in, latents, method): the last stage must be linear");
    const Decoder& decoder = net.template stage<Net::depth - 1>();
    detail::require(decoder.in == latents && decoder.out == in && decoder.constraints.unit_rows, "pursuit(", in, ", ",
                    latents, ", method): the rows of the last layer are the atoms: it must be linear(", latents, ", ",
                    in, ").unit_norm_rows()");
  }
  // Describes the layer in a checkpoint.
  [[nodiscard]] std::string text() const {
    return detail::text_of("pursuit(", in, ", ", latents, ", ", method.k, ", ", method.tolerance, ", ",
                           static_cast<Index>(method.non_negative), ")");
  }
};

/// Codes samples by matching pursuit with the atoms of the decoder, as the encoder of an autoencoder:
/// autoencoder(pre_bias() | pursuit(64, 512, {.k = 8}), linear(512, 64).unit_norm_rows()).
///
/// With non_negative, the atom of a step is that with the largest d_j · r. Gradients pass through all steps, and the
/// choice of the atoms counts as constant.
/// Formula    r = x; k times: j = argmax |d_j · r|, c = d_j · r, z_j += c, r −= c d_j
/// Shapes     x: N x in, the atoms d_j are the rows of the last layer's weights, latents x in; result: N x latents
/// Cost       2 N k latents in operations, N latents numbers of memory. The backward pass costs N k² in
/// Edge case  a sample stops when ‖r‖ is at most method.tolerance, or no atom correlates with r beyond rounding; the
///            codes of a sample with NaN are NaN
/// Throws     Error if in, latents or k is below 1 or tolerance is negative; in network(...), unless the last layer is
///            linear(latents, in).unit_norm_rows()
/// Reference  Costa et al., arXiv:2506.03093, algorithm 1; Mallat and Zhang, IEEE Trans. Signal Process. 41, 1993
inline Pursuit pursuit(Index in, Index latents, const matching_pursuit& method) {
  detail::require(in >= 1, "pursuit(in, latents, method): in must be at least 1, got ", in);
  detail::require(latents >= 1, "pursuit(in, latents, method): latents must be at least 1, got ", latents);
  detail::require(method.k >= 1, "pursuit(in, latents, {.k}): k must be at least 1, got ", method.k);
  detail::check_method(method);
  return {.in = in, .latents = latents, .method = method};
}

namespace detail {

template <Real S>
class PursuitState {
 public:
  void forward(const Pursuit& layer, Context<S>& context) {
    const ConstRows<S> x = context.inputs();
    const Index n = x.rows(), d = x.cols(), k = layer.method.k, cols = layer.latents;
    const S* const atoms = context.network.output_weights;
    const Index stride = round_up(cols, static_cast<Index>(Buffer::alignment / sizeof(S)));
    S* const residuals = residuals_.get<S>((std::max)(n * d, Index{1}));
    S* const correlations = correlations_.get<S>((std::max)(n * stride, Index{1}));
    Column* const steps = columns_.get<Column>((std::max)(n * k, Index{1}));
    S* const changes = changes_.get<S>((std::max)(n * k, Index{1}));
    Index* const counts = counts_.get<Index>((std::max)(n, Index{1}));
    memory_.allocate(n, (std::min)(k, cols));
    context.for_each_rows([&](Index first, Index last) {
      std::copy(x.data() + first * d, x.data() + last * d, residuals + first * d);
      std::fill(correlations + first * stride, correlations + last * stride, S(0));  // the padding stays 0
      std::fill(counts + first, counts + last, Index{0});
    });
    const MatrixView<S> atoms_view = {atoms, cols, d, d, 1};
    for (Index t = 0; t < k; ++t) {
      multiply<S>({residuals, n, d, d, 1}, atoms_view.transposed(), {.data = correlations, .stride = stride},
                  context.session);
      context.for_each_rows([&](Index first, Index last) {
        for (Index i = first; i < last; ++i) {
          if (counts[i] < t) continue;
          S* const r = residuals + i * d;
          const S* const h = correlations + i * stride;
          const double squares = kernel::kernels<S>().sum_squares(r, d);
          const Index j = choose(layer.method, h, cols, stride, d, squares, t);
          if (j < 0) continue;
          steps[i * k + t] = static_cast<Column>(j);
          changes[i * k + t] = std::isfinite(squares) ? h[j] : std::numeric_limits<S>::quiet_NaN();
          counts[i] = t + 1;
          kernel::kernels<S>().subtract_multiple(r, atoms + j * d, changes[i * k + t], d);
        }
      });
    }
    context.for_each_rows([&](Index first, Index last) {
      for (Index i = first; i < last; ++i) list_codes(i, k);
    });
    context.out.set_lists(cols, memory_.lists());
  }

  /// With ρ = dL/dr after step t: γ_t = dL/dc_t = dL/dz_j − d_j · ρ, and dL/dr before it is ρ + γ_t d_j. The gradient
  /// of the atom is γ_t r − c_t ρ, where r is the residual before the step.
  Gradient<S> backward(const Pursuit& layer, Context<S>& context) {
    if (context.dy.dense == nullptr && context.dy.lists == nullptr) return {};
    const Index n = context.in.n, d = context.in.cols, k = layer.method.k;
    memory_.set_gradients(context.dy, layer.latents, context.session);
    const Lists<S>& lists = memory_.lists();
    const S* const atoms = context.network.output_weights;
    const Column* const steps = columns_.get<Column>(0);
    const Index* const counts = counts_.get<Index>(0);
    S* const gammas = gammas_.get<S>((std::max)(n * k, Index{1}));
    S* const dx = gradients_.get<S>((std::max)(n * d, Index{1}));
    context.for_each_rows([&](Index first, Index last) {
      for (Index i = first; i < last; ++i) {
        S* const rho = dx + i * d;
        std::fill_n(rho, d, S(0));
        const Column* const columns = lists.columns + i * lists.stride;
        for (Index t = counts[i] - 1; t >= 0; --t) {
          const Column j = steps[i * k + t];
          const Index at = std::lower_bound(columns, columns + lists.counts[i], j) - columns;
          S product = 0;
          kernel::kernels<S>().dots(&product, rho, &j, 1, atoms, d, d);
          const S gamma = lists.gradients[i * lists.stride + at] - product;
          gammas[i * k + t] = gamma;
          kernel::kernels<S>().subtract_multiple(rho, atoms + j * d, -gamma, d);
        }
      }
    });
    add_gradient_of_atoms(layer, context, gammas);
    return {.dense = dx};
  }

 private:
  /// Returns the atom of the next step, or -1.
  static Index choose(const matching_pursuit& method, const S* h, Index cols, Index stride, Index width, double squares,
                      Index step) {
    if (!std::isfinite(squares)) return step == 0 ? 0 : -1;
    if (squares <= method.tolerance * method.tolerance) return -1;
    const S rounding = rounding_of_correlations<S>(width, squares);
    if (!method.non_negative) return largest_magnitude(h, stride, rounding);
    Index best = -1;
    S largest = rounding;
    for (Index j = 0; j < cols; ++j)
      if (h[j] > largest) largest = h[best = j];
    return best;
  }

  /// Writes the codes of a sample by ascending column: the sums of the changes of each atom, in the order of the steps.
  void list_codes(Index i, Index k) {
    const Lists<S>& lists = memory_.lists();
    S* const values = lists.values + i * lists.stride;
    Column* const columns = lists.columns + i * lists.stride;
    Index count = 0;
    for (Index t = 0; t < counts_.get<Index>(0)[i]; ++t) {
      const Column j = columns_.get<Column>(0)[i * k + t];
      const S change = changes_.get<S>(0)[i * k + t];
      const Index at = std::lower_bound(columns, columns + count, j) - columns;
      if (at < count && columns[at] == j) {
        values[at] += change;
        continue;
      }
      std::copy_backward(columns + at, columns + count, columns + count + 1);
      std::copy_backward(values + at, values + count, values + count + 1);
      columns[at] = j;
      values[at] = change;
      ++count;
    }
    lists.counts[i] = count;
  }

  /// Adds the gradients of the atoms to that of the decoder's weights, for each atom in the order of samples and steps.
  ///
  /// In the last residual r_k, that before step t is r_k + Σ_{s ≥ t} c_s d_s, and ρ after it is Σ_{s > t} γ_s d_s.
  void add_gradient_of_atoms(const Pursuit& layer, const Context<S>& context, const S* gammas) {
    const Index n = context.in.n, d = context.in.cols, k = layer.method.k;
    const S* const atoms = context.network.output_weights;
    S* const gradient = context.network.output_weights_gradient;
    const Column* const steps = columns_.get<Column>(0);
    const S* const changes = changes_.get<S>(0);
    const S* const residuals = residuals_.get<S>(0);
    const Index* const counts = counts_.get<Index>(0);
    Index* const begin = begin_.get<Index>(layer.latents + 1);
    std::fill_n(begin, layer.latents + 1, Index{0});
    const auto each_step = [&](auto&& f) {
      for (Index i = 0; i < n; ++i)
        for (Index e = i * k; e < i * k + counts[i]; ++e) f(e);
    };
    each_step([&](Index e) { ++begin[steps[e] + 1]; });
    for (Index j = 0; j < layer.latents; ++j) begin[j + 1] += begin[j];
    Index* const uses = uses_.get<Index>((std::max)(begin[layer.latents], Index{1}));
    each_step([&](Index e) { uses[begin[steps[e]]++] = e; });
    std::copy_backward(begin, begin + layer.latents, begin + layer.latents + 1);
    begin[0] = 0;
    const Session& session = context.session;
    for (Index worker = 0; worker < session.concurrency(); ++worker) {  // any worker may run a task
      ScratchFrame frame(session.scratch(worker));
      (void)frame.take<S>(d);
      (void)frame.take<S>(k);
    }
    session.run(ceil_div(layer.latents, samples_per_task), [&](Index task, Index worker) {
      ScratchFrame frame(session.scratch(worker));
      S* const sum = frame.take<S>(d);
      S* const weights = frame.take<S>(k);
      const Index last = (std::min)((task + 1) * samples_per_task, layer.latents);
      for (Index j = task * samples_per_task; j < last; ++j)
        for (Index u = begin[j]; u < begin[j + 1]; ++u) {
          const Index e = uses[u], i = e / k, count = i * k + counts[i] - e;
          for (Index s = 0; s < count; ++s)
            weights[s] = gammas[e] * changes[e + s] - (s > 0 ? changes[e] * gammas[e + s] : S(0));
          gather_rows(sum, weights, steps + e, count, atoms, d);
          kernel::kernels<S>().subtract_multiple(gradient + j * d, residuals + i * d, -gammas[e], d);
          kernel::kernels<S>().subtract_multiple(gradient + j * d, sum, S(-1), d);
        }
    });
  }

  ListMemory<S> memory_;
  Buffer residuals_, correlations_, columns_, changes_, counts_, gammas_, gradients_, begin_, uses_;
};

}  // namespace detail
}  // namespace filigree
