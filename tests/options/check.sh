#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# Options of the compiler that Filigree cannot work with are refused in one line; with others that change the arithmetic
# of a program, results are what they must be, for each instruction set.
#
#   check.sh compiler [flag...]
set -uo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
failures=0

# refused "options" text: every header fails with that text, and after it only with the include that ends it.
refused() {
  local header output
  for header in filigree/filigree.hpp filigree/core/check.hpp filigree/kernel/kernels.hpp filigree/nn/nn.hpp; do
    # shellcheck disable=SC2086
    output=$("${compiler[@]}" -std=c++20 $1 -fsyntax-only -x c++ - <<<"#include <$header>" 2>&1) &&
      { echo "$1 compiles"; failures=1; }
    [[ $(grep -c 'error:' <<<"$output") == 2 ]] && grep -qF -- "$2" <<<"$output" ||
      { printf '%s must fail with: %s\n%s\n' "$1" "$2" "$output"; failures=1; }
  done
}

compiler=("$@")
refused "-std=c++17" "filigree: needs C++20: compile with -std=c++20 or later"
refused "-fno-exceptions" "filigree: reports errors by exceptions: compile without -fno-exceptions"
for option in -ffast-math -Ofast -ffinite-math-only; do
  refused "$option" "filigree: needs NaN and infinity, which mark what is absent: compile with -fno-finite-math-only"
done

"${compiler[@]}" -std=c++20 -O1 -ffast-math -fno-finite-math-only "$here/unsafe_math.cpp" -o unsafe_math || exit 1
for level in avx512 avx2 baseline; do
  FILIGREE_INSTRUCTION_SET=$level ./unsafe_math || failures=1
done
exit $failures
