// SPDX-License-Identifier: MIT
#pragma once

#include <cstdio>

#include "filigree/core/concepts.hpp"
#include "filigree/core/digits.hpp"
#include "filigree/core/terminal.hpp"

namespace filigree::detail {

/// One line on the terminal that says how far training is; nothing where standard error is no terminal.
class Progress {
 public:
  explicit Progress(bool wanted) : shown_(wanted && errors_go_to_a_terminal()) {}
  Progress(const Progress&) = delete;
  Progress& operator=(const Progress&) = delete;
  ~Progress() {
    if (shown_) std::fputs("\r\033[K", stderr);
  }
  void show(const char* what, Index number, Index of, double loss) const {
    if (!shown_) return;
    std::fprintf(stderr, "\r%s %td of %td, loss %s\033[K", what, number, of, significant_digits(loss, 6).c_str());
    std::fflush(stderr);
  }

 private:
  bool shown_;
};

}  // namespace filigree::detail
