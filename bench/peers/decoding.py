# SPDX-License-Identifier: MIT
"""Compares decoding steps: one query of 32 heads against 8 key heads of n keys with d = 128, by PyTorch and Filigree."""

from common import Program, compare, error_of, options, timed

import numpy as np
import torch

HEADS, KEY_HEADS, D, K = 32, 8, 128, 64
GROUP = HEADS // KEY_HEADS


class Filigree(Program):
    def __init__(self, q, k, v):
        super().__init__(options.decoding, options.folder, {"Q": q, "K": k, "V": v}, (len(k), options.threads))

    def run(self, case):
        seconds = self.ask(case)
        return np.fromfile(options.folder / "decoded", np.float32).reshape(1, HEADS * D), seconds


class Peers:
    """The caches are stored as PyTorch's functions want them, by heads. Filigree reads its cache, or rows of all heads."""

    def __init__(self, q, k, v):
        self.q = torch.from_numpy(q).view(1, HEADS, 1, D)
        self.k, self.v = (
            torch.from_numpy(x).view(1, -1, KEY_HEADS, D).transpose(1, 2).contiguous() for x in (k, v)
        )

    def attention(self):
        out = torch.nn.functional.scaled_dot_product_attention(self.q, self.k, self.v, enable_gqa=True)
        return out.reshape(1, HEADS * D).numpy()

    def top_k(self):
        q = self.q.view(KEY_HEADS, GROUP, D)
        best = (q @ self.k[0].transpose(1, 2) / D**0.5).topk(K, dim=2, sorted=False)
        head = torch.arange(KEY_HEADS).view(-1, 1, 1)
        out = best.values.softmax(2).unsqueeze(2) @ self.v[0][head, best.indices]
        return out.reshape(1, HEADS * D).numpy()


def right(q, k, v, kept):
    """The result in double precision."""
    out = np.empty((HEADS, D))
    for h in range(HEADS):
        columns = slice(h // GROUP * D, (h // GROUP + 1) * D)
        s = k[:, columns].astype(np.float64) @ q[0, h * D : (h + 1) * D].astype(np.float64) / D**0.5
        chosen = np.argsort(-s, kind="stable")[:kept]
        w = np.exp(s[chosen] - s.max())
        out[h] = w @ v[chosen, columns] / w.sum()
    return out.reshape(1, HEADS * D)


for n in options.sizes:
    rng = np.random.default_rng(2026)
    q = rng.standard_normal((1, HEADS * D), dtype=np.float32)
    k, v = (rng.standard_normal((n, KEY_HEADS * D), dtype=np.float32) for _ in range(2))
    filigree, peers = Filigree(q, k, v), Peers(q, k, v)
    for stages, case, name, peer, kept in [
        ("softmax()", "softmax", "PyTorch, scaled_dot_product_attention", peers.attention, n),
        (f"top_k({K}) | softmax()", "top_k", "PyTorch, topk and gather", peers.top_k, K),
    ]:
        runs = {
            name: timed(peer),
            f"Filigree, {stages}, matrices": lambda: filigree.run(case + "_matrices"),
            f"Filigree, {stages}, cache": lambda: filigree.run(case),
        }
        title = f"multi_head(heads{{{HEADS}, {KEY_HEADS}}}), one query, {n} keys, {options.threads} thread(s)"
        compare(title, runs, error_of(right(q, k, v, kept)))
    filigree.close()
