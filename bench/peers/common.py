# SPDX-License-Identifier: MIT
"""The common part of the scripts: options, the compiled programs, timing and tables.

Import this module before libraries that start threads.
"""

import argparse
import os
import pathlib
import statistics
import subprocess
import time

parser = argparse.ArgumentParser(description="See the docstring of the script.")
parser.add_argument("--program", default="build/peers/filigree_peer", help="the compiled filigree_peer")
parser.add_argument("--encoders", default="build/peers/filigree_encoders", help="the compiled filigree_encoders")
parser.add_argument(
    "--sparsifiers", default="build/peers/filigree_sparsifiers", help="the compiled filigree_sparsifiers"
)
parser.add_argument("--decoding", default="build/peers/filigree_decoding", help="the compiled filigree_decoding")
parser.add_argument("--gradients", default="build/peers/filigree_gradients", help="the compiled filigree_gradients")
parser.add_argument("--retrieval", default="build/peers/filigree_retrieval", help="the compiled filigree_retrieval")
parser.add_argument(
    "--sparse-head", default="build/peers/filigree_sparse_head", help="the compiled filigree_sparse_head"
)
parser.add_argument("--coding", default="build/peers/filigree_coding", help="the compiled filigree_coding")
parser.add_argument(
    "--transformers", default="build/peers/filigree_transformers", help="the compiled filigree_transformers"
)
parser.add_argument("--folder", default="build/peers/data", type=pathlib.Path, help="the folder for inputs and outputs")
parser.add_argument("--threads", default=1, type=int)
parser.add_argument("--repetitions", default=5, type=int)
parser.add_argument("--sizes", default=[4096, 16384], type=int, nargs="+")
parser.add_argument("--k", default=32, type=int)
parser.add_argument("--d", default=64, type=int)
options = parser.parse_args()

# The libraries read these when they are loaded.
for variable in ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS"):
    os.environ[variable] = str(options.threads)

import numpy as np  # noqa: E402
import torch  # noqa: E402

torch.set_num_threads(options.threads)
d = options.d
clock = time.process_time if options.threads == 1 else time.perf_counter


def softmax(s):
    w = np.exp(s - s.max(axis=1, keepdims=True))
    return w / w.sum(axis=1, keepdims=True)


def normal(n):
    rng = np.random.default_rng(2026)
    return tuple(rng.standard_normal((n, d), dtype=np.float32) for _ in range(3))


class Program:
    """A program that computes on arrays in a folder, once for each line of its input, and prints the time.

    `path` is its path, or a list of it and first arguments."""

    def __init__(self, path, folder, arrays, arguments):
        self.folder = folder
        folder.mkdir(parents=True, exist_ok=True)
        for name, x in arrays.items():
            x.tofile(folder / name)
        self.program = subprocess.Popen(
            [*(path if isinstance(path, list) else [path]), str(folder), *map(str, arguments)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    def ask(self, line):
        self.program.stdin.write(line + "\n")
        self.program.stdin.flush()
        return float(self.program.stdout.readline())

    def close(self):
        self.program.stdin.close()
        self.program.wait()


class Filigree(Program):
    """The program filigree_peer, which computes attention."""

    def __init__(self, n, q, k, v):
        self.n = n
        super().__init__(options.program, options.folder, {"Q": q, "K": k, "V": v}, (n, d, options.k, options.threads))

    def attend(self, keys):
        seconds = self.ask(keys)
        return np.fromfile(options.folder / "filigree", np.float32).reshape(self.n, d), seconds

    def mask(self, pattern):
        """Returns the n x n mask of the keys that each query attends to."""
        self.ask(f"keys {pattern}")
        mask = np.zeros((self.n, self.n), bool)
        for i, begin, end in np.fromfile(options.folder / "keys", np.int32).reshape(-1, 3):
            mask[i, begin:end] = True
        return mask


def timed(run):
    def result():
        start = clock()
        out = run()
        return out, clock() - start

    return result


def error_of(right, certain=...):
    """Returns a function that computes the largest error of an output, relative to the largest value.

    `certain` selects the rows that are compared."""
    size = np.abs(right).max()
    return lambda out: np.abs(out - right)[certain].max() / size


def compare(title, runs, error_of):
    """Times the implementations alternately, prints a table and returns the times; they are relative to the last one.

    An implementation that fails is omitted. error_of(output) returns the error of an output."""
    error, seconds, failed = {}, {}, {}
    for name, run in runs.items():  # checks the output once and warms up
        try:
            error[name] = error_of(run()[0])
            seconds[name] = []
        except Exception as reason:
            failed[name] = (str(reason).strip() or type(reason).__name__).splitlines()[0]
    for _ in range(options.repetitions):
        for name in seconds:
            seconds[name].append(runs[name]()[1])
    if list(runs)[-1] in failed:
        raise SystemExit(f"{list(runs)[-1]}: {failed[list(runs)[-1]]}")
    times = {name: statistics.median(s) for name, s in seconds.items()}
    ours = list(times.values())[-1]
    print(f"\n{title}")
    print(f"{'':48}{'ms':>10}{'over the last':>16}{'error':>10}")
    for name, took in times.items():
        print(f"{name:48}{1e3 * took:10.1f}{took / ours:16.2f}{error[name]:10.1e}")
    for name, reason in failed.items():
        print(f"{name:48}could not run: {reason}")
    wrong = [name for name in seconds if not error[name] <= 1e-5]
    if wrong:
        raise SystemExit(f"off by more than 1e-5 of the largest value: {', '.join(wrong)}")
    return times
