// SPDX-License-Identifier: MIT
#pragma once

#include <cstdint>

#include "filigree/core/check.hpp"
#include "filigree/core/list.hpp"
#include "filigree/nn/activations.hpp"

namespace filigree {

namespace detail {
template <Real S>
class DecodingState;
}

namespace detail {

/// The inputs of one affine layer in a forward pass, for a caller. The layer is found by its parameters.
template <Real S>
struct InputsOfLayer {
  const S* parameters = nullptr;
  Eigen::Matrix<S, Eigen::Dynamic, Eigen::Dynamic, Eigen::RowMajor> rows = {};
};

}  // namespace detail

/// Values of the whole network that any of its layers may read.
template <Real S>
struct NetworkValues {
  Activations<S>* input = nullptr;           ///< the samples
  const S* output_biases = nullptr;          ///< the biases of the last layer, if it has biases
  S* output_biases_gradient = nullptr;       ///< their gradient; the last layer writes it first
  const S* output_weights = nullptr;         ///< the weights of the last layer, if it is linear
  S* output_weights_gradient = nullptr;      ///< their gradient; the last layer writes it first
  Index outputs = 0;                         ///< number of columns of the network's output
  const S* table = nullptr;                  ///< the vectors of the embedding, if a later layer reads them
  S* table_gradient = nullptr;               ///< their gradient; the later layer writes it first
  detail::Slice<Index> lengths = {};         ///< of the sequences in the samples; empty: all samples are one sequence
  Activations<S>* memory = nullptr;          ///< the rows to which cross_attention() attends; null: none
  detail::Slice<Index> memory_lengths = {};  ///< of the sequences in the memory, one for each of `lengths`
  S* memory_gradient = nullptr;              ///< of the loss with respect to the memory; layers add to it
  Index position = 0;                        ///< of the first token of each sequence; above 0 only in a Decoder
  detail::DecodingState<S>* decoding = nullptr;  ///< of a Decoder: the keys and values of the tokens before; null: none
  detail::InputsOfLayer<S>* wanted = nullptr;    ///< the forward pass sets its rows; null: none
};

/// The arguments of a layer in a forward or backward pass.
///
/// The forward pass of a layer sets `out`. Its backward pass takes dy, the gradient of the loss with respect to `out`,
/// writes the gradient of the parameters to `gradient`, and returns the gradient with respect to `in`.
template <Real S>
struct Context {
  const S* parameters;        ///< of the layer
  S* gradient;                ///< of the loss with respect to the parameters; null: only the loss is computed
  Activations<S>&in, &out;    ///< inputs and outputs, one row for each sample
  Gradient<S> dy;             ///< backward pass: of the loss with respect to `out`
  bool needs_input_gradient;  ///< false: backward() may return {}
  bool accumulate;            ///< backward pass: add to `gradient`. Only true if State::runs_in_batches is true
  double* loss;               ///< backward pass: a layer with State::adds_to_loss adds its part of the loss
  NetworkValues<S> network;
  const detail::Session& session;
  bool training;       ///< false: inference, in which dropout does nothing
  std::uint64_t draw;  ///< number of the pass, which seeds random numbers

  /// Returns the inputs as a matrix of n x in.cols numbers.
  [[nodiscard]] detail::ConstRows<S> inputs() const { return in.rows(session); }
  /// Allocates the outputs, a matrix of n x cols numbers.
  [[nodiscard]] detail::Rows<S> make_outputs(Index cols) const { return {out.set_dense(in.n, cols), in.n, cols}; }
  /// Returns dy as a matrix of n x out.cols numbers.
  [[nodiscard]] detail::ConstRows<S> output_gradient() const {
    return {writable_output_gradient().data(), out.n, out.cols};
  }
  /// Returns dy as a matrix that backward() may overwrite and return.
  [[nodiscard]] detail::Rows<S> writable_output_gradient() const {
    return detail::to_dense(dy, out.n, out.cols, out.gradient_memory(), session);
  }
  /// Calls f(first, last) in parallel for ranges of samples.
  template <class F>
  void for_each_rows(F&& f) const {
    detail::for_each_rows(in.n, session, f);
  }

  /// Returns the number of sequences.
  [[nodiscard]] Index sequence_count() const { return network.lengths.empty() ? 1 : network.lengths.size(); }
  /// Calls f(first, last) for the samples of each sequence, one after another.
  template <class F>
  void for_each_sequence(F&& f) const {
    if (network.lengths.empty()) return f(Index{0}, in.n);
    Index first = 0;
    for (const Index length : network.lengths) first += length;
    detail::require(first == in.n, "network: a layer that reads sequences, such as attention, gets ", in.n,
                    " rows for the ", first, " tokens of the Batch; it must stand before the pooling of sequences");
    first = 0;
    for (const Index length : network.lengths) {
      f(first, first + length);
      first += length;
    }
  }

  /// Returns the context of a layer that is part of this one: its parameters begin at `offset`.
  [[nodiscard]] Context inside(Index offset, Activations<S>& from, Activations<S>& to) const {
    return {.parameters = parameters + offset,
            .gradient = gradient != nullptr ? gradient + offset : nullptr,
            .in = from,
            .out = to,
            .dy = dy,
            .needs_input_gradient = needs_input_gradient,
            .accumulate = accumulate,
            .loss = loss,
            .network = network,
            .session = session,
            .training = training,
            .draw = draw};
  }
};

}  // namespace filigree
