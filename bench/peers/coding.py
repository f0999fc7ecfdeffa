# SPDX-License-Identifier: MIT
"""Compares sparse coding and dictionary learning by scikit-learn and Filigree, in double, on patches of 8x8 pixels of
photographs: 10,000 patches and 256 atoms.

The errors of codes are objectives above the lowest one, relative to it; those of learned dictionaries count only beyond
1 percent.
"""

import pathlib
import warnings

from common import Program, compare, options, timed

import numpy as np
from sklearn.decomposition import MiniBatchDictionaryLearning, sparse_encode

IMAGES = pathlib.Path(__file__).parent / "../../examples/data/images"
COUNT, ATOMS, SIDE, BATCH, PASSES = 10000, 256, 8, 256, 4
warnings.filterwarnings("ignore")


def photograph(path):
    data = path.read_bytes()
    width, height = (int(word) for word in data.split(None, 4)[1:3])
    return np.frombuffer(data[-width * height :], np.uint8).reshape(height, width) / 255


def patches(rng):
    images = [photograph(path) for path in sorted(IMAGES.glob("*.pgm"))]
    x = np.empty((COUNT, SIDE * SIDE))
    for row in x:
        image = images[rng.integers(len(images))]
        i, j = (rng.integers(size - SIDE + 1) for size in image.shape)
        row[:] = image[i : i + SIDE, j : j + SIDE].ravel()
    x -= x.mean(axis=1, keepdims=True)
    return x / x.std()


class Filigree(Program):
    def __init__(self, x, atoms):
        arrays = {"X": x, "D": atoms}
        super().__init__(options.coding, options.folder, arrays, (*x.shape, len(atoms), options.threads))

    def run(self, case, rows):
        seconds = self.ask(case)
        return np.fromfile(options.folder / "coded").reshape(rows, -1), seconds


def learn(x, start):
    model = MiniBatchDictionaryLearning(
        len(start), alpha=1, batch_size=BATCH, max_iter=PASSES, fit_algorithm="cd", dict_init=start, random_state=0,
        max_no_improvement=None, tol=0, n_jobs=1, transform_max_iter=1000,
    )  # fmt: skip
    return model.fit(x).components_


rng = np.random.default_rng(2026)
x = patches(rng)
start = x[rng.choice(COUNT, ATOMS, replace=False)]
start /= np.linalg.norm(start, axis=1, keepdims=True)
atoms = learn(x, start)
atoms /= np.linalg.norm(atoms, axis=1, keepdims=True)
filigree = Filigree(x, atoms)


def cost(codes, alpha, dictionary=atoms):
    return 0.5 * ((x - codes @ dictionary) ** 2).sum() + alpha * np.abs(codes).sum()


def ours(case, rows=COUNT):
    return lambda: filigree.run(case, rows)


def excess(alpha, case):
    best = cost(ours(case)()[0], alpha)
    return lambda codes: max(cost(codes, alpha) / best - 1, 0)


title = f"{COUNT} patches, {ATOMS} atoms, {options.threads} thread(s)"
omp = timed(lambda: sparse_encode(x, atoms, algorithm="omp", n_nonzero_coefs=8))
compare(f"omp, 8 codes, {title}", {"scikit-learn": omp, "Filigree, omp{.k = 8}": ours("omp")}, excess(0, "omp"))
lasso = {
    "scikit-learn, lasso_lars": timed(lambda: sparse_encode(x, atoms, algorithm="lasso_lars", alpha=1)),
    "scikit-learn, lasso_cd": timed(lambda: sparse_encode(x, atoms, algorithm="lasso_cd", alpha=1, max_iter=1000)),
    "Filigree, fista{.alpha = 1}": ours("fista"),
    "Filigree, coordinate_descent{.alpha = 1}": ours("lasso"),
}
compare(f"lasso, alpha = 1, {title}", lasso, excess(1, "exact"))


def learned_excess(dictionary):
    codes = sparse_encode(x, dictionary, algorithm="lasso_cd", alpha=1, max_iter=1000)
    excess = cost(codes, 1, dictionary) / best - 1
    print(f"  objective of a learned dictionary, over that of scikit-learn: {1 + excess:.4f}")
    return max(excess - 0.01, 0)


atoms_of_peer = learn(x, start)
best = cost(sparse_encode(x, atoms_of_peer, algorithm="lasso_cd", alpha=1, max_iter=1000), 1, atoms_of_peer)
filigree.close()
filigree = Filigree(x, start)
online = {
    "scikit-learn, MiniBatchDictionaryLearning": timed(lambda: learn(x, start)),
    "Filigree, online_dictionary_learning": ours("online", ATOMS),
}
compare(f"online dictionary learning, {PASSES} passes by batches of {BATCH}, {title}", online, learned_excess)
filigree.close()
