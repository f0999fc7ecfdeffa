// SPDX-License-Identifier: MIT
#pragma once

#include <tuple>
#include <type_traits>
#include <utility>

#include "filigree/run/engine_kind.hpp"
#include "filigree/run/workspace.hpp"
#include "filigree/stage/stage.hpp"

// Routers. Each evaluation first replaces every router, from left to right, by the stages that it chooses. An engine
// then runs the resulting pipeline. This holds for the fused engines and for the general evaluator.

namespace filigree::detail {

template <class Stages>
inline constexpr bool has_router = false;
template <class... T>
inline constexpr bool has_router<std::tuple<T...>> = (RouterStage<T> || ...);

template <Stage T>
std::tuple<T> replacement_of(const T& stage) {
  return std::tuple<T>(stage);
}
template <class... T>
std::tuple<T...> replacement_of(const std::tuple<T...>& stages) {
  return stages;
}

/// The stages of a pipeline after binding, and for each router the tuple of stages that replaces it.
template <class Stages_, class Chosen>
struct Bindings {
  using Stages = Stages_;
  Stages stages;
  Chosen chosen;
};

template <RouterStage T, class Source, class Before>
auto choice_of(const T& router, const Source& source, const Session& session, const Before& before) {
  if constexpr (requires { router.bind(source, session, before); })
    return router.bind(source, session, before);
  else
    return router.bind(source, session);
}

/// How a bound pipeline holds a stage of the original pipeline: patterns and maps, which may be large, by reference.
template <class T>
using HeldStage = std::conditional_t<PatternStage<T> || MapStage<T>, const T&, T>;

/// True if route(A) returns the stages that the router chooses.
template <class T>
inline constexpr bool is_choice = true;
template <class T>
  requires requires { T::is_choice; }
inline constexpr bool is_choice<T> = T::is_choice;

template <std::size_t at, class Source, class Stages, class... Done, class... Chosen>
auto bind_from(const Source& source, const Stages& stages, const Session& session, std::tuple<Done...> done,
               std::tuple<Chosen...> chosen) {
  if constexpr (at == std::tuple_size_v<Stages>) {
    return Bindings<std::tuple<Done...>, std::tuple<Chosen...>>{std::move(done), std::move(chosen)};
  } else if constexpr (!RouterStage<std::tuple_element_t<at, Stages>>) {
    using Held = std::tuple<HeldStage<std::tuple_element_t<at, Stages>>>;
    return bind_from<at + 1>(source, stages, session, std::tuple_cat(std::move(done), Held(std::get<at>(stages))),
                             std::move(chosen));
  } else {
    using RouterType = std::tuple_element_t<at, Stages>;
    auto replacement = replacement_of(choice_of(std::get<at>(stages), source, session, done));
    auto next = std::tuple_cat(std::move(done), replacement);
    if constexpr (is_choice<RouterType>)
      return bind_from<at + 1>(source, stages, session, std::move(next),
                               std::tuple_cat(std::move(chosen), std::tuple<decltype(replacement)>(replacement)));
    else
      return bind_from<at + 1>(source, stages, session, std::move(next), std::move(chosen));
  }
}

/// Binds the routers of a pipeline. The result refers to `stages`.
template <class Source, class Stages>
auto bind_routers(const Source& source, const Stages& stages, const Session& session) {
  return bind_from<0>(source, stages, session, std::tuple<>(), std::tuple<>());
}

/// The engine of a pipeline with routers: binds them once and runs the resulting pipeline with another engine.
template <class Source, class Stages, class Engine>
class RoutedEngine {
  using Routed = typename decltype(bind_routers(std::declval<const Source&>(), std::declval<const Stages&>(),
                                                std::declval<const Session&>()))::Stages;

 public:
  using Run = typename Engine::Run;
  static constexpr bool fused = Engine::fused;
  static constexpr bool reads_stored_values = [] {
    if constexpr (requires { Engine::reads_stored_values; })
      return Engine::reads_stored_values;
    else
      return false;
  }();
  static constexpr EngineKind kind = Engine::kind;

  RoutedEngine(Source& source, const Stages& stages, const Session& session, Index count)
      : stages_(bind_routers(source, stages, session).stages), engine_(source, stages_, session, count) {}
  RoutedEngine(const RoutedEngine&) = delete;
  RoutedEngine& operator=(const RoutedEngine&) = delete;

  [[nodiscard]] Index height() const { return engine_.height(); }
  template <class Sink>
  void reserve(WorkerScratch& scratch, const Sink& sink) const {
    if constexpr (requires { engine_.reserve(scratch, sink); }) engine_.reserve(scratch, sink);
  }
  template <class Sink>
  Run prepare(Index first, Index count, const Session& session, Sink&& sink) const {
    return engine_.prepare(first, count, session, sink);
  }

 private:
  Routed stages_;
  Engine engine_;
};

/// Selects the engine: Choice<Stages> if there is no router, otherwise a RoutedEngine around the Choice for the bound
/// stages.
template <class Source, class Stages, template <class> class Choice>
struct RoutedChoice {
  using Engine = Choice<Stages>;
};
template <class Source, class Stages, template <class> class Choice>
  requires(has_router<Stages>&& requires(const Source& source) { source.keys; })
struct RoutedChoice<Source, Stages, Choice> {
  using Routed = typename decltype(bind_routers(std::declval<const Source&>(), std::declval<const Stages&>(),
                                                std::declval<const Session&>()))::Stages;
  using Engine = RoutedEngine<Source, Stages, Choice<Routed>>;
};
template <class Source, class Stages, template <class> class Choice>
using RoutedOr = typename RoutedChoice<Source, Stages, Choice>::Engine;

}  // namespace filigree::detail
