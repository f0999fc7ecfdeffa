// SPDX-License-Identifier: MIT
#pragma once

#include <chrono>
#include <ctime>

/// Returns CPU time in seconds if `processor`, otherwise wall-clock time.
inline double seconds(bool processor) {
  if (processor) return static_cast<double>(std::clock()) / CLOCKS_PER_SEC;
  return std::chrono::duration<double>(std::chrono::steady_clock::now().time_since_epoch()).count();
}
