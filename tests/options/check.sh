#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# Tests that unsupported compiler options are rejected with a one-line error, and that results are correct under options
# that change the arithmetic of a program, for each instruction set.
#
#   check.sh compiler [flag...]
set -uo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
failures=0

# refused "options" text: checks that every header fails with exactly two errors: this text, and the missing include that
# stops the compiler.
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
  refused "$option" "filigree: needs NaN and infinity, which mark masked entries: compile with -fno-finite-math-only"
done

"${compiler[@]}" -std=c++20 -O1 -ffast-math -fno-finite-math-only "$here/unsafe_math.cpp" -o unsafe_math || exit 1
for level in avx512 avx2 baseline; do
  FILIGREE_INSTRUCTION_SET=$level ./unsafe_math || failures=1
done
exit $failures
