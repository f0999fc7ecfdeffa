#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# Twins: each .cpp file in this folder must compile. With FILIGREE_MUST_FAIL it must fail, and the error must match the
# text (an extended regular expression) in its first line, "// expect: text".
#
#   check.sh precompile compiler [flag...]    precompiles filigree.hpp in the current folder, for the other two
#   check.sh compiles compiler [flag...]      compiles all twins in one translation unit
#   check.sh twin.cpp compiler [flag...]      compiles one twin with FILIGREE_MUST_FAIL
set -uo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
what=$1
shift

if [[ $what == precompile ]]; then
  echo '#include <filigree/filigree.hpp>' >twins.hpp
  exec "$@" -std=c++20 -DFILIGREE_COMPILED -x c++-header twins.hpp -o twins.hpp.gch
fi

compile=("$@" -std=c++20 -DFILIGREE_COMPILED -include twins.hpp -fsyntax-only)

if [[ $what == compiles ]]; then
  for twin in "$here"/*.cpp; do
    printf 'namespace %s {\n#include "%s"\n}\n' "$(basename "$twin" .cpp)" "$twin"
  done >twins.cpp
  exec "${compile[@]}" twins.cpp
fi

expected=$(sed -n '1s|^// expect: ||p' "$what")
[[ $expected ]] || { echo "$what: the first line must be // expect: text"; exit 1; }
if output=$("${compile[@]}" -DFILIGREE_MUST_FAIL "$what" 2>&1); then
  echo "$what compiles with FILIGREE_MUST_FAIL, but must fail"
  exit 1
fi
grep -E -m 1 -- "$expected" <<<"$output" && exit
echo "expected: $expected"
echo "$output"
exit 1
