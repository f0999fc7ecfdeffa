# SPDX-License-Identifier: MIT
"""the formulas of Child et al., arXiv:1904.10509, section 4.2, in NumPy

Seed 13; n = 33, one head of width 8, scale 1 / sqrt(8), softmax over the union of the two sets of a row, as in the
merged head of section 4.3. Strided, with stride l: A1(i) = {t, ..., i} with t = max(0, i - l), A2(i) = {j: (i - j) mod
l = 0}. Fixed, with stride l and c summary columns: A1(i) = {j: floor(j / l) = floor(i / l)}, A2(i) = {j: j mod l in
{l - c, ..., l - 1}}. All sets contain only j <= i.
"""

import numpy as np

from references.common import normal, softmax

n, d = 33, 8


def strided(i, l):
    return set(range(max(0, i - l), i + 1)) | {j for j in range(i + 1) if (i - j) % l == 0}


def fixed(i, l, c):
    return {j for j in range(i + 1) if j // l == i // l} | {j for j in range(i + 1) if j % l in range(l - c, l)}


def write(fixture):
    rng = np.random.default_rng(13)
    q, k, v = (normal(rng, n, d) for _ in range(3))
    fixture.save(query=q, key=k, value=v)
    scores = q.astype(np.float64) @ k.astype(np.float64).T / np.sqrt(d)
    cases = {f"strided_{l}": [strided(i, l) for i in range(n)] for l in (1, 7, 64)}
    cases |= {f"fixed_{l}_{c}": [fixed(i, l, c) for i in range(n)] for l, c in ((7, 2), (8, 8), (16, 0))}
    for case, sets in cases.items():
        keep = np.array([[j in row for j in range(n)] for row in sets])
        weights = softmax(scores, keep)
        fixture.save(case, weights=weights, output=weights @ v)
