// SPDX-License-Identifier: MIT
// Layers of networks with the parameters of modules, and their outputs and gradients compared with those of the modules
// (see references/layers.py).
#pragma once

#include <filigree/nn/nn.hpp>
#include <initializer_list>
#include <string>
#include <utility>
#include <vector>

#include "catch.hpp"
#include "parity/fixture.hpp"

namespace parity {

/// Consecutive parameters of a network: arrays of a module, or zeros that the module does not have.
struct Part {
  std::vector<std::string> names;  ///< weights (out, in), stacked, if transposed; else arrays as they are
  bool transposed = false;
  Index zeros = 0;
};
using Parts = std::vector<Part>;

/// The linear layers of a module with the same inputs, as one.
inline Parts linear(const std::vector<std::string>& names) {
  Part weights{.names = {}, .transposed = true}, biases;
  for (const std::string& name : names) {
    weights.names.push_back(name + "_weight");
    biases.names.push_back(name + "_bias");
  }
  return {weights, biases};
}
/// The same for linear layers without biases. The network has `out` of them.
inline Parts linear_without_bias(const std::vector<std::string>& names, Index out) {
  return {linear(names)[0], {.names = {}, .zeros = out}};
}
/// The weights and biases of a norm, or of a linear layer with weights (in, out).
inline Parts as_stored(const std::string& name) { return {{.names = {name + "_weight"}}, {.names = {name + "_bias"}}}; }

inline Parts join(std::initializer_list<Parts> all) {
  Parts joined;
  for (const Parts& parts : all) joined.insert(joined.end(), parts.begin(), parts.end());
  return joined;
}

/// Returns the numbers of a part, or those of its gradient if prefix is "d_".
template <class S>
Vector<S> read(const Part& part, const Fixture& from, const std::string& prefix = "") {
  std::vector<S> values(static_cast<std::size_t>(part.zeros), S(0));
  if (!part.transposed) {
    for (const std::string& name : part.names) {
      const std::vector<S> array = from.array<S>(prefix + name).values;
      values.insert(values.end(), array.begin(), array.end());
    }
    return Eigen::Map<const Vector<S>>(values.data(), static_cast<Index>(values.size()));
  }
  Matrix<S> columns;
  for (const std::string& name : part.names) {
    const Matrix<S> weights = from.matrix<S>(prefix + name);
    const Index before = columns.cols();
    columns.conservativeResize(weights.cols(), before + weights.rows());
    columns.rightCols(weights.rows()) = weights.transpose();
  }
  return columns.template reshaped<Eigen::RowMajor>();
}

/// Compares layers with a module: the outputs of all sequences as one batch and of each alone, and the gradients by
/// tokens and parameters. `inputs` has the tokens, `parameters` those of the module, `results` its results.
template <class S, class Layers>
void layers_agree(const Layers& layers, const Parts& parts, const Fixture& inputs, const Fixture& parameters,
                  const Fixture& results) {
  namespace fg = filigree;
  const Matrix<S> tokens = inputs.matrix<S>("tokens"), target = inputs.matrix<S>("target");
  const std::vector<Index> lengths = inputs.integers("lengths");
  const Index n = tokens.rows(), d = tokens.cols();

  // The first layer is the identity. The gradient of its weights is tokens' times the gradient of the tokens.
  auto net = fg::network(fg::linear<S>(d, d) | layers);
  net.parameters().setZero();
  net.template weights<0>().setIdentity();
  Index at = d * d + d;
  for (const Part& part : parts) {
    const Vector<S> values = read<S>(part, parameters);
    REQUIRE(at + values.size() <= net.parameters().size());
    net.parameters().segment(at, values.size()) = values;
    at += values.size();
  }
  REQUIRE(at == net.parameters().size());

  const fg::Batch batch{tokens, lengths};
  const Matrix<double> output = results.matrix<double>("output");
  CHECK(deviation(net(batch), output) <= tolerance<S>);
  fg::Pass pass(net);
  Vector<S> gradient, alone, sum = Vector<S>::Zero(at);
  pass.gradient(net, batch, target, fg::squared_error(), gradient);
  Index first = 0;
  for (const Index length : lengths) {
    const Matrix<S> sequence = tokens.middleRows(first, length), wanted = target.middleRows(first, length);
    CHECK(deviation(net(sequence), output.middleRows(first, length)) <= tolerance<S>);
    pass.gradient(net, sequence, wanted, fg::squared_error(), alone);
    sum += alone * (static_cast<S>(length) / static_cast<S>(n));
    first += length;
  }
  CHECK(deviation(sum, gradient) <= tolerance<S>);

  const Matrix<double> d_tokens = results.matrix<double>("d_tokens"),
                       by_identity = tokens.template cast<double>().transpose() * d_tokens;
  CHECK(deviation(Eigen::Map<const Matrix<S>>(gradient.data(), d, d), by_identity) <= tolerance<S>);
  CHECK(deviation(gradient.segment(d * d, d), d_tokens.colwise().sum().transpose()) <= tolerance<S>);
  at = d * d + d;
  for (const Part& part : parts) {
    if (part.zeros == 0) {
      CAPTURE(part.names);
      const Vector<double> expected = read<double>(part, results, "d_");
      CHECK(deviation(gradient.segment(at, expected.size()), expected) <= tolerance<S>);
      at += expected.size();
    }
    at += part.zeros;
  }
}

}  // namespace parity
