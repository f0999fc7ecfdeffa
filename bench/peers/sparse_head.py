# SPDX-License-Identifier: MIT
"""Compares the head of a learned sparse encoder (SPLADE) by PyTorch and Filigree: time and peak memory."""

from common import Program, options, timed

import resource
import statistics

import numpy as np
import torch

TEXTS, TOKENS, D, TERMS, K = 64, 256, 384, 30_522, 256

rng = np.random.default_rng(2026)
x = rng.uniform(-1, 1, (TEXTS * TOKENS, D)).astype(np.float32)
weights = rng.uniform(-0.014, 0.014, (D, TERMS)).astype(np.float32)
program = Program(options.sparse_head, options.folder, {"x": x, "weights": weights},
                  (TEXTS, TOKENS, D, TERMS, K, options.threads))
theirs = torch.from_numpy(np.ascontiguousarray(weights.T))


def peak():
    """Peak memory of this process in MB."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def dense():
    with torch.no_grad():
        z = torch.nn.functional.linear(torch.from_numpy(x), theirs)
        return torch.topk(torch.log1p(torch.relu_(z)).view(TEXTS, TOKENS, TERMS).amax(1), K)


ours, peers = [], []
before = peak()
for repetition in range(options.repetitions + 1):
    mine = program.ask("")
    (values, _), took = timed(dense)()
    if repetition > 0:
        ours.append(mine)
        peers.append(took)
found = np.fromfile(options.folder / "values", np.float32).reshape(TEXTS, K)
wrong = np.abs(-np.sort(-found, axis=1) - values.numpy()).max()
if not wrong <= 1e-4:
    raise SystemExit(f"off by {wrong}")
torch_mb, filigree_mb = peak() - before, float(np.fromfile(options.folder / "megabytes", np.float64)[0])
print(f"\n{TEXTS} texts of {TOKENS} tokens, d = {D}, {TERMS} terms, k = {K}, {options.threads} thread(s)")
print(f"{'':40}{'seconds':>10}{'MB':>10}")
print(f"{'Filigree':40}{statistics.median(ours):10.2f}{filigree_mb:10.0f}")
print(f"{'PyTorch':40}{statistics.median(peers):10.2f}{torch_mb:10.0f}")
program.close()
