# SPDX-License-Identifier: MIT
"""Attention under patterns by PyTorch and Filigree on the same Q, K and V, with the same number of threads.

The peers take turns; each figure is the median of the repetitions: processor time for one thread, which a neighbor
disturbs less, else wall-clock time. Filigree is compared with double precision in some rows, and the others with Filigree.
Masks, block masks and what a compiler does are made before the clock starts; Filigree plans its patterns while it runs.
"""

import os
import time
import warnings

# A cache would hide what compiling takes. The folder still keeps headers that were compiled beforehand.
os.environ.setdefault("TORCHINDUCTOR_FORCE_DISABLE_CACHES", "1")
os.environ.setdefault("TORCHINDUCTOR_COMPILE_THREADS", "1")
warnings.filterwarnings("ignore", message="dynamo_pgo")  # says that the cache is off

from common import Filigree, compare, d, normal, off, options, softmax, timed

import numpy as np
import torch
from torch.nn.functional import scaled_dot_product_attention

scale = d**-0.5
RADIUS, GLOBALS, BLOCK, STRIDE = 256, 2, 64, 128  # those of filigree_peer
# Queries and keys of a block of flex_attention: the fastest of 32, 64, 128 and 256.
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
    """Which blocks of the mask have some pair, and which have all."""
    n = len(mask)
    counts = np.stack([rows.reshape(size, n // size, size).sum((0, 2)) for rows in mask.reshape(-1, size, n)])
    return counts > 0, counts == size * size


def mask_function(pattern, mask):
    """The pattern as flex_attention wants it: a function of positions."""
    if pattern == "causal":
        return lambda b, h, p, j: p >= j
    if pattern == "window":
        return lambda b, h, p, j: ((p - j).abs() <= RADIUS) | (p < GLOBALS) | (j < GLOBALS)
    if pattern == "strided":
        return lambda b, h, p, j: (p >= j) & ((p - j < STRIDE) | ((p - j) % STRIDE == 0))
    blocks = torch.from_numpy(mask[::BLOCK, ::BLOCK].copy())  # the draw of Filigree
    return lambda b, h, p, j: blocks[p // BLOCK, j // BLOCK]


class Flex:
    """torch flex_attention, compiled for this processor."""

    def __init__(self, pattern, mask, matrices):
        from torch.nn.attention.flex_attention import BlockMask, flex_attention

        def lists(present):
            counts = torch.from_numpy(present.sum(1, dtype=np.int32))[None, None]
            return counts, torch.from_numpy(np.argsort(~present, axis=1, kind="stable").astype(np.int32))[None, None]

        size = TILES[pattern]
        some, every = tiles(mask, size)
        self.block_mask = BlockMask.from_kv_blocks(
            *lists(some & ~every), *lists(every), BLOCK_SIZE=size, mask_mod=mask_function(pattern, mask)
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
    """A sliding window as implementations of Longformer have it: blocks of queries, each with its own keys and those to the
    left and right; keys that all see stand beside them, queries that see all come last."""

    def __init__(self, q, k, v):
        self.q, self.k, self.v = q, k, v
        n, c = len(q), RADIUS
        if n % c != 0:
            raise ValueError(f"n must be a multiple of {c}")
        first = torch.arange(0, n, c)[:, None, None]
        p, j = first + torch.arange(c)[None, :, None], first - c + torch.arange(3 * c)[None, None, :]
        self.hidden = ((p - j).abs() > RADIUS) | (j < GLOBALS) | (j >= n)

    def near(self, x):
        """[n / c][3 c][d]: rows of zeros stand before the first and after the last."""
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
    """Some rows against double precision."""
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

    ways, notes = {}, []

    def add(name, make):
        try:
            ways[name] = timed(make())
        except Exception as reason:  # no compiler, no memory, a shape that it does not take
            notes.append(f"{name:48}could not run: {(str(reason).strip() or type(reason).__name__).splitlines()[0]}")

    def flex():
        way = Flex(pattern, mask, matrices)
        notes.append(f"(flex_attention took {way.compiled_in:.0f} s to compile)")
        return way.run

    def sdpa(**seen):
        return lambda: lambda: scaled_dot_product_attention(*matrices, **seen)[0, 0].numpy()

    if pattern == "causal":
        add("torch sdpa, is_causal", sdpa(is_causal=True))
    add("torch sdpa, boolean mask", sdpa(attn_mask=torch.from_numpy(mask)))
    if pattern == "window":
        add("torch, blocks of queries with their neighbors", lambda: Chunks(*tensors).run)
    add("torch flex_attention, compiled", flex)
    ways["Filigree"] = lambda: filigree.attend(pattern)
    title = f"n = m = {n}, d = {d}, {PATTERNS[pattern]}: {100 * mask.mean():.2g} % of all pairs"
    compare(title, ways, off(right))
    for note in notes:
        print(note)
    filigree.close()


print(f"\nPatterns: PyTorch {torch.__version__}, {options.threads} thread(s), medians of {options.repetitions} in turns")
for n in options.sizes:
    for pattern in PATTERNS:
        measure(n, pattern)
