// SPDX-License-Identifier: MIT
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <numeric>
#include <utility>
#include <vector>

#include "filigree/core/integers.hpp"
#include "filigree/core/sparse_indices.hpp"
#include "filigree/nn/loss/autoencoder_losses.hpp"
#include "filigree/nn/network.hpp"

namespace filigree {

/// Computes the loss of a network and its gradient, and keeps its memory between calls.
///
/// Later calls with the same number of samples allocate nothing, unless a stage selects from the whole batch. Results
/// are the same bits for any number of threads.
template <class Net>
class Pass {
 public:
  using S = typename Net::Scalar;
  using Vector = typename Net::Vector;
  static constexpr std::size_t depth = Net::depth;

  explicit Pass(const Net& net, ExecutorRef executor = {}) : executor_(executor) {
    if constexpr (has_codes) samples_since_active_.assign(static_cast<std::size_t>(net.latents()), 0);
  }

  /// Returns the loss of samples X for targets Y: the objective's terms, and the penalties in the network.
  ///
  /// `draw` selects the random entries that dropout drops: the same number drops the same entries.
  /// Shapes  X: N x inputs, Y: N x outputs, of the network's scalar or of half or bfloat16. Each is dense or sparse. A
  ///         linear layer reads only the stored entries of sparse X
  /// Throws  Error if a shape does not fit
  template <Samples X, Samples Y, Term Objective>
  double loss(const Net& net, const X& x, const Y& y, const Objective& objective, std::uint64_t draw = 0) {
    return run_constrained(net, x, detail::Slice<Index>(), y, objective, nullptr, draw);
  }
  /// Returns the loss of sequences of different lengths.
  template <class X, class M, Samples Y, Term Objective>
  double loss(const Net& net, const Batch<X, M>& x, const Y& y, const Objective& objective, std::uint64_t draw = 0) {
    return run_constrained(net, detail::tokens_of<S>(x), detail::lengths_of(x), y, objective, nullptr, draw);
  }

  /// Computes the gradient of the loss with respect to the parameters, and returns the loss.
  ///
  /// The loss equals that of loss() up to rounding: a compiler that contracts products and sums (g++ -march=native) may
  /// do so differently in the two functions.
  template <Samples X, Samples Y, Term Objective>
  double gradient(const Net& net, const X& x, const Y& y, const Objective& objective, Vector& gradient,
                  std::uint64_t draw = 0) {
    gradient.resize(net.parameters().size());
    return run_constrained(net, x, detail::Slice<Index>(), y, objective, gradient.data(), draw);
  }
  /// Computes the gradient of the loss of sequences of different lengths, and returns the loss.
  template <class X, class M, Samples Y, Term Objective>
  double gradient(const Net& net, const Batch<X, M>& x, const Y& y, const Objective& objective, Vector& gradient,
                  std::uint64_t draw = 0) {
    gradient.resize(net.parameters().size());
    return run_constrained(net, detail::tokens_of<S>(x), detail::lengths_of(x), y, objective, gradient.data(), draw);
  }

  /// Returns the loss of an autoencoder, whose targets are the samples.
  template <Samples X, Term Objective>
  double loss(const Net& net, const X& x, const Objective& objective, std::uint64_t draw = 0) {
    return loss(net, x, x, objective, draw);
  }
  /// Computes the gradient of the loss of an autoencoder, whose targets are the samples, and returns the loss.
  template <Samples X, Term Objective>
  double gradient(const Net& net, const X& x, const Objective& objective, Vector& gradient, std::uint64_t draw = 0) {
    return this->gradient(net, x, x, objective, gradient, draw);
  }

  /// Returns the loss of sequences for losses that read no targets, such as in_batch_negatives(queries).
  template <class X, class M, Term Objective>
  double loss(const Net& net, const Batch<X, M>& x, const Objective& objective, std::uint64_t draw = 0) {
    return loss(net, x, no_targets<Objective>(net), objective, draw);
  }
  /// Computes the gradient of the loss of sequences for losses that read no targets, and returns the loss.
  template <class X, class M, Term Objective>
  double gradient(const Net& net, const Batch<X, M>& x, const Objective& objective, Vector& gradient,
                  std::uint64_t draw = 0) {
    return this->gradient(net, x, no_targets<Objective>(net), objective, gradient, draw);
  }

  // Computes the same for a network that satisfies its constraints, without checking them. `lengths` are those of the
  // sequences in x.
  template <Samples X, Samples Y, Term Objective, class L = detail::Slice<Index>>
  double gradient_of_constrained(const Net& net, const X& x, const Y& y, const Objective& objective, Vector& gradient,
                                 std::uint64_t draw, const L& lengths = {}) {
    gradient.resize(net.parameters().size());
    return run(net, x, lengths, y, objective, gradient.data(), draw);
  }

  /// Returns the gradient of the loss with respect to the memory of the batch in the last call of gradient(), for
  /// networks with cross_attention(). It is valid until the next call, and empty if the batch had no memory.
  ///
  /// Shapes  result: M x kv
  [[nodiscard]] Eigen::Map<const typename Net::Matrix> memory_gradient() { return network_pass_.memory_gradient(); }

  /// Returns, for each latent of an autoencoder, the number of samples since it was last active in a pass with a
  /// gradient.
  [[nodiscard]] std::vector<Index>& samples_since_active() { return samples_since_active_; }
  [[nodiscard]] const std::vector<Index>& samples_since_active() const { return samples_since_active_; }

  // Returns the number of nonzero latents of all samples in the last pass with a gradient.
  [[nodiscard]] Index active_count() const { return active_count_; }

  /// Returns the number of samples in passes with a gradient.
  [[nodiscard]] Index& sample_count() { return sample_count_; }

  // Calls f(i, j) for each nonzero latent j of an autoencoder in sample i of the last pass. Returns the number of
  // samples.
  template <class F>
  Index each_code(F&& f) const {
    if (!network_pass_.sequence().has_run()) return 0;
    const Activations<S>& codes = this->codes();
    for (Index i = 0; i < codes.n; ++i) {
      if (codes.has_lists()) {
        const Index begin = i * codes.lists.stride, end = begin + codes.lists.counts[i];
        for (Index e = begin; e < end; ++e)
          if (codes.lists.values[e] != 0) f(i, Index{codes.lists.columns[e]});
      } else {
        for (Index j = 0; j < codes.cols; ++j)
          if (codes.data[i * codes.cols + j] != 0) f(i, j);
      }
    }
    return codes.n;
  }

 private:
  static constexpr bool has_codes = requires(const Net& net) { net.latents(); };
  using NetworkPass = typename detail::NetworkPassOf<S, detail::boundary_of<Net>, typename Net::StageTuple>::type;
  using Groups = typename NetworkPass::Sequence::G;

  [[nodiscard]] const Activations<S>& codes() const { return network_pass_.sequence().at(Groups::at(Net::code)); }

  /// Returns the default number of inactive samples after which a latent is dead. The paper of aux_k uses 10^7, with
  /// billions of samples.
  [[nodiscard]] Index default_dead_after(Index batch) const {
    return (std::min)(Index{10'000'000}, (std::max)(10 * batch, sample_count_ / 10));
  }
  void count_active(const detail::Session& session) {
    const Activations<S>& codes = this->codes();
    const Index n = codes.n;
    sample_count_ += n;
    if (codes.has_lists()) {
      active_count_ = 0;
      for (Index& samples : samples_since_active_) samples += n;
      each_code([&](Index, Index j) {
        samples_since_active_[static_cast<std::size_t>(j)] = 0;
        ++active_count_;
      });
      return;
    }
    constexpr Index per_task = 256;  // latents
    Index* counts = counts_.get<Index>(codes.cols / per_task + 1);
    session.run(detail::ceil_div(codes.cols, per_task), [&](Index task, Index) {
      const Index first = task * per_task, count = (std::min)(per_task, codes.cols - first);
      bool active[per_task] = {};
      Index sum = 0;
      for (Index i = 0; i < n; ++i)
        for (Index j = 0; j < count; ++j) {
          const bool is_active = codes.data[i * codes.cols + first + j] != 0;
          active[j] |= is_active;
          sum += is_active ? 1 : 0;
        }
      for (Index j = 0; j < count; ++j) {
        Index& samples = samples_since_active_[static_cast<std::size_t>(first + j)];
        samples = active[j] ? 0 : samples + n;
      }
      counts[task] = sum;
    });
    active_count_ = std::accumulate(counts, counts + detail::ceil_div(codes.cols, per_task), Index{0});
  }

  template <class Objective>
  static typename Net::Matrix no_targets(const Net& net) {
    static_assert(!detail::reads_targets<Objective>,
                  "filigree: pass: this objective needs targets: pass.loss(net, Batch{X, lengths}, Y, objective)");
    return typename Net::Matrix(0, net.outputs());
  }

  template <class X, class L, class Y, class Objective>
  double run_constrained(const Net& net, const X& x, const L& lengths, const Y& y, const Objective& objective,
                         S* gradient, std::uint64_t draw) {
    if (net.is_constrained()) return run(net, x, lengths, y, objective, gradient, draw);
    Net constrained = net;
    constrained.constrain();
    return run(constrained, x, lengths, y, objective, gradient, draw);
  }

  template <class X, class L, class Y, class Objective>
  double run(const Net& net, const X& x, const L& lengths, const Y& y, const Objective& objective, S* gradient,
             std::uint64_t draw) {
    static_assert(StoredReal<typename X::Scalar, S> && StoredReal<typename Y::Scalar, S>,
                  "filigree: pass: X and Y must have the scalar of the network; cast them with .cast<>()");
    static_assert(!TermOf<Objective, Penalty>,
                  "filigree: the objective needs a loss of outputs, such as squared_error(); a penalty of activations "
                  "belongs in the network: penalize(l1())");
    detail::require(x.cols() == net.inputs(), "pass: X.cols() = ", x.cols(), " must be the network's inputs, ",
                    net.inputs());
    detail::require(y.cols() == net.outputs(), "pass: Y.cols() = ", y.cols(), " must be the network's outputs, ",
                    net.outputs());
    const bool has_targets = detail::reads_targets<Objective> || has_codes || y.rows() > 0;
    if (has_targets) detail::require_target_rows(net, x.rows(), lengths.size(), y.rows(), "pass");
    detail::require_valid_samples(x, "pass: X");
    detail::require_valid_samples(y, "pass: Y");
    const detail::Session session(detail::Execution{executor_, &workspace_});
    double value = 0;
    network_pass_.load(x, lengths, session);
    const Context<S> context = network_pass_.context(net, 0, gradient, &value, session, true, draw);
    auto& sequence = network_pass_.sequence();
    constexpr std::size_t tail = NetworkPass::Sequence::tail();
    sequence.begin(net.stages(), context);
    sequence.template forward_groups<0, tail>(net.stages(), context);

    const Index n = y.rows();
    const S* targets = detail::in_place<S>(y);
    if (targets == nullptr && detail::are_same(x, y)) {
      targets = network_pass_.input().rows(session).data();
    } else if (targets == nullptr) {
      S* copied = target_.get<S>((std::max)(n * y.cols(), Index{1}));
      detail::to_dense_samples(y, copied, session);
      targets = copied;
    }
    const detail::ConstRows<S> target(targets, n, y.cols());
    Gradient<S> dy = network_pass_.forward_backward(
        net, detail::is_by_sample(objective), context, [&](const detail::ConstRows<S>& outputs, Index first) {
          if (!has_targets)
            return output_gradient(objective, outputs, target, outputs.rows(), gradient != nullptr, value, session);
          return output_gradient(objective, outputs, target.middleRows(first, outputs.rows()), n, gradient != nullptr,
                                 value, session);
        });
    value += losses_.add_code_losses(net, sequence, objective, target, dy, gradient, session);
    sequence.template backward_groups<0, tail>(net.stages(), context, dy);
    if constexpr (has_codes) {
      value += losses_.add_residual_losses(net, sequence, objective, target,
                                           {samples_since_active_, default_dead_after(n)}, gradient, session);
      if (gradient != nullptr) count_active(session);
    }
    sequence.finish(net.stages(), context);
    detail::each_term(objective, 1, [&](const auto& term, double factor) {
      if constexpr (TermOf<decltype(term), Decay>)
        net.each_layer([&](const auto& layer, std::size_t, Index offset) {
          value += term.add(net.parameters().data() + offset, detail::weight_count(layer), factor,
                            gradient != nullptr ? gradient + offset : nullptr);
        });
    });
    return value;
  }

  /// Returns the gradient with respect to the outputs of a batch out of n samples. Adds the losses of the batch to
  /// value.
  template <class Objective, class Target>
  Gradient<S> output_gradient(const Objective& objective, const detail::ConstRows<S>& outputs, const Target& targets,
                              Index n, bool differentiated, double& value, const detail::Session& session) {
    const detail::ConstRows<S> target(targets.data(), targets.rows(), targets.cols());
    const double fraction = n > 0 ? static_cast<double>(outputs.rows()) / static_cast<double>(n) : 1;
    Gradient<S> dy;
    if (differentiated) {
      dy.dense = output_gradient_.get<S>((std::max)(outputs.size(), Index{1}));  // null would mean no gradient
      if constexpr (!detail::sets_gradient<Objective>) std::fill_n(dy.dense, outputs.size(), S(0));
    }
    bool first = true;
    detail::each_term(objective, fraction, [&](const auto& term, double factor) {
      if constexpr (TermOf<decltype(term), Loss>) {
        if constexpr (detail::sets_gradient<decltype(term)>) {
          value += first && detail::sets_gradient<Objective> ? term.set(outputs, target, factor, dy.dense, session)
                                                             : term.add(outputs, target, factor, dy.dense, session);
        } else {
          value += term.add(outputs, target, factor, dy.dense, session);
        }
      }
      first = false;
      static_assert(!TermOf<decltype(term), Penalty>,
                    "filigree: a penalty of activations belongs in the network, not in the objective: penalize(l1())");
      static_assert(has_codes || !TermOf<decltype(term), ResidualLoss>,
                    "filigree: this loss is computed from residuals and needs an autoencoder(...)");
    });
    return dy;
  }

  ExecutorRef executor_;
  Workspace workspace_;
  NetworkPass network_pass_;
  detail::AutoencoderLosses<Net> losses_;
  detail::Buffer target_, output_gradient_, counts_;
  std::vector<Index> samples_since_active_;
  Index sample_count_ = 0, active_count_ = 0;
};

}  // namespace filigree
