#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# bench/peers/run.sh [--threads n] [--repetitions n] [--sizes n...]: compares attention (top-k, all keys, patterns) and
# autoencoders, sparsifiers, decoding, gradients of attention, sparse retrieval and sparse coding by NumPy, SciPy, PyTorch, faiss and
# Filigree.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."

build=build/peers
cmake=${CMAKE:-cmake}
"$cmake" -S bench/peers -B "$build" -G Ninja -DCMAKE_BUILD_TYPE=Release
"$cmake" --build "$build"

venv=$build/venv
if [[ ! -e $venv/ready ]]; then
  python3 -m venv "$venv"
  "$venv/bin/pip" install --quiet torch==2.13.0 numpy scipy faiss-cpu scikit-learn
  touch "$venv/ready"
fi
for script in peers patterns encoders sparsifiers decoding gradients retrieval sparse_head coding; do
  "$venv/bin/python" "bench/peers/$script.py" --program "$build/filigree_peer" \
    --encoders "$build/filigree_encoders" --sparsifiers "$build/filigree_sparsifiers" \
    --decoding "$build/filigree_decoding" --gradients "$build/filigree_gradients" \
    --retrieval "$build/filigree_retrieval" --sparse-head "$build/filigree_sparse_head" --coding "$build/filigree_coding" --folder "$build/data" "$@"
done
