# SPDX-License-Identifier: MIT
"""the neighborhood of Hassani et al., arXiv:2204.07143, in NumPy, and NATTEN itself

Seed 14; n = 29, 2 heads of width 8, scale 1 / sqrt(8), windows of 2, 5, 6 and 29 keys. The window of row i begins at
i - floor(w / 2), clamped to [0, n - w]. `output` is the formula in double. `output_natten` is natten.na1d with its Flex
backend in float32. This backend runs without CUDA and does not support double.
"""

import natten
import numpy as np
import torch

from references.common import normal, softmax

n, heads, width = 29, 2, 8


def begin(i, w):
    if i - w // 2 < 0:
        return 0
    if i - w // 2 + w > n:
        return n - w
    return i - w // 2


def write(fixture):
    rng = np.random.default_rng(14)
    q, k, v = (normal(rng, n, heads * width) for _ in range(3))
    fixture.save(query=q, key=k, value=v)
    for w in (2, 5, 6, 29):
        keep = np.array([[begin(i, w) <= j < begin(i, w) + w for j in range(n)] for i in range(n)])
        parts = []
        for h in range(heads):
            q_h, k_h, v_h = (x[:, h * width : (h + 1) * width].astype(np.float64) for x in (q, k, v))
            parts.append(softmax(q_h @ k_h.T / np.sqrt(width), keep) @ v_h)
        tensors = (torch.from_numpy(x).view(1, n, heads, width) for x in (q, k, v))
        theirs = natten.na1d(*tensors, kernel_size=w, backend="flex-fna")
        theirs = theirs.view(n, heads * width).numpy().astype(np.float64)
        fixture.save(f"width_{w}", width=w, output=np.concatenate(parts, axis=1), output_natten=theirs)
