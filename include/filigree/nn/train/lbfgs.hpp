// SPDX-License-Identifier: MIT
#pragma once

// Requires LBFGSpp 0.1.0 or later (liblbfgspp-dev in Debian). filigree.hpp therefore does not include this header.

#include <LBFGS.h>

#include <algorithm>
#include <cstddef>
#include <exception>
#include <functional>
#include <limits>
#include <new>
#include <string>

#include "filigree/nn/train/fit.hpp"

namespace filigree {

/// The optimizer L-BFGS with a line search for the strong Wolfe conditions. It uses all samples in every evaluation:
/// fit(net, X, loss, lbfgs{}).
///
/// Reference  Nocedal and Wright, "Numerical Optimization", algorithm 7.5
struct lbfgs {
  Index iterations = 400;   ///< largest number of iterations
  Index history = 10;       ///< stored pairs of a step and a change of the gradient
  double tolerance = 1e-9;  ///< stops if the norm of the gradient is below tolerance · max(1, norm of the parameters)
  bool progress = true;     ///< shows a progress line if standard error is a terminal
  std::function<bool(const EpochReport&)> after_evaluation = {};  ///< returns false to stop
  ExecutorRef executor = {};                                      ///< threads that compute; results do not depend on it
};

namespace detail {

/// Throws an Error if the loss or the gradient of a step is not finite.
template <class Net, class Vector>
void require_finite_step(const Net& net, double loss, const Vector& gradient, Index step) {
  net.each_layer([&](const auto& layer, std::size_t l, Index offset) {
    require(gradient.segment(offset, layer.parameter_count()).allFinite(), "fit: the gradient of stage ", l,
            " is not finite in step ", step, "; the parameters are as they were before it");
  });
  require(std::isfinite(loss), "fit: the loss is not finite in step ", step,
          "; the parameters are as they were before it");
}

/// The loss and its gradient as a function object of LBFGSpp. It keeps the best parameters so far, and its destructor
/// assigns them to the network.
template <class Net, class X, class Y, class Objective>
class Evaluations {
 public:
  using S = typename Net::Scalar;
  using Vector = typename Net::Vector;
  struct Stop {};

  Evaluations(Net& net, const X& x, const Y& y, const Objective& objective, const lbfgs& options)
      : net_(net),
        x_{x, nullptr, x.rows()},
        y_{y, nullptr, y.rows()},
        objective_(objective),
        options_(options),
        pass_(net, options.executor) {
    best_ = net.parameters();
    const double loss = pass_.gradient(net, x_, y_, objective, gradient_);
    require_finite_step(net, loss, gradient_, 1);
  }
  ~Evaluations() { net_.parameters() = best_; }
  Evaluations(const Evaluations&) = delete;
  Evaluations& operator=(const Evaluations&) = delete;

  /// Stores an exception and throws Stop, so that it is not mistaken for a failure of the line search.
  S operator()(const Vector& parameters, Vector& gradient) {
    try {
      return evaluate(parameters, gradient);
    } catch (const Stop&) {
      throw;
    } catch (...) {
      thrown = std::current_exception();
      throw Stop();
    }
  }

  FitReport report;
  std::exception_ptr thrown = nullptr;

 private:
  S evaluate(const Vector& parameters, Vector& gradient) {
    net_.parameters() = parameters;
    const double loss = pass_.gradient(net_, x_, y_, objective_, gradient);
    if (loss < best_loss_ && gradient.allFinite()) {
      best_loss_ = loss;
      best_ = parameters;
    }
    report.losses.push_back(loss);
    const auto number = static_cast<Index>(report.losses.size());
    progress_.show("evaluation", number, options_.iterations, loss);
    if (options_.after_evaluation && !options_.after_evaluation({.epoch = number, .loss = loss})) throw Stop();
    return static_cast<S>(loss);
  }

  Net& net_;
  const SelectedRows<X> x_;  // all rows
  const SelectedRows<Y> y_;
  const Objective& objective_;
  const lbfgs& options_;
  Pass<Net> pass_;
  Vector gradient_, best_;
  double best_loss_ = std::numeric_limits<double>::infinity();
  Progress progress_{options_.progress};
};

/// Trains a network by L-BFGS, with samples as samples_of() returns them.
template <class Net, class X, class Y, class Objective>
FitReport fit_by_lbfgs(Net& net, const X& x, const Y& y, const Objective& objective, const lbfgs& options) {
  using S = typename Net::Scalar;
  require(options.iterations >= 0, "fit: lbfgs: iterations must be at least 0, got ", options.iterations);
  require(options.history >= 1, "fit: lbfgs: history must be at least 1, got ", options.history);
  require(options.tolerance >= 0, "fit: lbfgs: tolerance must be at least 0, got ", options.tolerance);
  net.each_layer([](const auto& layer, std::size_t l, Index) {
    if constexpr (requires { layer.constraints; })
      require(!layer.constraints.any(), "fit: lbfgs: stage ", l,
              " has constraints, which L-BFGS does not support; use another optimizer");
  });
  require_samples(net, x, y);
  if (options.iterations == 0) return {};  // LBFGSpp takes 0 as no limit

  Evaluations<Net, X, Y, Objective> evaluations(net, x, y, objective, options);
  LBFGSpp::LBFGSParam<S> parameters;
  parameters.m = static_cast<int>((std::min)(options.history, Index{1} << 20));
  parameters.epsilon = static_cast<S>(options.tolerance);
  parameters.epsilon_rel = static_cast<S>(options.tolerance);
  parameters.max_iterations = static_cast<int>((std::min)(options.iterations, Index{1} << 30));
  parameters.linesearch = LBFGSpp::LBFGS_LINESEARCH_BACKTRACKING_STRONG_WOLFE;
  parameters.max_linesearch = 60;
  LBFGSpp::LBFGSSolver<S> solver(parameters);
  typename Net::Vector best = net.parameters();
  S loss = 0;
  try {
    evaluations.report.steps = solver.minimize(evaluations, best, loss);
  } catch (const typename decltype(evaluations)::Stop&) {
    if (evaluations.thrown != nullptr) std::rethrow_exception(evaluations.thrown);
    evaluations.report.note = "stopped by after_evaluation";
  } catch (const std::bad_alloc&) {
    throw;
  } catch (const std::exception& failure) {  // of the line search; shapes and options are valid
    evaluations.report.note =
        std::string("the line search failed, and the best parameters so far are kept: ") + failure.what();
  }
  return std::move(evaluations.report);
}

}  // namespace detail

/// Trains a network by L-BFGS over all samples.
///
/// If the line search fails, the network keeps the best parameters so far, and the report has a note.
/// Shapes  X: N x inputs, Y: N x outputs
/// Throws  Error if a shape or an option does not fit, or a sample, the first loss or the first gradient is not finite;
///         the network is then unchanged
template <class Net, DenseExpression X, DenseExpression Y, Term Objective>
FitReport fit(Net& net, const X& samples, const Y& targets, const Objective& objective, const lbfgs& options) {
  const auto& x = detail::samples_of<Net>(samples);
  const auto& y = detail::samples_of<Net>(targets);
  return detail::fit_by_lbfgs(net, x, y, objective, options);
}

/// Trains a network by L-BFGS with the samples as targets, as for autoencoders.
template <class Net, DenseExpression X, Term Objective>
FitReport fit(Net& net, const X& samples, const Objective& objective, const lbfgs& options) {
  const auto& x = detail::samples_of<Net>(samples);
  return detail::fit_by_lbfgs(net, x, x, objective, options);
}

}  // namespace filigree
