// SPDX-License-Identifier: MIT
#pragma once

#include <algorithm>
#include <cmath>
#include <string>

#include "filigree/core/check.hpp"
#include "filigree/core/generator.hpp"
#include "filigree/nn/stage_text.hpp"
#include "filigree/nn/state.hpp"

namespace filigree {

namespace detail {

template <Real S>
class LearnedPositionsState;
template <Real S>
class SinusoidalPositionsState;

/// Computes y = x + table(position), where position counts from the begin of each sequence.
template <Real S>
void add_positions(const Context<S>& context, const S* table) {
  const ConstRows<S> x = context.inputs();
  const Index cols = x.cols();
  table += context.network.position * cols;
  S* y = context.make_outputs(cols).data();
  context.for_each_sequence([&](Index start, Index end) {
    for_each_rows(end - start, context.session, [&](Index first, Index last) {
      const S* const from = x.data() + start * cols;
      for (Index e = first * cols; e < last * cols; ++e) y[start * cols + e] = from[e] + table[e];
    });
  });
}

}  // namespace detail

/// Learned positions. The parameters are the vectors of the positions, max x d.
template <Real S>
struct LearnedPositions {
  using Category = Layer;
  using Scalar = S;
  template <Real>
  using State = detail::LearnedPositionsState<S>;
  static constexpr bool reads_sequences = true;
  Index max, d;
  Index first = 0;  // the row of the first token of a sequence

  [[nodiscard]] Index inputs() const { return d; }
  // Describes the layer in a checkpoint.
  [[nodiscard]] std::string text() const {
    return detail::text_of(detail::type_name<LearnedPositions>(), "(", max, ", ", d,
                           first > 0 ? ", " + std::to_string(first) : "", ")");
  }
  [[nodiscard]] Index outputs(Index columns) const {
    detail::require(columns == d, "positions::learned(max, ", d, "): gets ", columns,
                    " columns from the stage before it, not ", d);
    return d;
  }
  [[nodiscard]] Index parameter_count() const { return max * d; }
  void check_decoding() const {}
  void initialize(S* parameters, Generator& generator) const {
    for (Index e = 0; e < max * d; ++e) parameters[e] = static_cast<S>(0.02 * generator.normal());
  }
};

/// Sinusoidal positions, which have no parameters.
template <Real S>
struct SinusoidalPositions {
  using Category = Layer;
  using Scalar = S;
  template <Real>
  using State = detail::SinusoidalPositionsState<S>;
  static constexpr bool reads_sequences = true;
  Index d;

  [[nodiscard]] Index inputs() const { return d; }
  [[nodiscard]] Index outputs(Index columns) const {
    detail::require(columns == d, "positions::sinusoidal(", d, "): gets ", columns,
                    " columns from the stage before it, not ", d);
    return d;
  }
  [[nodiscard]] Index parameter_count() const { return 0; }
  void check_decoding() const {}
  void initialize(S*, Generator&) const {}
};

/// Options of positions::learned().
struct learned_options {
  Index first = 0;  ///< the row of P for the first token of a sequence; 2 in RoBERTa
};

namespace positions {

/// Adds a learned vector for the position of each token in its sequence.
///
/// Formula    x_p + P_{first + p}; P starts with a standard deviation of 0.02
/// Shapes     x: N x d; parameters: max x d
/// Throws     Error if max or d is below 1, or first is not a row of P; in a pass, if a sequence has more than
///            max − first tokens
/// Reference  Gehring et al., arXiv:1705.03122, section 3.1
template <Real S = float>
LearnedPositions<S> learned(Index max, Index d, const learned_options& options = {}) {
  detail::require(max >= 1, "positions::learned(max, d): max must be at least 1, got ", max);
  detail::require(d >= 1, "positions::learned(max, d): d must be at least 1, got ", d);
  detail::require(options.first >= 0 && options.first < max, "positions::learned(max, d, {.first}): first must be ",
                  "from 0 to ", max - 1, ", got ", options.first);
  return {.max = max, .d = d, .first = options.first};
}

/// Adds sines and cosines of the position of each token in its sequence.
///
/// Formula    x_{p,2i} + sin(p / 10000^(2i/d)), x_{p,2i+1} + cos(p / 10000^(2i/d))
/// Shapes     x: N x d
/// Throws     Error if d is not even and at least 2
/// Reference  Vaswani et al., arXiv:1706.03762, section 3.5
template <Real S = float>
SinusoidalPositions<S> sinusoidal(Index d) {
  detail::require(d >= 2 && d % 2 == 0, "positions::sinusoidal(d): d must be even and at least 2, got ", d);
  return {.d = d};
}

}  // namespace positions

namespace detail {

template <Real S>
class LearnedPositionsState {
 public:
  void forward(const LearnedPositions<S>& layer, Context<S>& context) {
    context.for_each_sequence([&](Index first, Index last) {
      const Index count = context.network.position + last - first, positions = layer.max - layer.first;
      require(count <= positions, "positions::learned(", layer.max, ", ", layer.d, "): a sequence has ", count,
              " tokens, more than the ", positions, " positions");
    });
    add_positions(context, context.parameters + layer.first * layer.d);
  }
  Gradient<S> backward(const LearnedPositions<S>& layer, Context<S>& context) {
    S* const dy = context.writable_output_gradient().data();
    const Index d = layer.d;
    for_each_rows(layer.max, context.session, [&](Index first, Index last) {
      std::fill(context.gradient + first * d, context.gradient + last * d, S(0));
      context.for_each_sequence([&](Index start, Index end) {
        for (Index row = (std::max)(first, layer.first); row < (std::min)(last, layer.first + end - start); ++row)
          for (Index j = 0; j < d; ++j) context.gradient[row * d + j] += dy[(start + row - layer.first) * d + j];
      });
    });
    return {.dense = dy};
  }
};

template <Real S>
class SinusoidalPositionsState {
 public:
  void forward(const SinusoidalPositions<S>& layer, Context<S>& context) {
    Index longest = 0;
    context.for_each_sequence([&](Index first, Index last) { longest = (std::max)(longest, last - first); });
    longest += context.network.position;
    if (longest > length_) {
      longest = (std::max)(longest, 2 * length_);  // a Decoder adds positions one by one
      table_ = memory_.get<S>(longest * layer.d);
      length_ = longest;
      for_each_rows(longest, context.session, [&](Index first, Index last) {
        for (Index p = first; p < last; ++p)
          for (Index i = 0; i < layer.d; i += 2) {
            const double exponent = static_cast<double>(i) / static_cast<double>(layer.d);
            const double angle = static_cast<double>(p) / std::pow(10000.0, exponent);
            table_[p * layer.d + i] = static_cast<S>(std::sin(angle));
            table_[p * layer.d + i + 1] = static_cast<S>(std::cos(angle));
          }
      });
    }
    add_positions(context, static_cast<const S*>(table_));
  }
  Gradient<S> backward(const SinusoidalPositions<S>&, Context<S>& context) {
    return {.dense = context.writable_output_gradient().data()};
  }

 private:
  Buffer memory_;
  S* table_ = nullptr;
  Index length_ = 0;
};

}  // namespace detail
}  // namespace filigree
