// SPDX-License-Identifier: MIT
#pragma once

#include <optional>
#include <tuple>

#include "filigree/engine/gathered.hpp"
#include "filigree/run/engine_kind.hpp"

namespace filigree::detail {

/// The gathered engine if a pattern scatters the keys of a query, and another engine otherwise. Chosen at run time.
template <class P, class Stages, class Other>
class ScatteredOr {
  using Gathered = GatheredEngine<P, Stages>;

 public:
  /// What the chosen engine prepared.
  struct Run {
    std::optional<typename Gathered::Run> gathered{};
    std::optional<typename Other::Run> other{};

    template <class Sink>
    void rows(Index begin, Index end, WorkerScratch& scratch, Sink&& sink) const {
      if (gathered.has_value())
        gathered->rows(begin, end, scratch, sink);
      else
        other->rows(begin, end, scratch, sink);
    }
  };
  static constexpr bool fused = Other::fused, reads_stored_values = true;
  static constexpr EngineKind kind =
      Other::kind == EngineKind::selection ? EngineKind::selection_or_gathered : EngineKind::online_softmax_or_gathered;

  ScatteredOr(P& problem, const Stages& stages, const Session& session, Index count) {
    const bool scattered =
        std::apply([&](const auto&... stage) { return (is_scattered(stage, problem.grid) || ...); }, stages);
    if (scattered)
      gathered_.emplace(problem, stages, session, count);
    else
      other_.emplace(problem, stages, session, count);
  }

  [[nodiscard]] Index height() const {
    return visit([](const auto& engine) { return engine.height(); });
  }
  template <class Sink>
  void reserve(WorkerScratch& scratch, const Sink& sink) const {
    visit([&](const auto& engine) { engine.reserve(scratch, sink); });
  }
  template <class Sink>
  Run prepare(Index first, Index count, const Session& session, Sink&& sink) const {
    Run run;
    if (gathered_.has_value())
      run.gathered.emplace(gathered_->prepare(first, count, session, sink));
    else
      run.other.emplace(other_->prepare(first, count, session, sink));
    return run;
  }

 private:
  template <class F>
  decltype(auto) visit(F&& f) const {
    return gathered_.has_value() ? f(*gathered_) : f(*other_);
  }

  std::optional<Gathered> gathered_;
  std::optional<Other> other_;
};

}  // namespace filigree::detail
