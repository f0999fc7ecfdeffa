// SPDX-License-Identifier: MIT
#pragma once

#include <chrono>
#include <ctime>

/// Those of the processor, or those of the wall clock.
inline double seconds(bool processor) {
  if (processor) return static_cast<double>(std::clock()) / CLOCKS_PER_SEC;
  return std::chrono::duration<double>(std::chrono::steady_clock::now().time_since_epoch()).count();
}
