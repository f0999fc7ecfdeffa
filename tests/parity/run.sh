#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# tests/parity/run.sh [name...]: runs the named references, or all, and writes their results into data/. With the name
# `differential`, or without a name, it also compares the file readers with those of Python's libraries
# (differential.py).
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."

venv=build/parity/venv
if ! cmp -s tests/parity/requirements.txt "$venv/ready"; then
  python3 -m venv "$venv"
  "$venv/bin/pip" install --quiet -r tests/parity/requirements.txt
  cp tests/parity/requirements.txt "$venv/ready"
fi

names=() differential=$((! $#))
for name; do
  if [[ $name == differential ]]; then differential=1; else names+=("$name"); fi
done
if ((! $# || ${#names[@]})); then
  HF_HUB_OFFLINE=1 "$venv/bin/python" -B -W ignore tests/parity/generate.py "${names[@]}"
fi
if ((differential)); then
  eigen=(/usr/local/include/eigen3 /usr/include/eigen3)
  "${CXX:-g++}" -std=c++20 -O1 -Iinclude "${eigen[@]/#/-isystem}" tests/parity/reads.cpp -o build/parity/reads
  "$venv/bin/python" -B tests/parity/differential.py build/parity/reads build/parity/files
fi
