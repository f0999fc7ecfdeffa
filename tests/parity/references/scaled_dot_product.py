# SPDX-License-Identifier: MIT
"""torch.nn.functional.scaled_dot_product_attention

Seed 17; 21 queries, 33 keys, 2 heads of width 5, values of width 7 per head. Cases: `plain`, `scaled` (scale = 0.3),
`causal` (is_causal: queries and keys are numbered from 0, and query i attends to keys 0 to i), `masked` (a boolean
`mask`, (21, 33), with one empty row, whose output is 0), `biased` (a float mask `bias` that is added to the scores).
"""

import numpy as np
import torch

from references.common import double, from_heads, normal, to_heads

n, m, heads = 21, 33, 2


def write(fixture):
    rng = np.random.default_rng(17)
    q, k, v = normal(rng, n, heads * 5), normal(rng, m, heads * 5), normal(rng, m, heads * 7)
    fixture.save(query=q, key=k, value=v)
    mask, bias = rng.random((n, m)) < 0.3, normal(rng, n, m)
    mask[6] = False

    def run(**options):
        operands = (to_heads(x, heads) for x in (q, k, v))
        return from_heads(torch.nn.functional.scaled_dot_product_attention(*operands, **options))

    fixture.save("plain", output=run())
    fixture.save("scaled", output=run(scale=0.3))
    fixture.save("causal", output=run(is_causal=True))
    fixture.save("masked", mask=mask, output=run(attn_mask=torch.from_numpy(mask)))
    fixture.save("biased", bias=bias, output=run(attn_mask=double(bias)))
