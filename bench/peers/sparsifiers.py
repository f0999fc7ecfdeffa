# SPDX-License-Identifier: MIT
"""Compares sparsifiers of a dense matrix of 1024 x 4096 floats, as dense results, by NumPy, PyTorch and Filigree.

Each implementation writes to memory that was allocated before, if its interface permits it."""

from common import Program, compare, error_of, options, timed

import numpy as np
import torch

ROWS, COLS = 1024, 4096


class Filigree(Program):
    def __init__(self, x):
        super().__init__(options.sparsifiers, options.folder, {"X": x}, (ROWS, COLS, options.threads))

    def run(self, case):
        seconds = self.ask(case)
        return np.fromfile(options.folder / "sparsified", np.float32).reshape(ROWS, COLS), seconds


x = np.random.default_rng(2026).standard_normal((ROWS, COLS), dtype=np.float32)
t, out, numpy_out = torch.from_numpy(x), torch.empty(ROWS, COLS), np.empty_like(x)
zero = torch.zeros(())


def numpy_where():
    np.multiply(x, x > 1, out=numpy_out)
    return numpy_out


def torch_where():
    return torch.where(t > 1, t, zero, out=out).numpy()


def torch_threshold():
    return torch.nn.functional.threshold_(out.copy_(t), 1, 0).numpy()


def torch_softshrink():
    return torch.nn.functional.softshrink(t, 1).numpy()


def torch_topk():
    best = t.topk(32, dim=1, sorted=False)
    return out.zero_().scatter_(1, best.indices, best.values).numpy()


def numpy_argpartition():
    columns = np.argpartition(x, COLS - 32, axis=1)[:, COLS - 32 :]
    numpy_out.fill(0)
    np.put_along_axis(numpy_out, columns, np.take_along_axis(x, columns, 1), 1)
    return numpy_out


def torch_prune():
    groups = t.view(-1, 4)
    best = groups.abs().topk(2, dim=1, sorted=False).indices
    return out.zero_().view(-1, 4).scatter_(1, best, groups.gather(1, best)).view(ROWS, COLS).numpy()


filigree = Filigree(x)
CASES = [  # title, name, peers, the right result
    ("X | threshold(1)", "threshold", {"NumPy, x * (x > 1)": numpy_where, "PyTorch, where": torch_where,
                                       "PyTorch, copy_ and threshold_": torch_threshold}, np.where(x > 1, x, 0)),
    ("X | soft_threshold(1)", "soft_threshold", {"PyTorch, softshrink": torch_softshrink},
     np.sign(x) * np.maximum(np.abs(x) - 1, 0)),
    ("X | top_k(32)", "top_k", {"NumPy, argpartition": numpy_argpartition, "PyTorch, topk and scatter": torch_topk},
     np.where(x >= np.sort(x, axis=1)[:, -32, None], x, 0)),
    ("X | prune_n_m(2, 4)", "prune_n_m", {"PyTorch, topk and scatter": torch_prune}, torch_prune().copy()),
]
for title, name, peers, right in CASES:
    runs = {peer: timed(run) for peer, run in peers.items()}
    runs[f"Filigree, {title}"] = lambda name=name: filigree.run(name)
    compare(f"{title}, {ROWS} x {COLS}, {options.threads} thread(s)", runs, error_of(right))
filigree.close()
