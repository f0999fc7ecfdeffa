// SPDX-License-Identifier: MIT
#pragma once

#include <optional>
#include <tuple>

#include "filigree/engine/kept.hpp"

namespace filigree::detail {

/// The engine of kept keys where a pattern scatters what a query sees, else another.
template <class Bound, class Stages, class Other>
class ScatteredOr {
  using Kept = KeptEngine<Bound, Stages>;

 public:
  static constexpr bool fused = Other::fused;

  ScatteredOr(const Bound& source, const Stages& stages, const Session& session, Index count) {
    const bool apart =
        std::apply([&](const auto&... stage) { return (scatters(stage, source.grid()) || ...); }, stages);
    if (apart)
      kept_.emplace(source, stages, session, count);
    else
      other_.emplace(source, stages, session, count);
  }

  [[nodiscard]] Index height() const {
    return visit([](const auto& engine) { return engine.height(); });
  }
  void reserve(WorkerScratch& scratch) const {
    visit([&](const auto& engine) { engine.reserve(scratch); });
  }
  template <class Sink>
  void prepare(Index first, Index count, const Session& session, Sink&& sink) const {
    visit([&](const auto& engine) {
      if constexpr (requires { engine.prepare(first, count, session, sink); })
        engine.prepare(first, count, session, sink);
    });
  }
  template <class Sink>
  void run(Index first, Index last, WorkerScratch& scratch, Sink&& sink) const {
    visit([&](const auto& engine) { engine.run(first, last, scratch, sink); });
  }

 private:
  template <class F>
  decltype(auto) visit(F&& f) const {
    return kept_.has_value() ? f(*kept_) : f(*other_);
  }

  std::optional<Kept> kept_;
  std::optional<Other> other_;
};

/// Whether a pattern of a pipeline may scatter.
template <class Stages>
inline constexpr bool has_scattering = false;
template <class... T>
inline constexpr bool has_scattering<std::tuple<T...>> = (may_scatter<T> || ...);

}  // namespace filigree::detail
