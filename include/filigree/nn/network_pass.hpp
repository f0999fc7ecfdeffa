// SPDX-License-Identifier: MIT
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <tuple>

#include "filigree/nn/batch.hpp"
#include "filigree/nn/samples.hpp"
#include "filigree/nn/sequence_pass.hpp"

namespace filigree::detail {

/// Forward and backward passes through stages T of a network, with the samples and the outputs.
template <Real S, std::size_t boundary, class... T>
class NetworkPass {
 public:
  using Sequence = SequencePass<S, boundary, T...>;

  [[nodiscard]] Sequence& sequence() { return sequence_; }
  [[nodiscard]] const Sequence& sequence() const { return sequence_; }
  [[nodiscard]] Activations<S>& input() { return input_; }
  [[nodiscard]] Activations<S>& output() { return output_; }

  /// Refers to the samples, or copies them. `lengths` are those of the sequences, with their memory if it has a type of
  /// MemorySequences.
  template <class X, class L = Slice<Index>>
  void load(const X& x, const L& lengths, const Session& session) {
    lengths_ = lengths;
    has_memory_ = requires { lengths.memory; };
    if constexpr (requires { lengths.memory; }) load_memory(lengths.memory, session);
    if constexpr (is_sparse_samples<X>) {
      list_samples(x, samples_);
      input_.set_lists(x.cols(), samples_.lists());
    } else if (const S* data = in_place<S>(x); data != nullptr) {
      input_.set_view(x.rows(), x.cols(), data);
    } else {
      copy_samples(x, input_.set_dense(x.rows(), x.cols()), session);
    }
  }

  /// Returns the context of the stages, the first of which is stage `first` of the network. `gradient` is that of all
  /// parameters, or null.
  template <class Net>
  Context<S> context(const Net& net, std::size_t first, S* gradient, double* loss, const Session& session,
                     bool training, std::uint64_t draw) {
    const S* parameters = net.parameters().data();
    NetworkValues<S> values = {.input = &input_, .outputs = net.outputs(), .lengths = lengths_};
    if (has_memory_) {
      values.memory = &memory_;
      values.memory_lengths = memory_lengths_;
      if (gradient != nullptr) {
        values.memory_gradient = memory_gradient_.get<S>((std::max)(memory_.n * memory_.cols, Index{1}));
        std::fill_n(values.memory_gradient, memory_.n * memory_.cols, S(0));
      }
    }
    if constexpr (is_affine<std::tuple_element_t<Net::depth - 1, typename Net::StageTuple>>) {
      const Index biases = net.offset(Net::depth - 1) + weight_count(net.template stage<Net::depth - 1>());
      const Index weights = net.offset(Net::depth - 1);
      values.output_weights = parameters + weights;
      values.output_weights_gradient = gradient != nullptr ? gradient + weights : nullptr;
      values.output_biases = parameters + biases;
      values.output_biases_gradient = gradient != nullptr ? gradient + biases : nullptr;
    }
    if (net.reads_table())
      net.each_layer([&](const auto& layer, std::size_t, Index offset) {
        if constexpr (requires { layer.is_table; }) {
          values.table = parameters + offset;
          values.table_gradient = gradient != nullptr ? gradient + offset : nullptr;
        }
      });
    return {.parameters = parameters + net.offset(first),
            .gradient = gradient != nullptr ? gradient + net.offset(first) : nullptr,
            .in = input_,
            .out = output_,
            .dy = {},
            .needs_input_gradient = false,
            .accumulate = false,
            .loss = loss,
            .network = values,
            .session = session,
            .training = training,
            .draw = draw};
  }

  /// Returns the outputs of the stages for samples, in inference. Copies the inputs of a layer if `wanted` is not null.
  template <class Net, class Stages, class X, class L = Slice<Index>>
  Activations<S>& infer(const Net& net, const Stages& stages, std::size_t first, const X& x, const Session& session,
                        const L& lengths = {}, InputsOfLayer<S>* wanted = nullptr) {
    load(x, lengths, session);
    Context<S> all = context(net, first, nullptr, nullptr, session, false, 0);
    all.network.wanted = wanted;
    sequence_.forward(stages, all);
    return output_;
  }

  /// Runs the tail of the whole network forward and backward in batches of samples that fit into the cache.
  ///
  /// loss(outputs, first) returns the gradient with respect to the outputs of a batch that begins with sample `first`.
  /// Returns the gradient with respect to the inputs of the tail.
  template <class Net, class F>
  Gradient<S> forward_backward(const Net& net, bool by_sample, const Context<S>& context, F&& loss) {
    constexpr std::size_t begin = Sequence::tail(), end = Sequence::groups;
    Activations<S>& all = sequence_.at(begin);
    const Index n = all.n, batch = by_sample && begin < end ? tail_batch(net) : n;
    const auto run_batch = [&](Index first, const Context<S>& batch_context) {
      sequence_.template forward_groups<begin, end>(net.stages(), batch_context);
      const Gradient<S> dy = loss(output_.rows(batch_context.session), first);
      return sequence_.template backward_groups<begin, end>(net.stages(), batch_context, dy);
    };
    if (batch >= n) return run_batch(0, context);
    const ConstRows<S> in = all.rows(context.session);
    Gradient<S> gradients;
    if (context.gradient != nullptr && Sequence::template needs_input_gradient<begin>(context))
      gradients.dense = tail_gradients_.get<S>(n * in.cols());
    Context<S> batch_context = context;
    const struct Restore {  // also if a loss throws
      Sequence& sequence;
      Activations<S>& all;
      ~Restore() { sequence.set_input(begin, all); }
    } restore{sequence_, all};
    sequence_.set_input(begin, batch_input_);
    for (Index first = 0; first < n; first += batch) {
      const Index count = (std::min)(batch, n - first), size = count * in.cols();
      batch_input_.set_view(count, in.cols(), in.data() + first * in.cols());
      const Gradient<S> dy = run_batch(first, batch_context);
      if (gradients.dense != nullptr) std::copy_n(dy.dense, size, gradients.dense + first * in.cols());
      batch_context.accumulate = true;
    }
    return gradients;
  }

  /// Returns the gradient with respect to the memory of the last pass with a gradient; empty if it had no memory.
  [[nodiscard]] ConstRows<S> memory_gradient() {
    if (!has_memory_) return {nullptr, 0, 0};
    return {memory_gradient_.get<S>(0), memory_.n, memory_.cols};
  }

 private:
  template <class M>
  void load_memory(const M& memory, const Session& session) {
    using Value = typename std::remove_cvref_t<decltype(memory.tokens)>::Scalar;
    memory_lengths_ = {memory.lengths.data(), memory.lengths.data() + memory.lengths.size()};
    const Index rows = memory.tokens.rows(), cols = memory.tokens.cols();
    if constexpr (std::integral<Value>) {
      Rows<S>(memory_.set_dense(rows, cols), rows, cols) = memory.tokens.template cast<S>();
    } else {
      static_assert(
          StoredReal<Value, S>,
          "filigree: network(Batch{tokens, lengths, memory}): the memory must have the scalar of the network; "
          "cast it with .cast<>()");
      require_valid_samples(memory.tokens, "network(Batch{tokens, lengths, memory})");
      if (const S* data = in_place<S>(memory.tokens); data != nullptr)
        memory_.set_view(rows, cols, data);
      else
        to_dense_samples(memory.tokens, memory_.set_dense(rows, cols), session);
    }
  }
  /// Returns the number of samples whose activations in the tail fit into the second-level cache. Returns all samples
  /// if that number is too small to amortize the packing of products.
  template <class Net>
  Index tail_batch(const Net& net) {
    constexpr std::size_t begin = Sequence::G::begin(Sequence::tail());
    Index numbers = 0;
    for (std::size_t l = begin; l <= Net::depth; ++l) numbers += net.width(l);
    // The size is a constant that does not depend on the caches of the machine, because the gradients of biases are
    // rounded after each batch.
    const Index fit = 768 * 1024 / (numbers * static_cast<Index>(sizeof(S))) / samples_per_task * samples_per_task;
    const Activations<S>& all = sequence_.at(Sequence::tail());
    return fit < 512 || net.template reads_network_input<begin, Net::depth>() || all.is_sparse() ? all.n : fit;
  }

  ListMemory<S> samples_;        // sparse samples
  Slice<Index> lengths_;         // of the sequences in the samples
  Slice<Index> memory_lengths_;  // of those in the memory
  bool has_memory_ = false;
  Activations<S> input_, output_, memory_;
  Buffer memory_gradient_;
  Sequence sequence_;
  Activations<S> batch_input_;  // input of the tail for one batch
  Buffer tail_gradients_;
};

template <Real S, std::size_t boundary, class Tuple>
struct NetworkPassOf;
template <Real S, std::size_t boundary, class... T>
struct NetworkPassOf<S, boundary, std::tuple<T...>> {
  using type = NetworkPass<S, boundary, T...>;
};

/// The first stage of the decoder of an autoencoder. Callers may read its inputs, the codes.
template <class Net>
inline constexpr std::size_t boundary_of = no_boundary;
template <class Net>
  requires requires { Net::code; }
inline constexpr std::size_t boundary_of<Net> = Net::code;

}  // namespace filigree::detail
