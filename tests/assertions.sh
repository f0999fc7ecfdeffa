#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# Prints the number of tests and of assertions of each test folder in the last CTest run of a build folder. A program
# that runs once per instruction set is counted each time.
#
#   assertions.sh build-folder
set -euo pipefail
awk '
  /^[0-9]+\/[0-9]+ Testing: / { folder = $3; sub(/\/.*/, "", folder); tests[folder]++; assertions[folder] += 0 }
  /^All tests passed \(/ { sub(/.*\(/, ""); gsub(/[.,'"'"']/, "", $1); assertions[folder] += $1 }
  /^assertions: / { assertions[folder] += $2 }
  END {
    for (folder in tests) {
      printf "%-14s %5d %9d\n", folder, tests[folder], assertions[folder] | "sort"
      all_tests += tests[folder]
      all += assertions[folder]
    }
    close("sort")
    printf "%-14s %5d %9d\n", "all", all_tests, all
  }
' "$1/Testing/Temporary/LastTest.log"
