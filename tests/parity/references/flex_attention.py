# SPDX-License-Identifier: MIT
"""torch.nn.attention.flex_attention, eager

Seed 16; n = m = 37, 4 heads of width 6, scale 1 / sqrt(6). Cases with a score_mod: `alibi` (s - slopes[head]
abs(q - k)), `softcap` (5 tanh(s / 5)), `relative_bias` (s + table[clamp(k - q + 6, 0, 12)]), `all_maps` (these three
in this order, with a causal mask). Cases with a mask: `documents` (equal `ids`), `packed` (equal ids and k <= q),
`earlier` (equal ids and k < q; the first row of each document is empty, and its output is 0). `grouped` has 4 query
heads and 2 heads of keys and values (enable_gqa), with a causal mask. `lse` is the logsumexp (rows, heads).
"""

import numpy as np
import torch
from torch.nn.attention.flex_attention import AuxRequest, create_block_mask, flex_attention

from references.common import double, from_heads, normal, to_heads

n, heads, width, cap, reach = 37, 4, 6, 5.0, 6


def write(fixture):
    rng = np.random.default_rng(16)
    q, k, v = (normal(rng, n, heads * width, scale=1.5) for _ in range(3))
    table, slopes = normal(rng, 2 * reach + 1), np.array([0.5, 0.25, 0.125, 1], np.float32)
    ids = np.repeat([0, 3, 4, 4, 9], [1, 9, 7, 8, 12])
    fixture.save(query=q, key=k, value=v, table=table, slopes=slopes, ids=ids)
    bias, slope, document = double(table), double(slopes), torch.from_numpy(ids)

    def alibi(s, b, h, i, j):
        return s - slope[h] * (i - j).abs()

    def softcap(s, b, h, i, j):
        return cap * torch.tanh(s / cap)

    def relative_bias(s, b, h, i, j):
        return s + bias[(j - i + reach).clamp(0, 2 * reach)]

    def all_maps(s, *at):
        return relative_bias(softcap(alibi(s, *at), *at), *at)

    def causal(b, h, i, j):
        return j <= i

    def same_document(b, h, i, j):
        return document[i] == document[j]

    def run(score_mod=None, mask=None, hkv=heads):
        keys, values = (to_heads(x[:, : hkv * width], hkv) for x in (k, v))
        block_mask = create_block_mask(mask, None, None, n, n, device="cpu") if mask else None
        out, rest = flex_attention(
            to_heads(q, heads),
            keys,
            values,
            score_mod=score_mod,
            block_mask=block_mask,
            enable_gqa=hkv != heads,
            return_aux=AuxRequest(lse=True),
        )
        return {"output": from_heads(out), "lse": rest.lse[0].T.numpy()}

    fixture.save("alibi", **run(alibi))
    fixture.save("softcap", **run(softcap))
    fixture.save("relative_bias", **run(relative_bias))
    fixture.save("all_maps", **run(all_maps, causal))
    fixture.save("documents", **run(mask=same_document))
    fixture.save("packed", **run(mask=lambda b, h, i, j: same_document(b, h, i, j) & (j <= i)))
    fixture.save("earlier", **run(mask=lambda b, h, i, j: same_document(b, h, i, j) & (j < i)))
    fixture.save("grouped", **run(mask=causal, hkv=2))
