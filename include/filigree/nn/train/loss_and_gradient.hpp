// SPDX-License-Identifier: MIT
#pragma once

#include "filigree/nn/pass.hpp"

namespace filigree {

/// The loss of a network and its gradient with respect to the parameters, in the order of parameters().
template <Real S>
struct LossAndGradient {
  double loss;
  Eigen::Matrix<S, Eigen::Dynamic, 1> gradient;
};

/// Returns the loss of samples X for targets Y, and its gradient:
/// auto [loss, gradient] = loss_and_gradient(net, X, Y, squared_error()).
///
/// A Pass returns the same bits, and keeps its memory for the next call. Dropout drops the entries of draw 0.
/// Shapes  X: N x inputs, Y: N x outputs, each dense or sparse
/// Throws  Error if a shape does not fit
template <class Net, Samples X, Samples Y, Term Objective>
LossAndGradient<typename Net::Scalar> loss_and_gradient(const Net& net, const X& samples, const Y& targets,
                                                        const Objective& objective) {
  LossAndGradient<typename Net::Scalar> result;
  result.loss = Pass(net).gradient(net, samples, targets, objective, result.gradient);
  return result;
}

/// Returns the loss of an autoencoder, whose targets are the samples, and its gradient.
template <class Net, Samples X, Term Objective>
LossAndGradient<typename Net::Scalar> loss_and_gradient(const Net& net, const X& samples, const Objective& objective) {
  return loss_and_gradient(net, samples, samples, objective);
}

}  // namespace filigree
