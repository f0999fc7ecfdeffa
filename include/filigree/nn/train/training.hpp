// SPDX-License-Identifier: MIT
#pragma once

#include <algorithm>
#include <cmath>
#include <concepts>
#include <cstddef>
#include <cstdint>
#include <numeric>
#include <type_traits>
#include <utility>
#include <vector>

#include "filigree/core/with_indices.hpp"
#include "filigree/nn/optimizer/optimizer.hpp"
#include "filigree/nn/pass.hpp"
#include "filigree/nn/train/checkpoint.hpp"
#include "filigree/nn/train/fingerprint.hpp"
#include "filigree/nn/train/fit_options.hpp"
#include "filigree/nn/train/masks.hpp"
#include "filigree/nn/train/parameter_update.hpp"
#include "filigree/nn/train/progress.hpp"
#include "filigree/nn/train/training_memory.hpp"
#include "filigree/nn/train/training_samples.hpp"

namespace filigree::detail {

/// A layer whose parameters can be initialized from its inputs.
template <class T, class S, class Matrix>
concept InitializedFromSamples = requires(const T& layer, S* parameters, const Matrix& z) {
  layer.initialize_from_samples(parameters, z);
};

/// The training loop of fit.
template <class Net, class Opt, class X, class Y, class Memory = NoTrainingMemory>
class Training {
  static constexpr bool has_memory = !std::same_as<Memory, NoTrainingMemory>;
  using S = typename Net::Scalar;
  static constexpr bool has_codes = requires(const Net& net) { net.latents(); };

 public:
  // `lengths` are those of the sequences in x; empty: each sample stands alone, and all may be one sequence.
  Training(Net& net, const Opt& optimizer, const fit_options& options, const X& x, const Y& y,
           Slice<Index> lengths = {}, Memory memory = {})
      : net_(net),
        optimizer_(optimizer),
        options_(options),
        x_(x),
        y_(y),
        lengths_(lengths),
        memory_(std::move(memory)),
        batch_(options.batch == 0 ? x_.rows() : options.batch),
        group_(options.group),
        pools_(net.pools_sequences()),
        pass_(net, options.executor),
        update_(net, optimizer, options.executor),
        order_(static_cast<std::size_t>(x_.rows())) {
    state_.moments.setZero(moments_of(optimizer) * net.parameters().size());
    if constexpr (has_codes) state_.active.setZero(net.latents());
    state_.seed = options.seed;
    state_.batch = batch_;
    state_.samples = x_.rows();
    state_.stages = network_text(net);
    state_.optimizer = type_name<Opt>();
    state_.data = samples_text(x, y) + lengths_text(lengths) + memory_.text();
    if (group_ > 1) state_.data += text_of(", groups of ", group_);
    if (lengths.empty() && batch_ < x_.rows()) require_no_sequences(net);
    require(lengths.empty() || !options.drop_rest, "fit: drop_rest is not available for a Batch of sequences");
    require(!lengths.empty() || group_ == 1, "fit: group needs a Batch of sequences, got group ", group_);
    require(lengths.size() % group_ == 0, "fit: the number of sequences must be a multiple of group ", group_, ", got ",
            lengths.size());
  }

  template <class Objective>
  FitReport run(const Objective& objective) {
    state_.objective = objective_text(objective);
    if (options_.resume && !is_missing(options_.checkpoint)) resume();  // throws if the file is unreadable
    FitReport report;
    const Progress progress(options_.progress);
    net_.constrain();
    while (state_.epoch <= options_.epochs && report.note.empty()) {
      if (stalls()) {
        report.note = "stopped by patience";
        break;
      }
      shuffle();
      update_.forget_parameters();  // after_epoch may have changed them and their masks
      if (state_.steps == 0) initialize_from_samples();
      while (state_.first < samples_per_epoch()) {
        step(objective);
        if (options_.checkpoint_every > 0 && state_.steps % options_.checkpoint_every == 0) save();
      }
      state_.losses.push_back(state_.sum / static_cast<double>(pools_ ? y_.rows() : state_.first));
      progress.show("epoch", state_.epoch, options_.epochs, state_.losses.back());
      const EpochReport epoch = end_epoch();
      if (!options_.checkpoint.empty() && options_.checkpoint_every == 0) save();
      if (options_.after_epoch && !options_.after_epoch(epoch)) report.note = "stopped by after_epoch";
    }
    if (!options_.checkpoint.empty() && options_.checkpoint_every > 0) save();
    report.losses = state_.losses;
    report.steps = state_.steps;
    return report;
  }

 private:
  /// Returns the number of samples per epoch.
  [[nodiscard]] Index samples_per_epoch() const { return x_.rows() - (options_.drop_rest ? x_.rows() % batch_ : 0); }

  /// Initializes the layers whose parameters depend on the data, from their inputs for the first batch.
  void initialize_from_samples() {
    with_indices<Net::depth>([&]<std::size_t... L>(std::index_sequence<L...>) { (initialize_from_samples<L>(), ...); });
  }
  template <std::size_t L>
  void initialize_from_samples() {
    const auto& layer = net_.template stage<L>();
    using Layer = std::remove_cvref_t<decltype(layer)>;
    if constexpr (InitializedFromSamples<Layer, S, typename Net::Matrix>) {
      S* const parameters = net_.parameters().data() + net_.offset(L);
      if (!layer.needs_samples(parameters)) return;
      constexpr Index max_rows = 1024;
      if (!lengths_.empty()) choose_sequences((std::min)(batch_, max_rows));
      const Index count = lengths_.empty() ? (std::min)({batch_, x_.rows(), max_rows}) : rows_of_step();
      const SelectedRows<X> first = {x_, rows_in_order(), count};
      typename Net::Matrix rows(first.rows(), first.cols());
      to_dense_samples(first, rows.data(), Session(Execution{}));
      if (lengths_.empty()) {
        layer.initialize_from_samples(parameters, net_.template before<L>(rows));
      } else if constexpr (has_memory) {
        const auto memory = memory_of_step();
        typename Net::Matrix memory_rows(memory.tokens.rows(), memory.tokens.cols());
        to_dense_samples(memory.tokens, memory_rows.data(), Session(Execution{}));
        layer.initialize_from_samples(
            parameters, net_.template before<L>(
                            filigree::Batch{rows, step_lengths_, filigree::Batch{memory_rows, memory.lengths}}));
      } else {
        layer.initialize_from_samples(parameters, net_.template before<L>(filigree::Batch{rows, step_lengths_}));
      }
    }
  }

  /// Computes the order of the samples in this epoch. It depends only on the seed and the number of the epoch.
  void shuffle() {
    for (std::size_t i = 0; i < order_.size(); ++i) order_[i] = static_cast<Index>(i);
    Generator generator(options_.seed, static_cast<std::uint64_t>(state_.epoch));
    if (!lengths_.empty())
      shuffle_sequences(generator);
    else if (batch_ < x_.rows())
      generator.shuffle(order_);
  }
  /// Puts the samples of sequences in a random order of their groups.
  void shuffle_sequences(Generator& generator) {
    std::vector<Index> groups(static_cast<std::size_t>(lengths_.size() / group_)), begins;
    std::iota(groups.begin(), groups.end(), Index{0});
    for (Index s = 0, begin = 0; s < lengths_.size(); begin += lengths_[s++]) begins.push_back(begin);
    if (batch_ < x_.rows()) generator.shuffle(groups);
    sequence_order_.clear();
    epoch_lengths_.clear();
    Index at = 0;
    for (const Index group : groups)
      for (Index s = group * group_; s < (group + 1) * group_; ++s) {
        sequence_order_.push_back(s);
        epoch_lengths_.push_back(lengths_[s]);
        for (Index i = 0; i < lengths_[s]; ++i)
          order_[static_cast<std::size_t>(at++)] = begins[static_cast<std::size_t>(s)] + i;
      }
  }
  /// Sets the lengths of the sequences of a step: as many groups as have at most `max_rows` samples, but at least one.
  void choose_sequences(Index max_rows) {
    step_lengths_.clear();
    first_sequence_ = 0;
    Index at = 0, rows = 0;
    for (auto group = epoch_lengths_.begin(); group != epoch_lengths_.end(); group += group_) {
      const Index length = std::accumulate(group, group + group_, Index{0});
      if (at >= state_.first) {
        if (!step_lengths_.empty() && rows + length > max_rows) break;
        require(rows > 0 || at == state_.first, options_.checkpoint, ": holds an impossible position: sample ",
                state_.first, " is not the first of a sequence");
        step_lengths_.insert(step_lengths_.end(), group, group + group_);
        rows += length;
      } else {
        first_sequence_ += group_;
      }
      at += length;
    }
    if (group_ > 1) interleave_groups();
  }
  /// Puts the sequences of a step in the order of their places in their groups.
  void interleave_groups() {
    const std::vector<Index> lengths = step_lengths_;
    const auto count = static_cast<Index>(lengths.size());
    std::vector<Index> begins(1, state_.first);
    for (const Index length : lengths) begins.push_back(begins.back() + length);
    step_lengths_.clear();
    step_sequences_.clear();
    step_order_.clear();
    for (Index place = 0; place < group_; ++place)
      for (Index s = place; s < count; s += group_) {
        const auto at = static_cast<std::size_t>(s);
        step_lengths_.push_back(lengths[at]);
        step_sequences_.push_back(sequence_order_[static_cast<std::size_t>(first_sequence_ + s)]);
        step_order_.insert(step_order_.end(), order_.begin() + begins[at], order_.begin() + begins[at + 1]);
      }
  }
  /// Returns the numbers of the samples of a step, and of its sequences.
  [[nodiscard]] const Index* rows_in_order() const {
    return group_ > 1 ? step_order_.data() : order_.data() + state_.first;
  }
  [[nodiscard]] const Index* sequences_in_order() const {
    return group_ > 1 ? step_sequences_.data() : sequence_order_.data() + first_sequence_;
  }
  [[nodiscard]] Index rows_of_step() const {
    return std::accumulate(step_lengths_.begin(), step_lengths_.end(), Index{0});
  }

  /// Returns the targets of a step: those of its samples, or of its sequences if the network pools them.
  [[nodiscard]] SelectedRows<Y> targets_of_step(const Index* order, Index count) const {
    if (!pools_) return {y_, order, count};
    if (lengths_.empty()) return {y_, nullptr, y_.rows()};
    return {y_, sequences_in_order(), static_cast<Index>(step_lengths_.size())};
  }

  [[nodiscard]] auto memory_of_step() {
    return memory_.of(sequences_in_order(), static_cast<Index>(step_lengths_.size()));
  }
  /// Computes the gradient of a step, and returns its loss.
  template <class Objective>
  double differentiate(const SelectedRows<X>& x, const SelectedRows<Y>& y, const Objective& objective,
                       std::uint64_t draw) {
    const Slice<Index> lengths = {step_lengths_.data(), step_lengths_.data() + step_lengths_.size()};
    if constexpr (has_memory) {
      const auto memory = memory_of_step();
      const MemorySequences<decltype(memory)> sequences{lengths, memory};
      return pass_.gradient_of_constrained(net_, x, y, objective, gradient_, draw, sequences);
    } else {
      return pass_.gradient_of_constrained(net_, x, y, objective, gradient_, draw, lengths);
    }
  }

  template <class Objective>
  void step(const Objective& objective) {
    // A single remaining sample joins the last batch, because a batch of one sample has no variation.
    const Index left = x_.rows() - state_.first, max_count = batch_ + (left == batch_ + 1 && batch_ > 1 ? 1 : 0);
    if (!lengths_.empty()) choose_sequences(batch_);
    const Index count = lengths_.empty() ? (std::min)(left, max_count) : rows_of_step();
    const Index* order = batch_ < x_.rows() || group_ > 1 ? rows_in_order() : nullptr;  // null: all samples, in order
    const SelectedRows<X> x = {x_, order, count};
    const SelectedRows<Y> y = targets_of_step(order, count);
    const std::uint64_t draw = Generator(options_.seed, static_cast<std::uint64_t>(state_.steps)).bits64();
    const double loss = differentiate(x, y, objective, draw);
    update_.check(loss, gradient_, state_.steps + 1, options_.clip);
    const double factor = options_.schedule ? options_.schedule(state_.steps) : 1;
    ++state_.steps;
    require(std::isfinite(factor) && factor >= 0, "fit: the schedule must be finite and at least 0; schedule(",
            state_.steps - 1, ") is ", factor);
    update_.run(gradient_, state_.moments, state_.steps, factor, options_.clip);
    if (options_.after_step) {
      options_.after_step(state_.steps);
      update_.forget_parameters();
    }
    state_.sum += loss * static_cast<double>(y.rows());
    state_.first += count;
    if constexpr (has_codes) {
      state_.entries += pass_.active_count();
      const std::vector<Index>& inactive = pass_.samples_since_active();
      for (std::size_t j = 0; j < inactive.size(); ++j)
        if (inactive[j] == 0) state_.active[static_cast<Index>(j)] = 1;
    }
  }
  /// Returns the report of the epoch and begins the next one.
  EpochReport end_epoch() {
    EpochReport report = {.epoch = state_.epoch, .loss = state_.losses.back()};
    if constexpr (has_codes) {
      report.l0 = static_cast<double>(state_.entries) / static_cast<double>(state_.first);
      report.dead_latents = (state_.active.array() == 0).count();
      state_.active.setZero();
    }
    ++state_.epoch;
    state_.first = state_.entries = 0;
    state_.sum = 0;
    return report;
  }

  /// Returns true if the best epoch is `patience` or more epochs ago.
  [[nodiscard]] bool stalls() const {
    const auto best = std::min_element(state_.losses.begin(), state_.losses.end());
    return options_.patience > 0 && state_.losses.end() - best > options_.patience;
  }

  void save() {
    state_.parameters = net_.parameters();
    state_.masks = masks_of(net_);
    state_.samples_since_active = pass_.samples_since_active();
    state_.save(options_.checkpoint);
  }
  void resume() {
    auto from = Checkpoint<S>::load(options_.checkpoint);
    const auto agrees = [&](const char* what, const auto& was, const auto& is) {
      require(was == is, options_.checkpoint, ": was made with ", what, " ", was, ", and cannot go on with ", is);
    };
    agrees("a number of parameters of", from.parameters.size(), net_.parameters().size());
    agrees("a number of moments of", from.moments.size(), state_.moments.size());
    agrees("a number of latents of", from.active.size(), state_.active.size());
    agrees("a number of latents of", from.samples_since_active.size(), pass_.samples_since_active().size());
    agrees("a number of samples of", from.samples, state_.samples);
    agrees("batch", from.batch, state_.batch);
    agrees("seed", from.seed, state_.seed);
    agrees("stages", from.stages, state_.stages);
    agrees("the objective", from.objective, state_.objective);
    agrees("the optimizer", from.optimizer, state_.optimizer);
    agrees("samples and targets of", from.data, state_.data);
    const Index latents = state_.active.size();
    const auto is_count = [](Index number) { return number >= 0 && number < Index{1} << 60; };
    const bool possible = from.epoch >= 1 && from.first >= 0 && from.first <= state_.samples && is_count(from.steps) &&
                          is_count(from.entries) && from.entries <= (latents > 0 ? from.first * latents : 0) &&
                          std::all_of(from.samples_since_active.begin(), from.samples_since_active.end(), is_count) &&
                          static_cast<Index>(from.losses.size()) == from.epoch - 1;
    const bool finite = from.parameters.allFinite() && from.moments.allFinite() && std::isfinite(from.sum);
    require(finite, options_.checkpoint, ": holds numbers that are not finite");
    require(are_masks_of(net_, from.masks), options_.checkpoint, ": holds masks that do not fit the network");
    require(possible, options_.checkpoint, ": holds an impossible position: step ", from.steps, ", epoch ", from.epoch,
            ", sample ", from.first);
    state_ = std::move(from);
    pass_.samples_since_active() = state_.samples_since_active;
    pass_.sample_count() = (state_.epoch - 1) * samples_per_epoch() + state_.first;
    net_.parameters() = state_.parameters;
    set_masks(net_, state_.masks);
    update_.set_moments(state_.moments);
  }

  Net& net_;
  const Opt& optimizer_;
  const fit_options& options_;
  const X& x_;
  const Y& y_;
  const Slice<Index> lengths_;
  Memory memory_;
  const Index batch_, group_;
  const bool pools_;  // the outputs have one row for each sequence
  Pass<Net> pass_;
  ParameterUpdate<Net, Opt> update_;
  typename Net::Vector gradient_;
  std::vector<Index> order_;                         // of the samples
  std::vector<Index> sequence_order_;                // numbers of the sequences, in the order of the epoch
  std::vector<Index> epoch_lengths_, step_lengths_;  // their lengths
  std::vector<Index> step_order_, step_sequences_;   // of the samples and sequences of a step, if there are groups
  Index first_sequence_ = 0;                         // of the step, in the order of the epoch
  Checkpoint<S> state_;
};

}  // namespace filigree::detail
