# SPDX-License-Identifier: MIT
"""Compares attention under patterns by PyTorch and Filigree on the same Q, K and V, with the same number of threads.

The implementations run alternately. Each figure is the median of the repetitions. With one thread it is CPU time, which
is less affected by other processes; with several threads it is wall-clock time. Some rows of Filigree's output are
compared with double precision, and the other outputs with Filigree's. Times exclude compilation and the creation of
masks and block masks, but include Filigree's planning of patterns.
"""

import os
import time
import warnings

# A cache would hide the time for compiling. Precompiled headers are still cached.
os.environ.setdefault("TORCHINDUCTOR_FORCE_DISABLE_CACHES", "1")
os.environ.setdefault("TORCHINDUCTOR_COMPILE_THREADS", "1")
warnings.filterwarnings("ignore", message="dynamo_pgo")  # a warning that the cache is disabled

from common import Filigree, compare, d, error_of, normal, options, softmax, timed

import numpy as np
import torch
from torch.nn.functional import scaled_dot_product_attention

scale = d**-0.5
RADIUS, GLOBALS, BLOCK, STRIDE = 256, 2, 64, 128  # the same as in filigree_peer
# Block sizes of flex_attention: the fastest of 32, 64, 128 and 256.
TILES = {"causal": 64, "window": 32, "bigbird": 64, "strided": 32}
PATTERNS = {
    "causal": "causal()",
    "window": f"window({RADIUS}) || global({{0, 1}})",
    "bigbird": f"bigbird({BLOCK}, 3, 1)",
    "strided": f"sparse_transformer_strided({STRIDE})",
}


def in_a_batch(*matrices):
    return tuple(x[None, None] for x in matrices)


def tiles(mask, size):
    """Returns which blocks of the mask contain at least one pair, and which contain all pairs."""
    n = len(mask)
    counts = np.stack([rows.reshape(size, n // size, size).sum((0, 2)) for rows in mask.reshape(-1, size, n)])
    return counts > 0, counts == size * size


def mask_function(pattern, mask):
    """Returns the pattern as a function of positions, for flex_attention."""
    if pattern == "causal":
        return lambda b, h, p, j: p >= j
    if pattern == "window":
        return lambda b, h, p, j: ((p - j).abs() <= RADIUS) | (p < GLOBALS) | (j < GLOBALS)
    if pattern == "strided":
        return lambda b, h, p, j: (p >= j) & ((p - j < STRIDE) | ((p - j) % STRIDE == 0))
    blocks = torch.from_numpy(mask[::BLOCK, ::BLOCK].copy())  # the random blocks that Filigree has drawn
    return lambda b, h, p, j: blocks[p // BLOCK, j // BLOCK]


class Flex:
    """flex_attention of PyTorch, compiled for this processor."""

    def __init__(self, pattern, mask, matrices):
        from torch.nn.attention.flex_attention import BlockMask, flex_attention

        def lists(present):
            counts = torch.from_numpy(present.sum(1, dtype=np.int32))[None, None]
            return counts, torch.from_numpy(np.argsort(~present, axis=1, kind="stable").astype(np.int32))[None, None]

        size = TILES[pattern]
        partial, full = tiles(mask, size)
        self.block_mask = BlockMask.from_kv_blocks(
            *lists(partial & ~full), *lists(full), BLOCK_SIZE=size, mask_mod=mask_function(pattern, mask)
        )
        self.matrices = matrices
        torch._dynamo.reset()
        self.attention = torch.compile(flex_attention, dynamic=False)
        start = time.perf_counter()
        self.run()
        self.compiled_in = time.perf_counter() - start

    def run(self):
        with torch.no_grad():
            return self.attention(*self.matrices, block_mask=self.block_mask)[0, 0].numpy()


class Chunks:
    """A sliding window as in implementations of Longformer.

    Each block of queries attends to its own block of keys, the blocks to the left and right, and the global keys.
    Global queries are computed last."""

    def __init__(self, q, k, v):
        self.q, self.k, self.v = q, k, v
        n, c = len(q), RADIUS
        if n % c != 0:
            raise ValueError(f"n must be a multiple of {c}")
        first = torch.arange(0, n, c)[:, None, None]
        p, j = first + torch.arange(c)[None, :, None], first - c + torch.arange(3 * c)[None, None, :]
        self.hidden = ((p - j).abs() > RADIUS) | (j < GLOBALS) | (j >= n)

    def near(self, x):
        """Returns the neighboring blocks of each block, [n / c][3 c][d], padded with rows of zeros."""
        return torch.nn.functional.pad(x, (0, 0, RADIUS, RADIUS)).unfold(0, 3 * RADIUS, RADIUS).transpose(1, 2)

    def run(self):
        q = (self.q * scale).view(-1, RADIUS, d)
        own = torch.bmm(q, self.near(self.k).transpose(1, 2)).masked_fill_(self.hidden, -torch.inf)
        weights = torch.cat([q @ self.k[:GLOBALS].T, own], dim=2).softmax(2)
        out = torch.bmm(weights[:, :, GLOBALS:], self.near(self.v)) + weights[:, :, :GLOBALS] @ self.v[:GLOBALS]
        out = out.view(-1, d)
        out[:GLOBALS] = (self.q[:GLOBALS] * scale @ self.k.T).softmax(1) @ self.v
        return out.numpy()


def check(out, mask, q, k, v):
    """Compares some rows with double precision."""
    rows = np.unique(np.concatenate([np.arange(4), np.random.default_rng(1).integers(0, len(q), 252)]))
    scores = np.where(mask[rows], (q[rows].astype(np.float64) * scale) @ k.astype(np.float64).T, -np.inf)
    right = softmax(scores) @ v.astype(np.float64)
    if not np.abs(out[rows] - right).max() <= 1e-5 * np.abs(right).max():
        raise SystemExit("Filigree is off by more than 1e-5 of the largest value")


def measure(n, pattern):
    q, k, v = normal(n)
    tensors = tuple(torch.from_numpy(x) for x in (q, k, v))
    matrices = in_a_batch(*tensors)
    filigree = Filigree(n, q, k, v)
    mask = filigree.mask(pattern)
    right, _ = filigree.attend(pattern)
    check(right, mask, q, k, v)

    runs, notes = {}, []

    def add(name, make):
        try:
            runs[name] = timed(make())
        except Exception as reason:  # no compiler, not enough memory, an unsupported shape
            notes.append(f"{name:48}could not run: {(str(reason).strip() or type(reason).__name__).splitlines()[0]}")

    def flex():
        attention = Flex(pattern, mask, matrices)
        notes.append(f"(flex_attention took {attention.compiled_in:.0f} s to compile)")
        return attention.run

    def sdpa(**mask_arguments):
        return lambda: lambda: scaled_dot_product_attention(*matrices, **mask_arguments)[0, 0].numpy()

    if pattern == "causal":
        add("torch sdpa, is_causal", sdpa(is_causal=True))
    add("torch sdpa, boolean mask", sdpa(attn_mask=torch.from_numpy(mask)))
    if pattern == "window":
        add("torch, blocks of queries with their neighbors", lambda: Chunks(*tensors).run)
    add("torch flex_attention, compiled", flex)
    runs["Filigree"] = lambda: filigree.attend(pattern)
    title = f"n = m = {n}, d = {d}, {PATTERNS[pattern]}: {100 * mask.mean():.2g} % of all pairs"
    compare(title, runs, error_of(right))
    for note in notes:
        print(note)
    filigree.close()


print(f"\nPatterns: PyTorch {torch.__version__}, {options.threads} thread(s), medians of {options.repetitions} runs")
for n in options.sizes:
    for pattern in PATTERNS:
        measure(n, pattern)
