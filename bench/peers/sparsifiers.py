# SPDX-License-Identifier: MIT
"""Compares sparsifiers of a dense matrix of 1024 rows of floats, with dense results, by NumPy, PyTorch and Filigree.

Each implementation writes to memory that was allocated before, if its interface permits it."""

from common import Program, compare, error_of, options, timed

import numpy as np
import torch

ROWS = 1024


class Filigree(Program):
    def __init__(self, x):
        self.shape = x.shape
        super().__init__(options.sparsifiers, options.folder, {"X": x}, (*x.shape, options.threads))

    def run(self, case):
        seconds = self.ask(case)
        return np.fromfile(options.folder / "sparsified", np.float32).reshape(self.shape), seconds


class Peers:
    def __init__(self, x):
        self.x, self.x_out = x, np.empty_like(x)
        self.t, self.t_out, self.zero = torch.from_numpy(x), torch.empty(x.shape), torch.zeros(())

    def numpy_where(self):
        return np.multiply(self.x, self.x > 1, out=self.x_out)

    def torch_where(self):
        return torch.where(self.t > 1, self.t, self.zero, out=self.t_out).numpy()

    def torch_threshold(self):
        return torch.nn.functional.threshold_(self.t_out.copy_(self.t), 1, 0).numpy()

    def torch_softshrink(self):
        return torch.nn.functional.softshrink(self.t, 1).numpy()

    def numpy_argpartition(self):
        columns = np.argpartition(self.x, self.x.shape[1] - 32, axis=1)[:, -32:]
        self.x_out.fill(0)
        np.put_along_axis(self.x_out, columns, np.take_along_axis(self.x, columns, 1), 1)
        return self.x_out

    def torch_topk(self):
        best = self.t.topk(32, dim=1, sorted=False)
        return self.t_out.zero_().scatter_(1, best.indices, best.values).numpy()

    def torch_prune(self):
        groups = self.t.view(-1, 4)
        best = groups.abs().topk(2, dim=1, sorted=False).indices
        self.t_out.zero_().view(-1, 4).scatter_(1, best, groups.gather(1, best))
        return self.t_out.numpy()


def cases(x, peers):
    """Returns the stage, its name in filigree_sparsifiers, the peers and the right result of each case."""
    magnitudes = np.abs(x)
    groups = magnitudes.reshape(-1, 4)
    large = groups >= np.sort(groups, axis=1)[:, 2, None]
    return [
        (
            "threshold(1)",
            "threshold",
            {
                "NumPy, x * (x > 1)": peers.numpy_where,
                "PyTorch, where": peers.torch_where,
                "PyTorch, copy_ and threshold_": peers.torch_threshold,
            },
            np.where(x > 1, x, 0),
        ),
        (
            "soft_threshold(1)",
            "soft_threshold",
            {"PyTorch, softshrink": peers.torch_softshrink},
            np.sign(x) * np.maximum(magnitudes - 1, 0),
        ),
        (
            "top_k(32)",
            "top_k",
            {"NumPy, argpartition": peers.numpy_argpartition, "PyTorch, topk and scatter": peers.torch_topk},
            np.where(x >= np.sort(x, axis=1)[:, -32, None], x, 0),
        ),
        (
            "prune_n_m(2, 4)",
            "prune_n_m",
            {"PyTorch, topk and scatter": peers.torch_prune},
            np.where(large.reshape(x.shape), x, 0),
        ),
    ]


for n in options.sizes:
    x = np.random.default_rng(2026).standard_normal((ROWS, n), dtype=np.float32)
    filigree = Filigree(x)
    for stage, name, peers, right in cases(x, Peers(x)):
        runs = {peer: timed(run) for peer, run in peers.items()}
        runs[f"Filigree, X | {stage}"] = lambda: filigree.run(name)
        compare(f"X | {stage}, {ROWS} rows of {n}, {options.threads} thread(s)", runs, error_of(right))
    filigree.close()
