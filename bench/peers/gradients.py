# SPDX-License-Identifier: MIT
"""Compares gradients of attention by PyTorch and Filigree on the same Q, K, V and dO, with the same number of threads.

A run is one forward and one backward pass with new gradients by Q, K and V. All keys, causal() and top_k are compared
at the smallest of the sizes, a window at the largest.

The implementations run alternately. Each figure is the median of the repetitions. With one thread it is CPU time, which
is less affected by other processes; with several threads it is wall-clock time. Gradients are compared with double
precision. Masks are created before the clock starts. Where the kept keys of a query depend on rounding, its row of dO
is zero.
"""

from common import Program, compare, d, normal, options, softmax, timed

import numpy as np
import torch
from torch.nn.functional import embedding_bag, pad, scaled_dot_product_attention

scale = d**-0.5
k = options.k
RADIUS = 256  # the same as in filigree_gradients
ROWS = 256  # in a block of the computation in double precision


class Filigree(Program):
    """The program filigree_gradients."""

    def __init__(self, arrays):
        self.shape = (3, *arrays["Q"].shape)
        super().__init__(options.gradients, options.folder, arrays, (*arrays["Q"].shape, k, options.threads))

    def run(self, case):
        seconds = self.ask(case)
        return np.fromfile(options.folder / "gradients", np.float32).reshape(self.shape), seconds


class Peers:
    """Runs functions of Q, K and V by PyTorch, forward and backward."""

    def __init__(self, arrays):
        self.operands = [torch.from_numpy(arrays[name]).requires_grad_() for name in "QKV"]
        self.d_out = torch.from_numpy(arrays["dO"])

    def run(self, attention):
        def gradients():
            for x in self.operands:
                x.grad = None
            attention(*self.operands).backward(self.d_out)
            return [x.grad.numpy() for x in self.operands]

        return timed(gradients)


def sdpa(**arguments):
    return lambda q, k_, v: scaled_dot_product_attention(*(x[None, None] for x in (q, k_, v)), **arguments)[0, 0]


class Blocks:
    """A window by blocks of `size` queries, which attend to their own keys and to RADIUS keys to the left and right.

    n must be a multiple of `size`."""

    def __init__(self, n, size):
        self.size, self.unit = size, min(size, RADIUS)
        first = torch.arange(0, n, size)[:, None, None]
        p = first + torch.arange(size)[None, :, None]
        j = first - RADIUS + torch.arange(size + 2 * RADIUS)[None, None, :]
        hidden = ((p - j).abs() > RADIUS) | (j < 0) | (j >= n)
        self.bias = torch.zeros(hidden.shape).masked_fill_(hidden, -torch.inf)

    def near(self, x):
        """Returns the keys of each block, [n / size][size + 2 RADIUS][d], padded with rows of zeros."""
        units = pad(x, (0, 0, RADIUS, RADIUS)).view(-1, self.unit, d)
        step, count = self.size // self.unit, (self.size + 2 * RADIUS) // self.unit
        last = len(units) - count + 1
        return torch.cat([units[i : i + last : step] for i in range(count)], dim=1)

    def sdpa(self, q, k_, v):
        q, k_, v = (x[:, None] for x in (q.view(-1, self.size, d), self.near(k_), self.near(v)))
        return scaled_dot_product_attention(q, k_, v, attn_mask=self.bias[:, None]).reshape(-1, d)

    def bmm(self, q, k_, v):
        q = (q * scale).view(-1, self.size, d)
        scores = torch.baddbmm(self.bias, q, self.near(k_).transpose(1, 2))
        return torch.bmm(scores.softmax(2), self.near(v)).view(-1, d)


class TopK:
    """The k keys with the largest scores. Each of the last three methods is one implementation.

    The buffer of scores is allocated here, outside of the timing."""

    def __init__(self, n):
        self.buffer = torch.empty(min(n, ROWS), n)

    def best(self, q, k_):
        """Returns the largest scores and their keys, without a gradient, some rows at a time."""
        with torch.no_grad():
            q = q * scale
            parts = [
                torch.mm(rows, k_.T, out=self.buffer[: len(rows)]).topk(k, dim=1, sorted=False)
                for rows in q.split(ROWS)
            ]
            return torch.cat([part.values for part in parts]), torch.cat([part.indices for part in parts])

    def of_all_scores(self, q, k_, v):
        best, columns = (q * scale @ k_.T).topk(k, dim=1, sorted=False)
        return embedding_bag(columns, v, per_sample_weights=best.softmax(1), mode="sum")

    def of_pairs(self, q, k_, v):
        _, columns = self.best(q, k_)
        scores = torch.bmm(gathered(k_, columns), (q * scale)[:, :, None])[:, :, 0]
        return embedding_bag(columns, v, per_sample_weights=scores.softmax(1), mode="sum")

    def by_function(self, q, k_, v):
        return TopKFunction.apply(q, k_, v, self)


class TopKFunction(torch.autograd.Function):
    """The same with its own backward pass: sums over the queries of each key are bags too."""

    @staticmethod
    def forward(ctx, q, k_, v, top_k):
        best, columns = top_k.best(q, k_)
        weights = best.softmax(1)
        ctx.save_for_backward(q, k_, v, columns, weights)
        return embedding_bag(columns, v, per_sample_weights=weights, mode="sum")

    @staticmethod
    def backward(ctx, d_out):
        q, k_, v, columns, weights = ctx.saved_tensors
        d_weights = torch.bmm(gathered(v, columns), d_out[:, :, None])[:, :, 0]
        d_scores = weights * (d_weights - (weights * d_weights).sum(1, keepdim=True)) * scale
        keys = columns.flatten()
        counts = keys.bincount(minlength=len(k_))
        order = keys.argsort()  # each key is a bag of queries
        queries, first = order // k, counts.cumsum(0) - counts

        def by_key(rows, factors):
            return embedding_bag(queries, rows, first, per_sample_weights=factors.flatten()[order], mode="sum")

        d_q = embedding_bag(columns, k_, per_sample_weights=d_scores, mode="sum")
        return d_q, by_key(q, d_scores), by_key(d_out, weights), None


def gathered(x, columns):
    return x.index_select(0, columns.flatten()).view(-1, k, d)


def truth(arrays, hidden, reach):
    """Returns the gradients in double precision.

    hidden(scores, p, j) returns which scores do not count. The keys of a query are at most `reach` away."""
    q, k_, v, d_out = (arrays[name].astype(np.float64) for name in ("Q", "K", "V", "dO"))
    d_q, d_k, d_v = np.empty_like(q), np.zeros_like(k_), np.zeros_like(v)
    for i in range(0, len(q), ROWS):
        p, j = slice(i, i + ROWS), slice(max(i - reach, 0), i + ROWS + reach)
        scores = scale * q[p] @ k_[j].T
        positions = np.arange(len(q))
        w = softmax(np.where(hidden(scores, positions[p, None], positions[None, j]), -np.inf, scores))
        d_w = d_out[p] @ v[j].T
        d_s = scale * w * (d_w - (w * d_w).sum(axis=1, keepdims=True))
        d_q[p] = d_s @ k_[j]
        d_k[j] += d_s.T @ q[p]
        d_v[j] += w.T @ d_out[p]
    return d_q, d_k, d_v


def below_the_best(scores, p, j):
    return scores < np.partition(scores, -k, axis=1)[:, -k, None]


def depends_on_rounding(q, k_):
    """Returns the queries whose kept keys depend on rounding."""
    keys = torch.from_numpy(k_).double()
    best = torch.cat([(x.double() @ keys.T).topk(k + 1, dim=1).values for x in torch.from_numpy(q).split(ROWS)])
    return (best[:, k - 1] - best[:, k] <= 1e-5 * best[:, 0].abs()).numpy()


def measure(title, case, arrays, peers, right):
    """Compares functions of Q, K and V with a case of Filigree."""
    run = Peers(arrays).run
    filigree = Filigree(arrays)
    runs = {name: run(attention) for name, attention in peers.items()}
    runs["Filigree"] = lambda: filigree.run(case)
    n = len(arrays["Q"])
    times = compare(
        f"n = m = {n}, d = {d}, {title}, forward and backward",
        runs,
        lambda out: max(np.abs(x - y).max() / np.abs(y).max() for x, y in zip(out, right)),
    )
    filigree.close()
    for name in list(times)[:-1]:
        print(f"Filigree over {name}: {times['Filigree'] / times[name]:.2f}")


def operands(n):
    q, k_, v = normal(n)
    d_out = np.random.default_rng(2027).standard_normal((n, d), dtype=np.float32)
    return {"Q": q, "K": k_, "V": v, "dO": d_out}


print(f"\nGradients: PyTorch {torch.__version__}, {options.threads} thread(s), medians of {options.repetitions} runs")

n = min(options.sizes)
arrays = operands(n)
right = truth(arrays, lambda scores, p, j: False, n)
measure("all keys", "all", arrays, {"torch sdpa": sdpa()}, right)
right = truth(arrays, lambda scores, p, j: j > p, n)
measure("causal()", "causal", arrays, {"torch sdpa, is_causal": sdpa(is_causal=True)}, right)

arrays["dO"][depends_on_rounding(arrays["Q"], arrays["K"])] = 0
top_k = TopK(n)
peers = {
    "torch topk of all scores": top_k.of_all_scores,
    "torch topk, scores of the pairs": top_k.of_pairs,
    "torch topk, a custom autograd function": top_k.by_function,
}
measure(f"top_k({k})", "top_k", arrays, peers, truth(arrays, below_the_best, n))

n = max(options.sizes)
arrays = operands(n)
position = torch.arange(n)
blocks = Blocks(n, 256)  # the fastest of 64, 128, 256 and 512
peers = {
    "torch sdpa, boolean mask": sdpa(attn_mask=(position[:, None] - position[None, :]).abs() <= RADIUS),
    "torch, blocks of queries with neighbors, bmm": blocks.bmm,
    "torch, blocks of queries with neighbors, sdpa": blocks.sdpa,
}
right = truth(arrays, lambda scores, p, j: np.abs(p - j) > RADIUS, RADIUS)
measure(f"window({RADIUS})", "window", arrays, peers, right)
