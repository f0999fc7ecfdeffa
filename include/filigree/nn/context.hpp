// SPDX-License-Identifier: MIT
#pragma once

#include <cstdint>

#include "filigree/pipe/workspace.hpp"

namespace filigree::detail {

/// What all stages share in one forward and backward pass through a network.
struct Context {
  const Session& session;
  bool training;            // false: inference, in which dropout passes its input on
  std::uint64_t draw;       // number of the pass, for random numbers
  double l0 = 0;            // backward: the factor of l0() in a penalty right after the stage
  bool accumulate = false;  // backward: add the gradients of parameters to those of earlier samples
};

}  // namespace filigree::detail
