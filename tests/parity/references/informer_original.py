# SPDX-License-Identifier: MIT
"""ProbSparse attention by the formulas of Zhou et al., arXiv:2012.07436, as implemented in Informer2020, in NumPy

Seed 20; 2 heads of width 4. U = min(c ceil(ln m), m) keys are drawn with replacement for each query, the same for all
heads: `sample` (n, U). With dot products without scale and mask, the measure is M(i) = max over the sample - (sum over
the sample) / m: `measure` (heads, n). The u = min(c ceil(ln n), n) queries with the largest M are active: `active`
(heads, u), largest M first. They attend to all keys with scale 1 / sqrt(4); in the causal case, to the keys up to their
own position. Every other row is lazy: its output is the mean of all values; in the causal case of the reference, their
cumulative sum (`output`). `output_mean` has the mean of the visible values in these rows. Cases: `plain` (n = m = 40,
c = 2), `cross` (n = 23, m = 40, c = 1), `causal` (n = m = 40, c = 2), `everything` (n = m = 12, c = 5, where all rows
are active and U = m).
"""

import math

import numpy as np

from references.common import normal, softmax

heads, width = 2, 4


def attention(q, k, v, sample, c, causal):
    """Returns M, the active rows, the output, and the output with means instead of sums, of one head."""
    n, m = len(q), len(k)
    sampled = np.einsum("id,isd->is", q, k[sample])
    measure = sampled.max(axis=1) - sampled.sum(axis=1) / m
    active = np.argsort(-measure, kind="stable")[: min(c * math.ceil(math.log(n)), n)]
    lazy = np.cumsum(v, axis=0) if causal else np.tile(v.mean(axis=0), (n, 1))
    mean = lazy / np.arange(1, n + 1)[:, None] if causal else lazy
    keep = np.tril(np.ones((n, m), bool)) if causal else np.ones((n, m), bool)
    attended = softmax(q[active] @ k.T / math.sqrt(width), keep[active]) @ v
    outputs = lazy.copy(), mean.copy()
    for output in outputs:
        output[active] = attended
    return measure, active, *outputs


def write(fixture):
    rng = np.random.default_rng(20)
    cases = {
        "plain": (40, 40, 2, False),
        "cross": (23, 40, 1, False),
        "causal": (40, 40, 2, True),
        "everything": (12, 12, 5, False),
    }
    for case, (n, m, c, causal) in cases.items():
        q, k, v = (normal(rng, rows, heads * width) for rows in (n, m, m))
        sample = rng.integers(0, m, (n, min(c * math.ceil(math.log(m)), m)))
        parts = (slice(h * width, (h + 1) * width) for h in range(heads))
        results = [attention(*(x[:, at].astype(np.float64) for x in (q, k, v)), sample, c, causal) for at in parts]
        measure, active, output, mean = zip(*results)
        fixture.save(case, query=q, key=k, value=v, sample=sample, c=c, output=np.concatenate(output, axis=1))
        fixture.save(case, measure=np.stack(measure), active=np.stack(active))
        if causal:
            fixture.save(case, output_mean=np.concatenate(mean, axis=1))
