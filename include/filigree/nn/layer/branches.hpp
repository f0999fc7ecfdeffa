// SPDX-License-Identifier: MIT
#pragma once

#include <algorithm>
#include <string>
#include <tuple>
#include <utility>

#include "filigree/core/check.hpp"
#include "filigree/nn/sequence.hpp"

namespace filigree::detail {

/// What layers of several branches with the same input share. Each branch is a Sequence.
template <class... Branch>
struct Branches : ScalarOf<Branch...> {
  using Category = Layer;
  std::tuple<Branch...> branches;

  explicit Branches(Branch... all) : branches(std::move(all)...) {}

  [[nodiscard]] Index inputs() const { return first_inputs(branches); }
  [[nodiscard]] Index parameter_count() const {
    return std::apply([](const auto&... branch) { return (branch.parameter_count() + ...); }, branches);
  }
  template <Real S>
  void initialize(S* parameters, Generator& generator) const {
    each_layer(0, [&](const auto& layer, Index offset) { layer.initialize(parameters + offset, generator); });
  }
  template <class Net>
  void check_network(const Net& net) const {
    std::apply([&](const auto&... branch) { (branch.check_network(net), ...); }, branches);
  }
  [[nodiscard]] bool reads_network_input() const {
    return std::apply([](const auto&... branch) { return (branch.reads_network_input() || ...); }, branches);
  }
  // Calls f(layer, offset) for the layers with their parameters.
  template <class F>
  void each_layer(Index offset, F&& f) const {
    visit_layers(*this, offset, f);
  }
  template <class F>
  void each_layer(Index offset, F&& f) {
    visit_layers(*this, offset, f);
  }

 protected:
  /// Returns the number of outputs of all branches. Throws an Error if they differ.
  [[nodiscard]] Index common_outputs(Index width, const char* call) const {
    Index out = -1;
    const auto check = [&](const auto& branch) {
      const Index cols = branch.outputs(width);
      require(!pools_sequences(branch), call, ": a branch cannot pool sequences; pool after the branches");
      require(out < 0 || cols == out, call, ": all branches must have as many outputs, got ", out, " and ", cols);
      out = cols;
    };
    std::apply([&](const auto&... branch) { (check(branch), ...); }, branches);
    return out;
  }
  [[nodiscard]] std::string branches_text() const {
    std::string all;
    std::apply([&](const auto&... branch) { ((all += (all.empty() ? "" : ", ") + branch.text()), ...); }, branches);
    return all;
  }

 private:
  template <class Self, class F>
  static void visit_layers(Self& self, Index offset, F& f) {
    const auto visit = [&](auto& branch) {
      branch.each_layer(offset, f);
      offset += branch.parameter_count();
    };
    std::apply([&](auto&... branch) { (visit(branch), ...); }, self.branches);
  }
};

/// Sets the dense gradient dx to g, or adds g to it.
template <Real S>
void add_gradient(const Gradient<S>& g, Index n, Index cols, S* dx, bool add, const Session& session) {
  detail::for_each_rows(n, session, [&](Index first, Index last) {
    if (g.dense != nullptr && !add) {
      std::copy(g.dense + first * cols, g.dense + last * cols, dx + first * cols);
    } else if (g.dense != nullptr) {
      for (Index e = first * cols; e < last * cols; ++e) dx[e] += g.dense[e];
    } else {
      if (!add) std::fill(dx + first * cols, dx + last * cols, S(0));
      for (Index i = first; i < last; ++i)
        for (Index e = i * g.lists->stride; e < i * g.lists->stride + g.lists->counts[i]; ++e)
          dx[i * cols + g.lists->columns[e]] += g.lists->gradients[e];
    }
  });
}

}  // namespace filigree::detail
