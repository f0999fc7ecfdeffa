// SPDX-License-Identifier: MIT
#pragma once

// Needs LBFGSpp, 0.1.0 or later (liblbfgspp-dev in Debian), so filigree.hpp does not include this header.

#include <LBFGS.h>

#include <cmath>
#include <exception>
#include <functional>
#include <limits>
#include <new>
#include <string>

#include "filigree/nn/fit.hpp"

namespace filigree {

/// The optimizer L-BFGS with a line search for the strong Wolfe conditions, over all samples at once: fit(net, X, loss,
/// lbfgs{}).
///
/// Reference  Nocedal and Wright, "Numerical Optimization", algorithm 7.5
struct lbfgs {
  Index iterations = 400;   ///< at most
  Index history = 10;       ///< pairs of steps and changes of the gradient that are kept
  double tolerance = 1e-9;  ///< stops where the gradient's norm falls below this much of the parameters' norm, or of 1
  bool progress = true;     ///< a line on the terminal, if standard error is one
  std::function<bool(const EpochReport&)> after_evaluation = {};  ///< returns whether to go on
  ExecutorRef executor = {};                                      ///< whose threads compute; no bit depends on it
};

namespace detail {

/// Loss and gradient as LBFGSpp asks for them, and the best parameters that it has asked for.
template <class Net, class Matrix, class Objective>
class Evaluations {
 public:
  using S = typename Net::Scalar;
  using Vector = typename Net::Vector;
  struct Stop {};

  Evaluations(Net& net, const Matrix& x, const Matrix& y, const Objective& objective, const lbfgs& options)
      : net_(net), x_(x), y_(y), objective_(objective), options_(options), pass_(net, options.executor) {
    best_ = net.parameters();
    const double loss = pass_.gradient(net, x, y, objective, gradient_);
    require_finite_step(net, loss, gradient_, 1);
  }
  ~Evaluations() { net_.parameters() = best_; }
  Evaluations(const Evaluations&) = delete;
  Evaluations& operator=(const Evaluations&) = delete;

  /// What is thrown here is not for LBFGSpp, nor to be taken for a failure of its line search.
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
    if (loss < least_ && gradient.allFinite()) {
      least_ = loss;
      best_ = parameters;
    }
    report.losses.push_back(loss);
    const auto number = static_cast<Index>(report.losses.size());
    progress_.show("evaluation", number, options_.iterations, loss);
    if (options_.after_evaluation && !options_.after_evaluation({.epoch = number, .loss = loss})) throw Stop();
    return static_cast<S>(loss);
  }

  Net& net_;
  const Matrix &x_, &y_;
  const Objective& objective_;
  const lbfgs& options_;
  Pass<Net> pass_;
  Vector gradient_, best_;
  double least_ = std::numeric_limits<double>::infinity();
  Progress progress_{options_.progress};
};

}  // namespace detail

/// Trains a network by L-BFGS over all samples at once. Where its line search fails, the best parameters it has met are
/// kept, and the report says so.
///
/// Shapes  X: N x inputs, Y: N x outputs
/// Throws  Error if a shape or an option does not fit, or a sample, the first loss or the first gradient is not finite;
///         the parameters are then as they were
template <class Net, DenseExpression X, DenseExpression Y, Term Objective>
FitReport fit(Net& net, const X& samples, const Y& targets, const Objective& objective, const lbfgs& options) {
  using S = typename Net::Scalar;
  using Matrix = typename Net::Matrix;
  detail::require(options.iterations >= 0, "fit: lbfgs: iterations must be at least 0, got ", options.iterations);
  detail::require(options.history >= 1, "fit: lbfgs: history must be at least 1, got ", options.history);
  detail::require(options.tolerance >= 0, "fit: lbfgs: tolerance must be at least 0, got ", options.tolerance);
  net.each_layer([](const auto& layer, std::size_t l) {
    if constexpr (requires { layer.constraints; })
      detail::require(!layer.constraints.any(), "fit: lbfgs: stage ", l,
                      " has constraints, which the other optimizers keep and this one does not");
  });
  const Matrix x = detail::samples_of<Net>(samples);
  const Matrix y = detail::samples_of<Net>(targets);
  detail::require_samples(net, x, y);
  if (options.iterations == 0) return {};  // to LBFGSpp it would mean any number

  using Evaluations = detail::Evaluations<Net, Matrix, Objective>;
  Evaluations evaluations(net, x, y, objective, options);
  LBFGSpp::LBFGSParam<S> parameters;
  parameters.m = static_cast<int>((std::min)(options.history, Index{1} << 20));
  parameters.epsilon = static_cast<S>(options.tolerance);
  parameters.epsilon_rel = static_cast<S>(options.tolerance);
  parameters.max_iterations = static_cast<int>((std::min)(options.iterations, Index{1} << 30));
  parameters.linesearch = LBFGSpp::LBFGS_LINESEARCH_BACKTRACKING_STRONG_WOLFE;
  parameters.max_linesearch = 60;
  LBFGSpp::LBFGSSolver<S> solver(parameters);
  typename Net::Vector at = net.parameters();
  S loss = 0;
  try {
    evaluations.report.steps = solver.minimize(evaluations, at, loss);
  } catch (const typename Evaluations::Stop&) {
    if (evaluations.thrown != nullptr) std::rethrow_exception(evaluations.thrown);
    evaluations.report.note = "stopped by after_evaluation";
  } catch (const std::bad_alloc&) {
    throw;
  } catch (const std::exception& failure) {  // that of its line search: shapes and options have been checked
    evaluations.report.note =
        std::string("the line search failed, and the best parameters so far are kept: ") + failure.what();
  }
  return std::move(evaluations.report);
}

/// Trains a network by L-BFGS with the samples as targets, as for autoencoders.
template <class Net, DenseExpression X, Term Objective>
FitReport fit(Net& net, const X& samples, const Objective& objective, const lbfgs& options) {
  const typename Net::Matrix x = detail::samples_of<Net>(samples);
  return fit(net, x, x, objective, options);
}

}  // namespace filigree
