// SPDX-License-Identifier: MIT
#pragma once

#include <algorithm>
#include <cmath>
#include <functional>
#include <limits>
#include <numeric>
#include <string>
#include <vector>

#include "filigree/nn/optimiser.hpp"
#include "filigree/nn/pass.hpp"
#include "filigree/nn/progress.hpp"

namespace filigree {

/// One round over the samples.
struct epoch_report {
  Index epoch;                                           ///< counted from 1
  double loss;                                           ///< mean over the samples, as each batch was met
  double l0 = std::numeric_limits<double>::quiet_NaN();  ///< of an autoencoder: mean number of latents that are not 0
  Index dead_latents = 0;                                ///< of an autoencoder: those that were 0 in every sample
};

/// Options of fit.
struct fit_options {
  Index epochs = 10;                                      ///< rounds over the samples
  Index batch = 0;                                        ///< samples per step; 0: all
  std::uint64_t seed = 0;                                 ///< of the order of samples and of dropout
  double clip = std::numeric_limits<double>::infinity();  ///< largest norm of a gradient; longer ones shrink to it
  Index patience = 0;                                     ///< stops after so many epochs without a new best; 0: never
  std::function<double(Index step)> schedule = {};        ///< factor of the rate in each step, counted from 1
  std::function<bool(const epoch_report&)> after_epoch = {};  ///< returns whether to go on
  bool progress = true;                                       ///< a line on the terminal, if standard error is one
  ExecutorRef executor = {};                                  ///< whose threads compute; no bit depends on it
};

/// What fit did.
struct fit_report {
  std::vector<double> losses;  ///< of each epoch; of L-BFGS of each evaluation
  Index steps = 0;
  std::string note = {};  ///< why it ended before its time, if it did
};

namespace detail {

template <class M>
void require_finite(const M& x, const char* name) {
  for (Index i = 0; i < x.rows(); ++i)
    for (Index j = 0; j < x.cols(); ++j)
      require(std::isfinite(static_cast<double>(x(i, j))), "fit: ", name, "(", i, ", ", j, ") must be finite, got ",
              static_cast<double>(x(i, j)));
}

/// Samples and targets of fit.
template <class Net, class X, class Y>
void require_samples(const Net& net, const X& x, const Y& y) {
  require(x.cols() == net.inputs(), "fit: X.cols() = ", x.cols(), " must be the network's inputs, ", net.inputs());
  require(y.cols() == net.outputs(), "fit: Y.cols() = ", y.cols(), " must be the network's outputs, ", net.outputs());
  require(y.rows() == x.rows(), "fit: Y.rows() = ", y.rows(), " must equal X.rows() = ", x.rows());
  require(x.rows() >= 1, "fit: X must have at least 1 row");
  require_finite(x, "X");
  require_finite(y, "Y");
}

/// What a step would be taken by.
template <class Net, class Vector>
void require_finite_step(const Net& net, double loss, const Vector& gradient, Index step) {
  net.each_layer([&](const auto& layer, std::size_t l) {
    require(gradient.segment(net.offset(l), layer.parameters()).allFinite(), "fit: the gradient of stage ", l,
            " is not finite in step ", step, "; the parameters are as they were before it");
  });
  require(std::isfinite(loss), "fit: the loss is not finite in step ", step,
          "; the parameters are as they were before it");
}

/// The Euclidean norm, which overflows nowhere before the numbers do.
template <class V>
double norm_of(const V& x) {
  double most = 0, sum = 0;
  for (Index i = 0; i < x.size(); ++i) most = (std::max)(most, std::abs(static_cast<double>(x[i])));
  for (Index i = 0; i < x.size() && most > 0; ++i) {
    const double share = static_cast<double>(x[i]) / most;
    sum += share * share;
  }
  return most * std::sqrt(sum);
}

}  // namespace detail

namespace detail {

/// Which latents of an autoencoder are active in an epoch, and how often.
template <class Net>
class CodeCounts {
  static constexpr bool has_codes = requires(const Net& net) { net.latents(); };

 public:
  explicit CodeCounts(const Net& net) {
    if constexpr (has_codes) active_.assign(static_cast<std::size_t>(net.latents()), 0);
  }
  void count(const Pass<Net>& pass) {
    if constexpr (has_codes)
      samples_ += pass.each_code([&](Index, Index j) {
        ++entries_;
        active_[static_cast<std::size_t>(j)] = 1;
      });
  }
  /// What an epoch has come to; the next one begins.
  epoch_report report(Index epoch, double loss) {
    epoch_report report = {.epoch = epoch, .loss = loss};
    if constexpr (has_codes) {
      report.l0 = static_cast<double>(entries_) / static_cast<double>(samples_);
      report.dead_latents = std::count(active_.begin(), active_.end(), 0);
      entries_ = samples_ = 0;
      std::fill(active_.begin(), active_.end(), 0);
    }
    return report;
  }

 private:
  std::vector<char> active_;
  Index entries_ = 0, samples_ = 0;
};

}  // namespace detail

/// Moves a network's parameters so that the loss of samples X for targets Y falls.
///
/// Every epoch meets all samples in an order of its own, `batch` at a time; the last batch may be smaller. The same
/// seed gives the same bits, for any number of threads.
/// Shapes  X: N x inputs, Y: N x outputs
/// Throws  Error if a shape or an option does not fit, or if a sample is not finite, before anything is changed; if the
///         loss or a gradient is not, naming the layer, with the parameters as they were before that step
template <class Net, DenseExpression X, DenseExpression Y, Term Objective, Optimiser Opt>
fit_report fit(Net& net, const X& samples, const Y& targets, const Objective& objective, const Opt& optimiser,
               const fit_options& options = {}) {
  using S = typename Net::Scalar;
  using Matrix = typename Net::Matrix;
  detail::require(options.epochs >= 0, "fit: epochs must be at least 0, got ", options.epochs);
  detail::require(options.batch >= 0, "fit: batch must be at least 1, or 0 for all samples, got ", options.batch);
  detail::require(options.clip > 0, "fit: clip must be above 0, got ", options.clip);
  detail::require(options.patience >= 0, "fit: patience must be at least 0, got ", options.patience);
  detail::require_samples(net, samples, targets);
  const Matrix x = samples, y = targets;
  const Index n = x.rows(), batch = options.batch == 0 ? n : options.batch;

  Pass<Net> pass(net, options.executor);
  typename Net::Vector gradient, moments = Net::Vector::Zero(Opt::moments * net.parameters().size());
  Matrix some_x((std::min)(batch, n), x.cols()), some_y(some_x.rows(), y.cols());
  std::vector<Index> order(static_cast<std::size_t>(n));
  std::iota(order.begin(), order.end(), Index{0});
  fit_report report;
  detail::CodeCounts<Net> codes(net);
  const detail::Progress progress(options.progress);
  double best = std::numeric_limits<double>::infinity();
  Index since_best = 0;
  for (Index epoch = 1; epoch <= options.epochs; ++epoch) {
    if (batch < n) Generator(options.seed, static_cast<std::uint64_t>(epoch)).shuffle(order);
    double sum = 0;
    for (Index first = 0; first < n; first += batch) {
      const Index count = (std::min)(batch, n - first);
      for (Index i = 0; i < count; ++i) {
        some_x.row(i) = x.row(order[static_cast<std::size_t>(first + i)]);
        some_y.row(i) = y.row(order[static_cast<std::size_t>(first + i)]);
      }
      const double loss = pass.gradient(net, some_x.topRows(count), some_y.topRows(count), objective, gradient,
                                        Generator(options.seed, static_cast<std::uint64_t>(report.steps)).bits64());
      detail::require_finite_step(net, loss, gradient, report.steps + 1);
      const double norm = detail::norm_of(gradient);
      if (norm > options.clip) gradient *= static_cast<S>(options.clip / norm);
      ++report.steps;
      const double factor = options.schedule ? options.schedule(report.steps) : 1;
      net.each_layer([&](const auto& layer, std::size_t l) {
        const auto move = [&](Index from, Index number, bool weights) {
          optimiser.step(Parameters<S>{net.parameters().data() + from, gradient.data() + from,
                                       moments.data() + Opt::moments * from, number, weights},
                         report.steps, factor);
        };
        move(net.offset(l), layer.weights(), true);
        move(net.offset(l) + layer.weights(), layer.parameters() - layer.weights(), false);
      });
      sum += loss * static_cast<double>(count);
      codes.count(pass);
    }
    report.losses.push_back(sum / static_cast<double>(n));
    progress.show("epoch", epoch, options.epochs, report.losses.back());
    if (options.after_epoch && !options.after_epoch(codes.report(epoch, report.losses.back()))) {
      report.note = "stopped by after_epoch";
      break;
    }
    if (report.losses.back() < best) {
      best = report.losses.back();
      since_best = 0;
    } else if (++since_best == options.patience) {
      report.note = "stopped by patience";
      break;
    }
  }
  return report;
}

/// The same with the samples as targets, for autoencoders.
template <class Net, DenseExpression X, Term Objective, Optimiser Opt>
fit_report fit(Net& net, const X& samples, const Objective& objective, const Opt& optimiser,
               const fit_options& options = {}) {
  const typename Net::Matrix x = samples;
  return fit(net, x, x, objective, optimiser, options);
}

}  // namespace filigree
