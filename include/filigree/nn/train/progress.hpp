// SPDX-License-Identifier: MIT
#pragma once

#include <cstdio>

#include "filigree/core/concepts.hpp"
#include "filigree/core/digits.hpp"
#include "filigree/core/terminal.hpp"

namespace filigree::detail {

/// A progress line on standard error, shown only if it is a terminal. The destructor clears the line.
class Progress {
 public:
  explicit Progress(bool enabled) : shown_(enabled && stderr_is_terminal()) {}
  Progress(const Progress&) = delete;
  Progress& operator=(const Progress&) = delete;
  ~Progress() {
    if (shown_) std::fputs("\r\033[K", stderr);
  }
  void show(const char* unit, Index number, Index total, double loss) const {
    if (!shown_) return;
    std::fprintf(stderr, "\r%s %td of %td, loss %s\033[K", unit, number, total, significant_digits(loss, 6).c_str());
    std::fflush(stderr);
  }

 private:
  bool shown_;
};

}  // namespace filigree::detail
