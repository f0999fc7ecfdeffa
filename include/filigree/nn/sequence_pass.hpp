// SPDX-License-Identifier: MIT
#pragma once

#include <array>
#include <cstddef>
#include <tuple>
#include <type_traits>
#include <utility>

#include "filigree/core/with_indices.hpp"
#include "filigree/nn/fuse.hpp"

namespace filigree::detail {

inline constexpr std::size_t no_boundary = static_cast<std::size_t>(-1);

/// True if the outputs of a layer are its inputs.
template <class T>
inline constexpr bool is_identity = requires {
  requires T::is_identity;
};

/// The first stage of each group, then the number of stages.
template <std::size_t depth>
struct GroupTable {
  std::size_t begin[depth + 1] = {};
  std::size_t count = 0;
};

template <Real S, class Stages, std::size_t first, class Indices>
struct GroupOf;
template <Real S, class Stages, std::size_t first, std::size_t... L>
struct GroupOf<S, Stages, first, std::index_sequence<L...>> {
  using type = Fused<S, std::tuple_element_t<first + L, Stages>...>;
  static constexpr bool runs_together = RunTogether<S, std::tuple_element_t<first + L, Stages>...>;
};

inline constexpr std::size_t max_group = 4;

/// Returns the number of stages from stage `first` that run together. The caller may read the input of stage
/// `boundary`, so no group contains it. An identity at the boundary may end a group: its input is the output of the
/// group.
template <Real S, std::size_t boundary, std::size_t first, std::size_t count, class... T>
constexpr std::size_t group_size() {
  if constexpr (count == 1) {
    return 1;
  } else if constexpr (first + count <= sizeof...(T)) {
    using Stages = std::tuple<T...>;
    constexpr bool has_boundary = boundary > first && boundary < first + count;
    constexpr bool ends_group = boundary + 1 == first + count;
    if constexpr (GroupOf<S, Stages, first, std::make_index_sequence<count>>::runs_together) {
      if constexpr (!has_boundary)
        return count;
      else if constexpr (ends_group)
        if constexpr (is_identity<std::tuple_element_t<first + count - 1, Stages>>) return count;
    }
    return group_size<S, boundary, first, count - 1, T...>();
  } else {
    return group_size<S, boundary, first, count - 1, T...>();
  }
}

/// Groups neighbors that run together, as many as possible from left to right.
template <Real S, std::size_t boundary, class... T>
constexpr auto group_stages() {
  constexpr std::size_t depth = sizeof...(T);
  GroupTable<depth> table;
  with_indices<depth>([&]<std::size_t... L>(std::index_sequence<L...>) {
    const std::size_t sizes[] = {group_size<S, boundary, L, max_group, T...>()..., 0};
    for (std::size_t l = 0; l < depth; l += sizes[l]) table.begin[table.count++] = l;
  });
  table.begin[table.count] = depth;
  return table;
}

/// The groups of consecutive stages, and their states.
template <Real S, std::size_t boundary, class... T>
struct Groups {
  static constexpr auto table = group_stages<S, boundary, T...>();
  static constexpr std::size_t count = table.count;

  /// Returns the first stage of group g.
  static constexpr std::size_t begin(std::size_t g) { return table.begin[g]; }
  /// Returns the group whose input is the input of stage l.
  static constexpr std::size_t at(std::size_t l) {
    std::size_t g = 0;
    while (begin(g) < l) ++g;
    return g;
  }

  template <std::size_t g>
  using StateOf = typename GroupOf<S, std::tuple<T...>, table.begin[g],
                                   std::make_index_sequence<table.begin[g + 1] - table.begin[g]>>::type;
  template <class Indices>
  struct StatesOf;
  template <std::size_t... g>
  struct StatesOf<std::index_sequence<g...>> {
    using type = std::tuple<StateOf<g>...>;
  };
  using States = typename StatesOf<std::make_index_sequence<count>>::type;
};

/// Forward and backward passes through consecutive stages, with the activations between them. Stages are passed as a
/// tuple of values or references.
template <Real S, std::size_t boundary, class... T>
class SequencePass {
 public:
  using G = Groups<S, boundary, T...>;
  static constexpr std::size_t groups = G::count;

  /// Sets the inputs, outputs and parameters of the groups. Call it first in each forward pass.
  template <class Stages>
  void begin(const Stages& stages, const Context<S>& context) {
    at_[0] = &context.in;
    for (std::size_t g = 1; g < groups; ++g) at_[g] = &between_[g - 1];
    if (groups > 0) at_[groups] = &context.out;
    Index offset = 0;
    with_indices<sizeof...(T)>([&]<std::size_t... L>(std::index_sequence<L...>) {
      ((offsets_[L] = offset, offset += parameter_count(std::get<L>(stages))), ...);
    });
  }
  template <class Stages>
  void forward(const Stages& stages, const Context<S>& context) {
    begin(stages, context);
    if constexpr (groups == 0)
      context.out.share(context.in);
    else
      forward_groups<0, groups>(stages, context);
  }
  /// Runs groups [first, last) forward.
  template <std::size_t first, std::size_t last, class Stages>
  void forward_groups(const Stages& stages, const Context<S>& context) {
    with_indices<last - first>([&]<std::size_t... g>(std::index_sequence<g...>) {
      (visit<first + g>(stages, context,
                        [](auto& state, auto& inner, const auto& stage, const auto&... next) {
                          copy_wanted_inputs(stage, inner);
                          state.forward(stage, next..., inner);
                        }),
       ...);
    });
  }

  /// Returns the gradient with respect to the input, given that with respect to the output, context.dy.
  template <class Stages>
  Gradient<S> backward(const Stages& stages, const Context<S>& context) {
    const Gradient<S> dx = backward_groups<0, groups>(stages, context, context.dy);
    finish(stages, context);
    return dx;
  }
  /// Backpropagates dy, the gradient with respect to the output of group last - 1, through groups [first, last).
  template <std::size_t first, std::size_t last, class Stages>
  Gradient<S> backward_groups(const Stages& stages, const Context<S>& context, Gradient<S> dy) {
    with_indices<last - first>([&]<std::size_t... g>(std::index_sequence<g...>) {
      ((dy = backward_group<last - 1 - g>(stages, context, dy)), ...);
    });
    return dy;
  }
  /// Computes the gradients that depend on the gradients of later layers. Call it last in each backward pass.
  template <class Stages>
  void finish(const Stages& stages, const Context<S>& context) {
    if constexpr (begins_with_sum) {
      if (context.gradient == nullptr || needs_input_gradient<1>(context)) return;
      visit<0>(stages, context, [&](auto& state, auto& first, const auto&... stage) {
        state.backward_of_sum(stage..., first, [&](S* to) {
          visit<1>(stages, context, [&](auto& next, auto& second, const auto&... next_stage) {
            next.sum_input_gradients(next_stage..., second, to);
          });
        });
      });
    }
  }

  /// Returns false if there was no forward pass yet.
  [[nodiscard]] bool has_run() const { return at_[0] != nullptr; }
  /// Returns the input of group g in the last pass; for g = groups, the output.
  [[nodiscard]] Activations<S>& at(std::size_t g) { return *at_[g]; }
  [[nodiscard]] const Activations<S>& at(std::size_t g) const { return *at_[g]; }
  void set_input(std::size_t g, Activations<S>& in) { at_[g] = &in; }
  /// Returns the state of group g.
  template <std::size_t g>
  [[nodiscard]] auto& state() {
    return std::get<g>(states_);
  }
  /// Returns true if a backward pass computes the gradient with respect to the input of group g.
  template <std::size_t g>
  [[nodiscard]] static bool needs_input_gradient(const Context<S>& context) {
    return g > 1 || (g == 1 && !begins_with_sum) || context.needs_input_gradient;
  }

  template <std::size_t g>
  static constexpr bool adds_to_loss = detail::adds_to_loss<typename G::template StateOf<g>>;
  static constexpr bool any_adds_to_loss = []<std::size_t... g>(std::index_sequence<g...>) {
    return (adds_to_loss<g> || ...);
  }
  (std::make_index_sequence<groups>{});
  /// Returns the first group of the tail: the last groups that can run in batches of samples, at most up to `boundary`.
  static constexpr std::size_t tail() {
    return []<std::size_t... g>(std::index_sequence<g...>) {
      constexpr bool batches[] = {runs_in_batches<typename G::template StateOf<g>>..., false};
      std::size_t first = groups;
      while (first > 0 && batches[first - 1] && G::begin(first) != boundary) --first;
      return first;
    }
    (std::make_index_sequence<groups>{});
  }

 private:
  template <class Stage>
  static void copy_wanted_inputs(const Stage&, const Context<S>& context) {
    if constexpr (is_affine<Stage>) {
      InputsOfLayer<S>* const wanted = context.network.wanted;
      if (wanted != nullptr && wanted->parameters == context.parameters) wanted->rows = context.inputs();
    }
  }

  /// True if the first group needs only the sum over samples of its dy, and the second group can compute this sum.
  static constexpr bool begins_with_sum = [] {
    if constexpr (groups > 1) return requires {
        requires G::template StateOf<0>::needs_only_gradient_sum;
      }
    &&requires { &G::template StateOf<1>::sum_input_gradients; };
    else return false;
  }();

  /// Calls f(state, context, stages...) for the stages of group g.
  template <std::size_t g, class Stages, class F>
  decltype(auto) visit(const Stages& stages, const Context<S>& context, F&& f) {
    constexpr std::size_t first = G::begin(g);
    Context<S> inner = context.inside(offsets_[first], *at_[g], *at_[g + 1]);
    auto& state = std::get<g>(states_);
    return with_indices<G::begin(g + 1) - first>([&]<std::size_t... L>(std::index_sequence<L...>)->decltype(auto) {
      return f(state, inner, std::get<first + L>(stages)...);
    });
  }

  template <std::size_t g, class Stages>
  Gradient<S> backward_group(const Stages& stages, const Context<S>& context, const Gradient<S>& dy) {
    if (!adds_to_loss<g> && context.gradient == nullptr) return dy;
    if constexpr (g == 0 && begins_with_sum)
      if (!needs_input_gradient<1>(context)) return {};  // see finish()
    return visit<g>(stages, context, [&](auto& state, auto& inner, const auto&... stage) {
      inner.dy = dy;
      inner.needs_input_gradient = needs_input_gradient<g>(context);
      return state.backward(stage..., inner);
    });
  }

  std::array<Activations<S>, (groups > 1 ? groups - 1 : 1)> between_;
  std::array<Activations<S>*, groups + 1> at_{};
  std::array<Index, sizeof...(T) + 1> offsets_{};
  typename G::States states_;
};

/// The number of input columns of stages; -1 if they take any number.
template <class... T>
Index first_inputs(const std::tuple<T...>& stages) {
  Index width = -1;
  const auto visit = [&](const auto& stage) {
    if (width < 0) width = inputs_of(stage);
  };
  std::apply([&](const auto&... stage) { (visit(stage), ...); }, stages);
  return width;
}

}  // namespace filigree::detail
