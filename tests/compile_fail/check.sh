#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
#   check.sh compiles|fails twin.cpp compiler [flag...]
set -uo pipefail
outcome=$1 twin=$2
shift 2
compile=("$@" -std=c++20 -fsyntax-only "$twin")

if [[ $outcome == compiles ]]; then
  exec "${compile[@]}"
fi

expected=$(sed -n '1s|^// expect: ||p' "$twin")
[[ $expected ]] || { echo "$twin: the first line must be // expect: text"; exit 1; }
if output=$("${compile[@]}" -DFILIGREE_MUST_FAIL 2>&1); then
  echo "$twin compiles with FILIGREE_MUST_FAIL, and must not"
  exit 1
fi
grep -E -m 1 -- "$expected" <<<"$output" && exit
echo "expected: $expected"
echo "$output"
exit 1
