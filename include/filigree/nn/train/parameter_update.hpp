// SPDX-License-Identifier: MIT
#pragma once

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <limits>
#include <type_traits>

#include "filigree/core/integers.hpp"
#include "filigree/core/list.hpp"
#include "filigree/nn/layer/constraints.hpp"
#include "filigree/nn/optimizer/optimizer.hpp"
#include "filigree/nn/state.hpp"
#include "filigree/run/workspace.hpp"

namespace filigree::detail {

/// Returns the Euclidean norm. It is scaled by the largest entry, so that no square overflows.
template <class V>
double norm_of(const V& x) {
  double largest = 0, sum = 0;
  for (Index i = 0; i < x.size(); ++i) largest = (std::max)(largest, std::abs(static_cast<double>(x[i])));
  for (Index i = 0; i < x.size() && largest > 0; ++i) {
    const double ratio = static_cast<double>(x[i]) / largest;
    sum += ratio * ratio;
  }
  return largest * std::sqrt(sum);
}

/// A layer whose weights, in x out, have constraints. Its rows can be projected in parallel.
template <class T>
concept ConstrainedLayer = requires(const T& layer) {
  layer.constraints.any();
  layer.in + layer.out;
};
/// A layer that changes its parameters or their gradient around a step, by functions of its own.
template <class T, class S>
concept ChangesStep = !ConstrainedLayer<T> && (
                                                  requires(const T& layer, S* p) { layer.project_gradient(p, p); } ||
                                                  requires(const T& layer, S* p) { layer.begin_step(p, p); } ||
                                                  requires(const T& layer, S* p) { layer.end_step(p); } ||
                                                  requires(const T& layer, S* p) { layer.project_weights(p); });

/// The steps of an optimizer on the parameters of a network.
///
/// The parameters are divided into parts that fit into the second-level cache, which threads process. A step passes
/// over the gradient to check that it is finite, and then over all numbers to update them. Before the update, bounds
/// show that no parameter can overflow. If they do not, or if a layer changes its parameters by functions of its own,
/// the parameters are copied first, and restored if the step fails. Sums run in an order that does not depend on the
/// number of threads.
template <class Net, class Opt>
class ParameterUpdate {
  using S = typename Net::Scalar;
  using Vector = typename Net::Vector;
  static constexpr bool is_elementwise = requires { requires Opt::is_elementwise; };
  static constexpr bool has_bound = is_elementwise && requires(const Opt& optimizer, double* moments) {
    optimizer.template bound_step<S>(1.0, 1.0, moments, Index{1}, 1.0);
  };

 public:
  ParameterUpdate(Net& net, const Opt& optimizer, ExecutorRef executor)
      : net_(net), optimizer_(optimizer), executor_(executor), moment_bounds_(moments_of(optimizer), 0.0) {
    list_parts();
  }

  /// Checks the loss and the gradient of a step, and projects the gradient of constrained weights.
  ///
  /// Throws  Error if the loss or the gradient is not finite
  void check(double loss, Vector& gradient, Index step, double clip) {
    const Session session(Execution{executor_, &workspace_});
    session.run(parts_.size(), [&](Index p, Index) { check_part(p, gradient.data(), std::isfinite(clip)); });
    std::size_t stage = Net::depth;
    for (Index p = 0; p < parts_.size(); ++p)
      if (!measures_[p].is_finite) stage = (std::min)(stage, parts_[p].stage);
    require(stage == Net::depth, "fit: the gradient of stage ", stage, " is not finite in step ", step,
            "; the parameters are as they were before it");
    require(std::isfinite(loss), "fit: the loss is not finite in step ", step,
            "; the parameters are as they were before it");
  }

  /// Updates the parameters by a gradient that check() has accepted. The schedule's factor multiplies the rate.
  ///
  /// Throws  Error if a parameter would not be finite; the parameters are then unchanged
  void run(Vector& gradient, Vector& moments, Index step, double factor, double clip) {
    const Session session(Execution{executor_, &workspace_});
    // The parts [0, copied) are copied, because their step may fail.
    const Index copied = is_bounded(step, factor, session) ? changing_ : parts_.size();
    if (copied > 0) backup_.get<S>(net_.parameters().size());
    session.run(copied, [&](Index p, Index) { copy(p, net_.parameters().data(), backup_.get<S>(0)); });
    begin_step(gradient, std::isfinite(clip));
    const double norm = std::isfinite(clip) ? norm_of_gradient(gradient) : 0;
    const Step now = {gradient.data(), moments.data(), step,
                      factor,          norm > clip,    static_cast<S>(norm > clip ? clip / norm : 1.0)};
    update(0, copied, now, session);
    end_step(gradient);
    if (!(largest_value(0, copied, session) <= (std::numeric_limits<double>::max)())) {
      session.run(copied, [&](Index p, Index) { copy(p, backup_.get<S>(0), net_.parameters().data()); });
      fail("fit: the parameters would not be finite after step ", step,
           "; the rate may be too large. They are as they were before it");
    }
    update(copied, parts_.size(), now, session);
  }

  /// Discards the bound of the parameters and the parts, after other code may have changed the parameters or the
  /// constraints of layers.
  void forget_parameters() {
    values_bound_ = unknown;
    list_parts();
  }
  /// Bounds moments that were not computed by run().
  void set_moments(const Vector& moments) {
    const auto bound = static_cast<double>(kernel::kernels<S>().magnitude_bound(moments.data(), moments.size()));
    std::fill(moment_bounds_.begin(), moment_bounds_.end(), bound);
  }

 private:
  /// Consecutive parameters of one layer, either weights or biases. Of constrained weights, whole rows.
  struct Part {
    Index begin, end;
    Index first, count;  // all weights or all biases of the layer: their moments are stored together
    std::size_t stage;
    bool weights;
    const Constraints* constraints;  // null: none
    Index cols;                      // of constrained weights; the first row begins at `first`
  };
  /// What check() finds out about the gradient of a part.
  struct Measure {
    bool is_finite;
    double bound, squares;  // of the magnitudes, and the sum of the squares
  };
  struct Step {
    S* gradient;
    S* moments;
    Index number;
    double factor;
    bool clipped;
    S scale;  // of the gradient, if it is clipped
  };

  static constexpr Index part_size = 8192;
  static constexpr double unknown = -1;
  static constexpr double limit = static_cast<double>((std::numeric_limits<S>::max)()) / 4;

  void list_parts() {
    parts_.clear();
    add_parts(true);
    changing_ = parts_.size();
    add_parts(false);
    measures_.resize(parts_.size());
    part_bounds_.resize(parts_.size());
  }
  /// Lists the parts of the layers that change their parameters by functions of their own, or of all others.
  void add_parts(bool changing) {
    net_.each_layer([&](const auto& layer, std::size_t l, Index offset) {
      using T = std::remove_cvref_t<decltype(layer)>;
      if (changing != ChangesStep<T, S>) return;
      const Index weights = weight_count(layer), end = offset + layer.parameter_count();
      Index constrained = 0;
      if constexpr (ConstrainedLayer<T>) {
        if (layer.constraints.any()) {
          constrained = layer.in * layer.out;
          add_parts(offset, offset + constrained, std::max<Index>(part_size / layer.out, 1) * layer.out,
                    {0, 0, offset, weights, l, true, &layer.constraints, layer.out});
        }
      }
      add_parts(offset + constrained, offset + weights, part_size, {0, 0, offset, weights, l, true, nullptr, 0});
      if constexpr (requires { layer.has_bias; })
        if (!layer.has_bias) return;  // they remain 0
      const Index biases = offset + weights;
      add_parts(biases, end, part_size, {0, 0, biases, end - biases, l, false, nullptr, 0});
    });
  }
  void add_parts(Index begin, Index end, Index size, Part part) {
    for (Index at = begin; at < end; at += size) {
      part.begin = at;
      part.end = (std::min)(at + size, end);
      max_size_ = (std::max)(max_size_, part.end - at);
      parts_.push_back(part);
    }
  }

  void check_part(Index p, S* all, bool needs_squares) {
    const Part& part = parts_[p];
    S* const gradient = all + part.begin;
    const Index count = part.end - part.begin;
    const auto& kernels = kernel::kernels<S>();
    Measure& measure = measures_[p];
    const S bound = kernels.magnitude_bound(gradient, count);
    measure = {std::isfinite(bound), static_cast<double>(bound), 0};
    if (!measure.is_finite) return;
    if (part.constraints != nullptr) {
      const auto [first, last] = rows_of(part);
      part.constraints->project_gradient(net_.parameters().data() + part.first, all + part.first, first, last,
                                         part.cols);
      measure.bound = static_cast<double>(kernels.magnitude_bound(gradient, count));
    }
    if (needs_squares) measure.squares = kernels.sum_squares(gradient, count);
  }
  struct RowRange {
    Index first, last;
  };
  static RowRange rows_of(const Part& part) {
    return {(part.begin - part.first) / part.cols, (part.end - part.first) / part.cols};
  }

  /// Returns true if the step cannot overflow in the parts from changing_ on. Updates the bounds.
  bool is_bounded(Index step, double factor, const Session& session) {
    if constexpr (has_bound) {
      if (!(values_bound_ >= 0)) values_bound_ = largest_value(changing_, parts_.size(), session);
      double gradient = 0;
      for (Index p = changing_; p < parts_.size(); ++p) gradient = larger(gradient, measures_[p].bound);
      values_bound_ = optimizer_.template bound_step<S>(values_bound_, gradient, moment_bounds_.data(), step, factor);
      if (values_bound_ < limit) return true;
      values_bound_ = unknown;
    }
    return false;
  }
  /// Returns a bound of the magnitudes of the parameters in parts [first, last); infinity if one is not finite.
  double largest_value(Index first, Index last, const Session& session) {
    session.run(last - first, [&](Index p, Index) {
      const Part& part = parts_[first + p];
      part_bounds_[first + p] = static_cast<double>(
          kernel::kernels<S>().magnitude_bound(net_.parameters().data() + part.begin, part.end - part.begin));
    });
    double bound = 0;
    for (Index p = first; p < last; ++p) bound = larger(bound, part_bounds_[p]);
    return bound;
  }
  /// Returns the larger bound; infinity for NaN.
  static double larger(double a, double b) {
    return std::isnan(b) ? std::numeric_limits<double>::infinity() : (std::max)(a, b);
  }

  void copy(Index p, const S* from, S* to) const {
    const Part& part = parts_[p];
    std::copy(from + part.begin, from + part.end, to + part.begin);
  }

  /// Calls f(layer, parameters, gradient) for each layer that changes its parameters by functions of its own.
  template <class F>
  void each_changing(S* gradient, F&& f) {
    net_.each_layer([&](const auto& layer, std::size_t, Index offset) {
      if constexpr (ChangesStep<std::remove_cvref_t<decltype(layer)>, S>)
        f(layer, net_.parameters().data() + offset, gradient + offset);
    });
  }
  void begin_step(Vector& gradient, bool needs_squares) {
    each_changing(gradient.data(), [](const auto& layer, S* parameters, S* of_layer) {
      if constexpr (requires { layer.project_gradient(parameters, of_layer); })
        layer.project_gradient(parameters, of_layer);
      if constexpr (requires { layer.begin_step(parameters, of_layer); }) layer.begin_step(parameters, of_layer);
    });
    for (Index p = 0; needs_squares && p < changing_; ++p)
      measures_[p].squares =
          kernel::kernels<S>().sum_squares(gradient.data() + parts_[p].begin, parts_[p].end - parts_[p].begin);
  }
  void end_step(Vector& gradient) {
    each_changing(gradient.data(), [](const auto& layer, S* parameters, S*) {
      if constexpr (requires { layer.end_step(parameters); }) layer.end_step(parameters);
      if constexpr (requires { layer.project_weights(parameters); }) layer.project_weights(parameters);
    });
  }
  double norm_of_gradient(const Vector& gradient) const {
    constexpr double smallest = 1e-280, largest = 1e300;  // between them, no square was rounded to 0 or infinity
    double sum = 0;
    for (const Measure& measure : measures_) sum += measure.squares;
    return sum > smallest && sum < largest ? std::sqrt(sum) : norm_of(gradient);
  }

  /// Updates parts [first, last).
  void update(Index first, Index last, const Step& step, const Session& session) {
    if constexpr (is_elementwise) {
      for (Index worker = 0; worker < session.concurrency(); ++worker)  // any worker may run a task
        (void)ScratchFrame(session.scratch(worker)).take<S>(step.clipped ? max_size_ : 0);
    } else {
      update_whole(first, last, step, session);
    }
    session.run(last - first, [&](Index p, Index worker) {
      const Part& part = parts_[first + p];
      if constexpr (is_elementwise) {
        ScratchFrame frame(session.scratch(worker));
        const S* gradient = step.gradient + part.begin;
        const Index count = part.end - part.begin;
        if (step.clipped) {
          S* const scaled = frame.take<S>(max_size_);
          kernel::kernels<S>().multiply_all(scaled, gradient, step.scale, count);
          gradient = scaled;
        }
        call_optimizer(part, part.begin, count, gradient, step);
      }
      if (part.constraints != nullptr) {
        const auto [first_row, last_row] = rows_of(part);
        part.constraints->project_weights(net_.parameters().data() + part.first, first_row, last_row, part.cols);
      }
    });
  }
  /// Calls the optimizer for all weights or biases of a layer at once, those that begin in parts [first, last).
  void update_whole(Index first, Index last, const Step& step, const Session& session) {
    if (step.clipped)
      session.run(last - first, [&](Index p, Index) {
        const Part& part = parts_[first + p];
        S* const gradient = step.gradient + part.begin;
        kernel::kernels<S>().multiply_all(gradient, gradient, step.scale, part.end - part.begin);
      });
    for (Index p = first; p < last; ++p)
      if (const Part& part = parts_[p]; part.begin == part.first)
        call_optimizer(part, part.first, part.count, step.gradient + part.first, step);
  }
  void call_optimizer(const Part& part, Index begin, Index count, const S* gradient, const Step& step) const {
    const Index moments = moment_bounds_.size();
    S* const first_moment = moments > 0 ? step.moments + moments * part.first + (begin - part.first) : nullptr;
    const Parameters<S> parameters = {.values = net_.parameters().data() + begin,
                                      .gradient = gradient,
                                      .moments = first_moment,
                                      .count = count,
                                      .weights = part.weights,
                                      .stride = part.count};
    optimizer_.step(parameters, step.number, step.factor);
  }

  Net& net_;
  const Opt& optimizer_;
  ExecutorRef executor_;
  Workspace workspace_;
  List<Part> parts_;
  Index changing_ = 0, max_size_ = 0;  // number of parts whose layers change their parameters; largest size of a part
  List<Measure> measures_;
  List<double> part_bounds_, moment_bounds_;
  double values_bound_ = unknown;  // of the parts from changing_ on
  Buffer backup_;
};

}  // namespace filigree::detail
