#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# bench/peers/run.sh [--threads n] [--repetitions n] [--sizes n...]: compares attention (top-k, all keys, patterns) and
# autoencoders, sparsifiers, decoding, gradients of attention, sparse retrieval, sparse coding and transformers by NumPy,
# SciPy, PyTorch, transformers, faiss and Filigree.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."

build=build/peers
cmake=${CMAKE:-cmake}
"$cmake" -S bench/peers -B "$build" -G Ninja -DCMAKE_BUILD_TYPE=Release
"$cmake" --build "$build"

venv=$build/venv
packages="torch==2.13.0 transformers==5.23.0 numpy scipy faiss-cpu scikit-learn"
if [[ ! -e $venv/ready || $(<"$venv/ready") != "$packages" ]]; then
  python3 -m venv "$venv"
  # shellcheck disable=SC2086 # a list of words
  "$venv/bin/pip" install --quiet $packages
  echo "$packages" >"$venv/ready"
fi
for script in peers patterns encoders sparsifiers decoding gradients retrieval sparse_head coding transformer; do
  "$venv/bin/python" "bench/peers/$script.py" --program "$build/filigree_peer" \
    --encoders "$build/filigree_encoders" --sparsifiers "$build/filigree_sparsifiers" \
    --decoding "$build/filigree_decoding" --gradients "$build/filigree_gradients" \
    --retrieval "$build/filigree_retrieval" --sparse-head "$build/filigree_sparse_head" --coding "$build/filigree_coding" \
    --transformers "$build/filigree_transformers" --folder "$build/data" "$@"
done
