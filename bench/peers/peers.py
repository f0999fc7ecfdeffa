# SPDX-License-Identifier: MIT
"""Top-k attention by NumPy, PyTorch, faiss and Filigree on the same Q, K and V, with the same number of threads.

The peers take turns; each figure is the median of the repetitions: processor time for one thread, which a neighbour
disturbs less, else wall-clock time. Every output is compared with double precision.
"""

import argparse
import os
import pathlib
import statistics
import subprocess
import time

parser = argparse.ArgumentParser(description=__doc__)
parser.add_argument("--program", default="build/peers/filigree_peer", help="the compiled filigree_peer")
parser.add_argument("--folder", default="build/peers/data", type=pathlib.Path, help="where Q, K, V and the output go")
parser.add_argument("--threads", default=1, type=int)
parser.add_argument("--repetitions", default=5, type=int)
parser.add_argument("--sizes", default=[4096, 16384], type=int, nargs="+")
parser.add_argument("--k", default=32, type=int)
parser.add_argument("--d", default=64, type=int)
options = parser.parse_args()

# The libraries read these when they are loaded.
for variable in ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS"):
    os.environ[variable] = str(options.threads)

import faiss  # noqa: E402
import numpy as np  # noqa: E402
import torch  # noqa: E402

torch.set_num_threads(options.threads)
faiss.omp_set_num_threads(options.threads)
k, d = options.k, options.d
scale = d**-0.5
clock = time.process_time if options.threads == 1 else time.perf_counter


def softmax(s):
    w = np.exp(s - s.max(axis=1, keepdims=True))
    return w / w.sum(axis=1, keepdims=True)


def weighted_rows(weights, columns, v):
    return (weights[:, None, :] @ v[columns])[:, 0, :]


class Peers:
    """Each method is one way to write it; the n x n buffers that a library can reuse are made here, outside the timing."""

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
    """The output in double precision, and the rows in which rounding cannot decide about a key."""
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


def compare(title, ways, right, certain):
    """Times the ways in turns and prints them; the last one is what they are compared with."""
    size = np.abs(right).max()
    error, seconds = {}, {name: [] for name in ways}
    for name, run in ways.items():  # checked once, and warm
        error[name] = np.abs(run()[0] - right)[certain].max() / size
    for _ in range(options.repetitions):
        for name, run in ways.items():
            seconds[name].append(run()[1])
    times = {name: statistics.median(s) for name, s in seconds.items()}
    ours = list(times.values())[-1]
    print(f"\n{title}")
    print(f"{'':48}{'ms':>10}{'over Filigree':>16}{'error':>10}")
    for name in ways:
        print(f"{name:48}{1e3 * times[name]:10.1f}{times[name] / ours:16.2f}{error[name]:10.1e}")
    wrong = [name for name in ways if not error[name] <= 1e-5]
    if wrong:
        raise SystemExit(f"off by more than 1e-5 of the largest value: {', '.join(wrong)}")


def measure(n):
    rng = np.random.default_rng(2026)
    q, k_, v = (rng.standard_normal((n, d), dtype=np.float32) for _ in range(3))
    options.folder.mkdir(parents=True, exist_ok=True)
    for name, x in (("Q", q), ("K", k_), ("V", v)):
        x.tofile(options.folder / name)
    peers = Peers(q, k_, v)
    program = subprocess.Popen(
        [options.program, str(options.folder), *(str(x) for x in (n, d, k, options.threads))],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )

    def filigree(keys):
        program.stdin.write(keys + "\n")
        program.stdin.flush()
        seconds = float(program.stdout.readline())
        return np.fromfile(options.folder / "filigree", np.float32).reshape(n, d), seconds

    def timed(run):
        def result():
            start = clock()
            out = run()
            return out, clock() - start

        return result

    ways = {
        "NumPy argpartition + gather": timed(peers.numpy_argpartition),
        "torch topk + gather": timed(peers.torch_topk),
        "torch topk + gather, 256 rows at a time": timed(peers.torch_topk_256),
        "torch topk mask + scaled_dot_product_attention": timed(peers.torch_masked_sdpa),
        "faiss IndexFlatIP + gather": timed(peers.faiss_flat),
        "Filigree": lambda: filigree("top"),
    }
    right, certain = truth(q, k_, v)
    title = f"n = m = {n}, d = {d}, k = {k}; {n - certain.sum()} rows where rounding may decide are not compared"
    compare(title, ways, right, certain)
    ways = {"torch scaled_dot_product_attention": timed(peers.torch_sdpa), "Filigree, no selector": lambda: filigree("all")}
    compare(f"n = m = {n}, d = {d}, all keys", ways, *truth_of_all(q, k_, v))
    program.stdin.close()
    program.wait()


print(
    f"NumPy {np.__version__}, PyTorch {torch.__version__}, faiss {faiss.__version__}; "
    f"{options.threads} thread(s), medians of {options.repetitions} repetitions in turns"
)
for n in options.sizes:
    measure(n)
