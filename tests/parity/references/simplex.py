# SPDX-License-Identifier: MIT
"""entmax: sparsemax, entmax15 and entmax_bisect

Seed 15; each case has a matrix `rows` and the weights of each row: `normal`, `ties` (integers, constant rows),
`negative` (all below -3), `large` (magnitudes up to 1e6), `sharp` (one entry much larger than the others), `long` (400
entries), `pair` (2 entries), `single` (1 entry). `entmax_105` is entmax_bisect with alpha = 1.05 and 80 bisection
steps; the other names are formed in the same way.
"""

import entmax
import numpy as np

from references.common import double, normal


def write(fixture):
    rng = np.random.default_rng(15)
    ties = rng.integers(-2, 3, (12, 9)).astype(np.float32)
    ties[0], ties[1] = 0.75, -3
    ties[2, 4:] = ties[2, 0]
    sharp = normal(rng, 4, 11)
    sharp[np.arange(4), [0, 3, 7, 10]] += 50
    cases = {
        "normal": normal(rng, 16, 21),
        "ties": ties,
        "negative": -np.abs(normal(rng, 6, 17)) - 3,
        "large": normal(rng, 8, 13) * np.float32(10) ** np.arange(-1, 7, dtype=np.float32)[:, None],
        "sharp": sharp,
        "long": normal(rng, 3, 400, scale=0.05),
        "pair": np.array([[0, 0], [0, 1], [0, 2], [0, 0.5], [-7, -7.25], [3, -3]], np.float32),
        "single": np.array([[0], [-5], [1e6]], np.float32),
    }
    for case, rows in cases.items():
        x = double(rows)
        bisected = {
            f"entmax_{alpha}": entmax.entmax_bisect(x, alpha / 100, n_iter=80).numpy()
            for alpha in (105, 125, 150, 175, 200)
        }
        fixture.save(
            case, rows=rows, sparsemax=entmax.sparsemax(x).numpy(), entmax15=entmax.entmax15(x).numpy(), **bisected
        )
