// SPDX-License-Identifier: MIT
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <type_traits>
#include <utility>
#include <vector>

#include "filigree/nn/state.hpp"

// The masks of the weights of a network in a checkpoint: a flag for each parameter. Weights of 0 do not show the masks,
// because other constraints and optimizers set weights to 0, too.

namespace filigree::detail {

/// The flags of parameters.
struct MaskFlag {
  static constexpr std::uint8_t none = 0;    // the layer of the parameter has no mask
  static constexpr std::uint8_t pruned = 1;  // it must be 0
  static constexpr std::uint8_t kept = 2;
};

using MaskFlags = Eigen::Matrix<std::uint8_t, Eigen::Dynamic, 1>;

/// Calls f(layer, offset) for the layers whose weights can have a mask.
template <class Net, class F>
void each_maskable_layer(Net& net, F&& f) {
  net.each_layer([&](auto& layer, std::size_t, Index offset) {
    if constexpr (requires { layer.constraints.mask; }) f(layer, offset);
  });
}

/// Returns the flags of all parameters; none if no layer has a mask.
template <class Net>
MaskFlags masks_of(const Net& net) {
  MaskFlags flags;
  each_maskable_layer(net, [&](const auto& layer, Index offset) {
    if (layer.constraints.mask == nullptr) return;
    if (flags.size() == 0) flags.setZero(net.parameters().size());
    for (const char free : *layer.constraints.mask) flags[offset++] = free != 0 ? MaskFlag::kept : MaskFlag::pruned;
  });
  return flags;
}

/// Returns true if flags are masks of layers of a network.
template <class Net>
bool are_masks_of(const Net& net, const MaskFlags& flags) {
  if (flags.size() == 0) return true;
  if (flags.size() != net.parameters().size() || flags.maxCoeff() > MaskFlag::kept) return false;
  Index in_layers = 0;
  bool whole = true;
  each_maskable_layer(net, [&](const auto& layer, Index offset) {
    const Index marked = (flags.segment(offset, layer.in * layer.out).array() != MaskFlag::none).count();
    whole = whole && (marked == 0 || marked == layer.in * layer.out);
    in_layers += marked;
  });
  return whole && in_layers == (flags.array() != MaskFlag::none).count();
}

/// Replaces the masks of all layers.
template <class Net>
void set_masks(Net& net, const MaskFlags& flags) {
  each_maskable_layer(net, [&](auto& layer, Index offset) {
    layer.constraints.mask = nullptr;
    if (flags.size() == 0 || flags[offset] == MaskFlag::none) return;
    std::vector<char> free;
    for (Index e = 0; e < layer.in * layer.out; ++e) free.push_back(flags[offset + e] == MaskFlag::kept ? 1 : 0);
    layer.constraints.mask = std::make_shared<const std::vector<char>>(std::move(free));
  });
}

}  // namespace filigree::detail
