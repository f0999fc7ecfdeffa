// SPDX-License-Identifier: MIT
#pragma once

#if defined(_WIN32)
#include <io.h>
#else
#include <unistd.h>
#endif

namespace filigree::detail {

/// Returns true if standard error is a terminal.
inline bool stderr_is_terminal() {
#if defined(_WIN32)
  return ::_isatty(2) != 0;
#else
  return ::isatty(STDERR_FILENO) != 0;
#endif
}

}  // namespace filigree::detail
