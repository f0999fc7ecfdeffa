// SPDX-License-Identifier: MIT
#pragma once

#include "filigree/nn/context.hpp"
#include "filigree/stage/stage.hpp"

namespace filigree {

// A layer of a network is a struct with these members:
//
//   using Category = Layer;
//   Index outputs(Index width) const           returns the number of its output columns for inputs of `width` columns,
//                                              or throws an Error
//   Index parameter_count() const
//   void initialize(S* parameters, Generator&) const
//   template <Real S> struct State             the data of a forward pass that the backward pass needs:
//     void forward(const L&, Context<S>&)        sets context.out
//     Gradient<S> backward(const L&, Context<S>&)   returns the gradient with respect to context.in, and writes the
//                                              gradient of the parameters to context.gradient
//
// A State is kept between passes, so its memory is reused. It may also have these constants:
//
//   static constexpr bool adds_to_loss = true  the layer adds to the loss: backward() is called even if no gradient is
//                                              computed, and adds to *context.loss
//   static constexpr bool runs_in_batches = true   each output depends on one sample only, backward() honors
//                                              context.accumulate, and gradients are dense for dense inputs. At the end
//                                              of a network, the layer then runs in batches that fit into the cache
//
// A layer may also have these members:
//
//   using Scalar = S                           the scalar of the network
//   Index inputs() const                       the number of its input columns; -1: any
//   Index weight_count() const                 the first parameters are weights, to which weight decay applies; the
//                                              others are biases. Without this member all parameters are weights
//   void check_network(const Net&) const       throws an Error if the layer does not fit the network
//   bool reads_network_input() const           returns true if the layer reads context.network.input
//   static constexpr bool reads_sequences = true   outputs depend on the other samples of a sequence or their order
//   static constexpr bool pools_sequences = true   outputs have one row for each sequence
//   Index sequence_count(Index of_batch) const the number of its output rows, if it pools sequences
//   static constexpr bool is_table, reads_table = true   the layer holds a table of vectors at the beginning of its
//                                              parameters, or reads context.network.table
//   project_gradient, begin_step, end_step, project_weights, satisfies_constraints, needs_samples and
//   initialize_from_samples                    are called by fit, see Linear and JumpRelu

namespace detail {

/// The state of a stage in a network. Any stage with a derivative can be a layer: it is a State by its category.
template <class T, Real S>
class State {
  static_assert((require_derivative<T, S>(), true));
  static_assert(!sizeof(T), "filigree: network(stages): this stage has no derivative and cannot be a layer");
};

/// A layer with a State of its own.
template <class T, Real S>
  requires LayerStage<T> && requires { typename T::template State<S>; }
class State<T, S> : public T::template State<S> {};

template <class State>
inline constexpr bool adds_to_loss = requires {
  requires State::adds_to_loss;
};
template <class State>
inline constexpr bool runs_in_batches = requires {
  requires State::runs_in_batches;
};

// The members of stages that may be missing.

template <class T>
Index parameter_count(const T& stage) {
  if constexpr (LayerStage<T>)
    return stage.parameter_count();
  else
    return 0;
}
template <class T>
Index weight_count(const T& layer) {
  if constexpr (requires { layer.weight_count(); })
    return layer.weight_count();
  else
    return layer.parameter_count();
}
/// Returns the number of input columns of a stage; -1 if it takes any number.
template <class T>
Index inputs_of(const T& stage) {
  if constexpr (requires { stage.inputs(); })
    return stage.inputs();
  else
    return -1;
}
template <class T>
Index outputs_of(const T& stage, Index width) {
  if constexpr (LayerStage<T>)
    return stage.outputs(width);
  else
    return width;
}
template <class T>
bool reads_network_input(const T& stage) {
  if constexpr (requires { stage.reads_network_input(); })
    return stage.reads_network_input();
  else
    return false;
}

/// Calls f(layer, offset) for a layer, or for the layers of which it consists. `offset` is that of its parameters.
template <class T, class F>
void each_layer(T& stage, Index offset, F&& f) {
  if constexpr (requires { stage.each_layer(offset, f); })
    stage.each_layer(offset, f);
  else if constexpr (LayerStage<T>)
    f(stage, offset);
}

/// Returns true if the outputs of a stage have one row for each sequence.
template <class T>
bool pools_sequences(const T& stage) {
  bool pools = false;
  each_layer(stage, 0, [&](const auto& layer, Index) {
    pools = pools || requires { layer.pools_sequences; };
  });
  return pools;
}

/// True if the outputs of a layer are an affine function of its inputs: weights W, in x out, then biases.
template <class T>
inline constexpr bool is_affine = requires {
  requires T::is_affine;
};

}  // namespace detail
}  // namespace filigree
