// SPDX-License-Identifier: MIT
#pragma once

#include <cstdint>

#include "filigree/run/workspace.hpp"

namespace filigree::detail {

/// Arguments that all stages share in one forward and backward pass through a network.
struct Context {
  const Session& session;
  bool training;            // false: inference, in which dropout does nothing
  std::uint64_t draw;       // number of the pass, which seeds random numbers
  double l0 = 0;            // backward pass: the factor of l0() in a penalty right after the stage
  bool accumulate = false;  // backward pass: add to the gradients of parameters instead of writing them
};

}  // namespace filigree::detail
