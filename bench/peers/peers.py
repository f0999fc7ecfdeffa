# SPDX-License-Identifier: MIT
"""Compares top-k attention by NumPy, PyTorch, faiss and Filigree on the same Q, K and V and number of threads.

The implementations run alternately. Each figure is the median of the repetitions. With one thread it is CPU time, which
is less affected by other processes; with several threads it is wall-clock time. Outputs are compared with double
precision.
"""

from common import Filigree, compare, d, error_of, normal, options, softmax, timed

import faiss
import numpy as np
import torch

faiss.omp_set_num_threads(options.threads)
k = options.k
scale = d**-0.5


def weighted_rows(weights, columns, v):
    return (weights[:, None, :] @ v[columns])[:, 0, :]


class Peers:
    """Each method is one implementation. Reusable n x n buffers are allocated here, outside of the timing."""

    def __init__(self, q, k_, v):
        self.q, self.k, self.v = q, k_, v
        self.tq, self.tk, self.tv = (torch.from_numpy(x) for x in (q, k_, v))
        self.tscores = torch.empty(len(q), len(k_))
        self.scores = self.tscores.numpy()
        self.index = faiss.IndexFlatIP(d)

    def numpy_argpartition(self):
        np.matmul(self.q * np.float32(scale), self.k.T, out=self.scores)
        columns = np.argpartition(self.scores, -k, axis=1)[:, -k:]
        return weighted_rows(softmax(np.take_along_axis(self.scores, columns, axis=1)), columns, self.v)

    def torch_rows(self, first, last):
        scores = torch.mm(self.tq[first:last] * scale, self.tk.T, out=self.tscores[first:last])
        best, columns = scores.topk(k, dim=1, sorted=False)
        return torch.bmm(best.softmax(1)[:, None, :], self.tv[columns])[:, 0, :]

    def torch_topk(self):
        return self.torch_rows(0, len(self.q)).numpy()

    def torch_topk_256(self):
        n = len(self.q)
        return torch.cat([self.torch_rows(i, min(i + 256, n)) for i in range(0, n, 256)]).numpy()

    def torch_masked_sdpa(self):
        scores = torch.mm(self.tq * scale, self.tk.T, out=self.tscores)
        least = scores.topk(k, dim=1, sorted=False).values.amin(1, keepdim=True)
        mask = scores >= least
        q, k_, v = (x[None, None] for x in (self.tq, self.tk, self.tv))
        return torch.nn.functional.scaled_dot_product_attention(q, k_, v, attn_mask=mask)[0, 0].numpy()

    def torch_sdpa(self):
        q, k_, v = (x[None, None] for x in (self.tq, self.tk, self.tv))
        return torch.nn.functional.scaled_dot_product_attention(q, k_, v)[0, 0].numpy()

    def faiss_flat(self):
        self.index.reset()
        self.index.add(self.k)
        scores, columns = self.index.search(self.q, k)
        return weighted_rows(softmax(scores * np.float32(scale)), columns, self.v)


def truth(q, k_, v):
    """Returns the output in double precision, and the rows whose kept keys do not depend on rounding."""
    out, certain = np.empty(q.shape), np.empty(len(q), bool)
    keys, values = k_.astype(np.float64), v.astype(np.float64)
    for i in range(0, len(q), 256):
        scores = (q[i : i + 256].astype(np.float64) * scale) @ keys.T
        columns = np.argpartition(scores, -k - 1, axis=1)[:, -k - 1 :]
        best = np.take_along_axis(scores, columns, axis=1)
        order = np.argsort(-best, axis=1)
        best, columns = (np.take_along_axis(x, order, axis=1) for x in (best, columns))
        certain[i : i + 256] = best[:, k - 1] - best[:, k] > 1e-5 * np.abs(best[:, 0])
        out[i : i + 256] = weighted_rows(softmax(best[:, :k]), columns[:, :k], values)
    return out, certain


def truth_of_all(q, k_, v):
    keys, values = k_.astype(np.float64), v.astype(np.float64)
    rows = (softmax((q[i : i + 256].astype(np.float64) * scale) @ keys.T) @ values for i in range(0, len(q), 256))
    return np.concatenate(list(rows)), np.ones(len(q), bool)


def measure(n):
    q, k_, v = normal(n)
    peers = Peers(q, k_, v)
    filigree = Filigree(n, q, k_, v)
    runs = {
        "NumPy argpartition + gather": timed(peers.numpy_argpartition),
        "torch topk + gather": timed(peers.torch_topk),
        "torch topk + gather, 256 rows at a time": timed(peers.torch_topk_256),
        "torch topk mask + scaled_dot_product_attention": timed(peers.torch_masked_sdpa),
        "faiss IndexFlatIP + gather": timed(peers.faiss_flat),
        "Filigree": lambda: filigree.attend("top"),
    }
    right, certain = truth(q, k_, v)
    title = f"n = m = {n}, d = {d}, k = {k}; {n - certain.sum()} rows whose keys depend on rounding are not compared"
    compare(title, runs, error_of(right, certain))
    runs = {
        "torch scaled_dot_product_attention": timed(peers.torch_sdpa),
        "Filigree, no selector": lambda: filigree.attend("all"),
    }
    compare(f"n = m = {n}, d = {d}, all keys", runs, error_of(*truth_of_all(q, k_, v)))
    filigree.close()


print(
    f"NumPy {np.__version__}, PyTorch {torch.__version__}, faiss {faiss.__version__}; "
    f"{options.threads} thread(s), medians of {options.repetitions} repetitions"
)
for n in options.sizes:
    measure(n)
