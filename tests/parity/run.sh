#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# tests/parity/run.sh [name...]: runs the named references, or all, and writes their results into data/. With the name
# `differential`, or without a name, it also compares the file readers with those of Python's libraries
# (differential.py). With the name `model` it compares the model that ./dev model downloads with transformers
# (model.py).
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."

venv=build/parity/venv
if ! cmp -s tests/parity/requirements.txt "$venv/ready"; then
  python3 -m venv "$venv"
  "$venv/bin/pip" install --quiet -r tests/parity/requirements.txt
  cp tests/parity/requirements.txt "$venv/ready"
fi

names=() differential=$((! $#)) model=0
for name; do
  case $name in
    differential) differential=1 ;;
    model) model=1 ;;
    *) names+=("$name") ;;
  esac
done
if ((! $# || ${#names[@]})); then
  HF_HUB_OFFLINE=1 "$venv/bin/python" -B -W ignore tests/parity/generate.py "${names[@]}"
fi
eigen=(/usr/local/include/eigen3 /usr/include/eigen3)
if ((differential)); then
  "${CXX:-g++}" -std=c++20 -O1 -Iinclude "${eigen[@]/#/-isystem}" tests/parity/reads.cpp -o build/parity/reads
  "$venv/bin/python" -B tests/parity/differential.py build/parity/reads build/parity/files
fi
if ((model)); then
  [[ -e build/model/model.safetensors ]] || { echo "Please run ./dev model first."; exit 1; }
  "${CXX:-g++}" -std=c++20 -O2 -DNDEBUG -Iinclude "${eigen[@]/#/-isystem}" tests/parity/encodes.cpp \
    -o build/parity/encodes
  HF_HUB_OFFLINE=1 "$venv/bin/python" -B -W ignore tests/parity/model.py build/parity/encodes build/model \
    build/parity/model
fi
