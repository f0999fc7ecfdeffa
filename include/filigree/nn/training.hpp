// SPDX-License-Identifier: MIT
#pragma once

#include <algorithm>
#include <cmath>
#include <limits>
#include <system_error>
#include <utility>
#include <vector>

#include "filigree/nn/checkpoint.hpp"
#include "filigree/nn/fingerprint.hpp"
#include "filigree/nn/fit_options.hpp"
#include "filigree/nn/optimizer.hpp"
#include "filigree/nn/pass.hpp"
#include "filigree/nn/progress.hpp"

namespace filigree::detail {

template <class M>
void require_finite(const M& x, const char* name) {
  const auto check = [&](Index i, Index j, auto value) {
    require(std::isfinite(static_cast<double>(value)), "fit: ", name, "(", i, ", ", j, ") must be finite, got ",
            static_cast<double>(value));
  };
  if constexpr (SparseSamples<M>) {
    each_entry(x, check);
  } else {
    for (Index i = 0; i < x.rows(); ++i)
      for (Index j = 0; j < x.cols(); ++j) check(i, j, x(i, j));
  }
}

/// Samples of the network's scalar, in rows.
template <class Net, class X>
auto samples_of(const X& x) {
  using S = typename Net::Scalar;
  static_assert(StoredReal<typename X::Scalar, S>,
                "filigree: fit: X and Y must have the scalar of the network; cast them with .cast<>()");
  if constexpr (SparseSamples<X>)
    return Eigen::SparseMatrix<S, Eigen::RowMajor>(x.template cast<S>());
  else
    return typename Net::Matrix(x.template cast<S>());
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
    require(gradient.segment(net.offset(l), layer.parameter_count()).allFinite(), "fit: the gradient of stage ", l,
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

/// Training of a network, one step after the other.
template <class Net, class Opt, class X, class Y>
class Training {
  using S = typename Net::Scalar;
  static constexpr bool has_codes = requires(const Net& net) { net.latents(); };

 public:
  Training(Net& net, const Opt& optimizer, const fit_options& options, const X& x, const Y& y)
      : net_(net),
        optimizer_(optimizer),
        options_(options),
        x_(x),
        y_(y),
        batch_(options.batch == 0 ? x_.rows() : options.batch),
        pass_(net, options.executor),
        order_(static_cast<std::size_t>(x_.rows())) {
    at_.moments.setZero(moments_of(optimizer) * net.parameters().size());
    if constexpr (has_codes) at_.active.setZero(net.latents());
    at_.seed = options.seed;
    at_.batch = batch_;
    at_.samples = x_.rows();
    at_.stages = network_text(net);
    at_.optimizer = type_name<Opt>();
    at_.data = samples_text(x, y);
  }

  template <class Objective>
  FitReport run(const Objective& objective) {
    at_.objective = objective_text(objective);
    if (options_.resume && !is_missing(options_.checkpoint))
      resume();  // whatever is wrong with the file, reading it says so
    FitReport report;
    const Progress progress(options_.progress);
    net_.constrain();
    while (at_.epoch <= options_.epochs && report.note.empty()) {
      if (stalls()) {
        report.note = "stopped by patience";
        break;
      }
      shuffle();
      if (at_.steps == 0) initialize_from_samples();
      while (at_.first < each_epoch()) {
        step(objective);
        if (options_.checkpoint_every > 0 && at_.steps % options_.checkpoint_every == 0) save();
      }
      at_.losses.push_back(at_.sum / static_cast<double>(at_.first));
      progress.show("epoch", at_.epoch, options_.epochs, at_.losses.back());
      const EpochReport epoch = end_epoch();
      if (!options_.checkpoint.empty() && options_.checkpoint_every == 0) save();
      if (options_.after_epoch && !options_.after_epoch(epoch)) report.note = "stopped by after_epoch";
    }
    if (!options_.checkpoint.empty() && options_.checkpoint_every > 0) save();
    report.losses = at_.losses;
    report.steps = at_.steps;
    return report;
  }

 private:
  /// The number of samples that an epoch takes.
  [[nodiscard]] Index each_epoch() const { return x_.rows() - (options_.drop_rest ? x_.rows() % batch_ : 0); }

  /// Initializes the layers whose parameters depend on the data, from their inputs for the first batch.
  void initialize_from_samples() {
    [&]<std::size_t... L>(std::index_sequence<L...>) { (initialize_from_samples<L>(), ...); }
    (std::make_index_sequence<Net::depth>{});
  }
  template <std::size_t L>
  void initialize_from_samples() {
    const auto& layer = net_.template stage<L>();
    if constexpr (requires(S * parameters, const typename Net::Matrix& z) {
                    layer.initialize_from_samples(parameters, z);
                  }) {
      S* const parameters = net_.parameters().data() + net_.offset(L);
      if (!layer.needs_samples(parameters)) return;
      constexpr Index most = 1024;
      const SomeRows<X> first = {x_, order_.data(), (std::min)({batch_, x_.rows(), most})};
      typename Net::Matrix rows(first.rows(), first.cols());
      to_dense_samples(first, rows.data(), Session(Execution{}));
      layer.initialize_from_samples(parameters, net_.template before<L>(rows));
    }
  }

  /// The order of the samples in this epoch, which depends on the seed and the epoch's number alone.
  void shuffle() {
    for (std::size_t i = 0; i < order_.size(); ++i) order_[i] = static_cast<Index>(i);
    if (batch_ < x_.rows()) Generator(options_.seed, static_cast<std::uint64_t>(at_.epoch)).shuffle(order_);
  }

  template <class Objective>
  void step(const Objective& objective) {
    // A sample that is left over joins the last batch: one alone has no variation.
    const Index left = x_.rows() - at_.first, most = batch_ + (left == batch_ + 1 && batch_ > 1 ? 1 : 0);
    const Index count = (std::min)(left, most);
    const Index* order = order_.data() + at_.first;
    const SomeRows<X> x = {x_, order, count};
    const SomeRows<Y> y = {y_, order, count};
    const std::uint64_t draw = Generator(options_.seed, static_cast<std::uint64_t>(at_.steps)).bits64();
    const double loss = pass_.gradient_of_constrained(net_, x, y, objective, gradient_, draw);
    require_finite_step(net_, loss, gradient_, at_.steps + 1);
    const double factor = options_.schedule ? options_.schedule(at_.steps) : 1;
    ++at_.steps;
    require(std::isfinite(factor) && factor >= 0, "fit: the schedule must be finite and at least 0; schedule(",
            at_.steps - 1, ") is ", factor);
    before_ = net_.parameters();
    net_.each_layer([&](const auto& layer, std::size_t l) {
      S *const parameters = net_.parameters().data() + net_.offset(l), *const gradient =
                                                                           gradient_.data() + net_.offset(l);
      if constexpr (requires { layer.project_gradient(parameters, gradient); })
        layer.project_gradient(parameters, gradient);
      if constexpr (requires { layer.begin_step(parameters, gradient); }) layer.begin_step(parameters, gradient);
    });
    const double norm = norm_of(gradient_);
    if (norm > options_.clip) gradient_ *= static_cast<S>(options_.clip / norm);
    net_.each_layer([&](const auto& layer, std::size_t l) {
      S* const parameters = net_.parameters().data() + net_.offset(l);
      move(net_.offset(l), layer.weight_count(), true, factor);
      move(net_.offset(l) + layer.weight_count(), layer.parameter_count() - layer.weight_count(), false, factor);
      if constexpr (requires { layer.end_step(parameters); }) layer.end_step(parameters);
      if constexpr (requires { layer.project_weights(parameters); }) layer.project_weights(parameters);
    });
    if (!net_.parameters().allFinite()) {
      net_.parameters() = before_;
      fail("fit: the parameters would not be finite after step ", at_.steps,
           "; the rate may be too large. They are as they were before it");
    }
    at_.sum += loss * static_cast<double>(count);
    at_.first += count;
    if constexpr (has_codes)
      pass_.each_code([&](Index, Index j) {
        ++at_.entries;
        at_.active[j] = 1;
      });
  }
  void move(Index from, Index count, bool weights, double factor) {
    const Parameters<S> parameters = {.values = net_.parameters().data() + from,
                                      .gradient = gradient_.data() + from,
                                      .moments = at_.moments.data() + moments_of(optimizer_) * from,
                                      .count = count,
                                      .weights = weights};
    optimizer_.step(parameters, at_.steps, factor);
  }

  /// What the epoch has come to; the next one begins.
  EpochReport end_epoch() {
    EpochReport report = {.epoch = at_.epoch, .loss = at_.losses.back()};
    if constexpr (has_codes) {
      report.l0 = static_cast<double>(at_.entries) / static_cast<double>(at_.first);
      report.dead_latents = (at_.active.array() == 0).count();
      at_.active.setZero();
    }
    ++at_.epoch;
    at_.first = at_.entries = 0;
    at_.sum = 0;
    return report;
  }

  /// Whether the best epoch is `patience` epochs ago.
  [[nodiscard]] bool stalls() const {
    const auto best = std::min_element(at_.losses.begin(), at_.losses.end());
    return options_.patience > 0 && at_.losses.end() - best > options_.patience;
  }

  void save() {
    at_.parameters = net_.parameters();
    at_.samples_since_active = pass_.samples_since_active();
    at_.save(options_.checkpoint);
  }
  void resume() {
    auto from = Checkpoint<S>::load(options_.checkpoint);
    const auto agrees = [&](const char* what, const auto& was, const auto& is) {
      require(was == is, options_.checkpoint, ": was made with ", what, " ", was, ", and cannot go on with ", is);
    };
    agrees("a number of parameters of", from.parameters.size(), net_.parameters().size());
    agrees("a number of moments of", from.moments.size(), at_.moments.size());
    agrees("a number of latents of", from.active.size(), at_.active.size());
    agrees("a number of latents of", from.samples_since_active.size(), pass_.samples_since_active().size());
    agrees("a number of samples of", from.samples, at_.samples);
    agrees("batch", from.batch, at_.batch);
    agrees("seed", from.seed, at_.seed);
    agrees("stages", from.stages, at_.stages);
    agrees("the objective", from.objective, at_.objective);
    agrees("the optimizer", from.optimizer, at_.optimizer);
    agrees("samples and targets of", from.data, at_.data);
    const Index latents = at_.active.size();
    const auto is_count = [](Index number) { return number >= 0 && number < Index{1} << 60; };
    const bool possible = from.epoch >= 1 && from.first >= 0 && from.first <= at_.samples && is_count(from.steps) &&
                          is_count(from.entries) && from.entries <= (latents > 0 ? from.first * latents : 0) &&
                          std::all_of(from.samples_since_active.begin(), from.samples_since_active.end(), is_count) &&
                          static_cast<Index>(from.losses.size()) == from.epoch - 1;
    const bool finite = from.parameters.allFinite() && from.moments.allFinite() && std::isfinite(from.sum);
    require(finite, options_.checkpoint, ": holds numbers that are not finite");
    require(possible, options_.checkpoint, ": is at an impossible place: step ", from.steps, ", epoch ", from.epoch,
            ", sample ", from.first);
    at_ = std::move(from);
    pass_.samples_since_active() = at_.samples_since_active;
    pass_.seen() = (at_.epoch - 1) * each_epoch() + at_.first;
    net_.parameters() = at_.parameters;
  }

  Net& net_;
  const Opt& optimizer_;
  const fit_options& options_;
  const X& x_;
  const Y& y_;
  const Index batch_;
  Pass<Net> pass_;
  typename Net::Vector gradient_, before_;
  std::vector<Index> order_;
  Checkpoint<S> at_;
};

}  // namespace filigree::detail
