# SPDX-License-Identifier: MIT
"""torch.autograd through attention

Seed 18; 13 queries, 21 keys, 4 heads of width 5, values of width 6 per head. `d_output` is the gradient by the output;
`dq`, `dk` and `dv` are those by query, key and value. Through scaled_dot_product_attention: `plain`, `causal` (queries
and keys are numbered from 0), `masked` (a boolean `mask` with one empty row), `biased` (a float mask `bias`, with its
gradient `d_bias`), `grouped` (2 heads of keys and values). Through the formula of flex_attention, since its backward
pass does not run on processors: `alibi` (`slopes` of the heads, with `d_slopes`), `softcap` (`cap`, with `d_cap`),
`relative_bias` (`table`, with `d_table`), `documents` (equal ids of the first 13 positions). Through entmax with a causal
mask: `sparsemax`, `entmax15`.
"""

import entmax
import numpy as np
import torch

from references.common import double, from_heads, normal

n, m, heads, d, dv, reach = 13, 21, 4, 5, 6, 4


def to_heads(x, count):
    """Converts a tensor (n, count * width) to (1, count, n, width)."""
    return x.view(len(x), count, -1).transpose(0, 1)[None]


def write(fixture):
    rng = np.random.default_rng(18)
    q, k, v = normal(rng, n, heads * d), normal(rng, m, heads * d), normal(rng, m, heads * dv)
    d_output, bias, table = normal(rng, n, heads * dv), normal(rng, n, m), normal(rng, 2 * reach + 1)
    slopes, cap = np.array([0.5, 0.25, 0.125, 1], np.float32), np.array([1.5], np.float32)
    mask, ids = rng.random((n, m)) < 0.4, np.repeat([0, 3, 4], [3, 6, 4])
    mask[5] = False
    fixture.save(query=q, key=k, value=v, d_output=d_output)
    fixture.save(bias=bias, table=table, slopes=slopes, cap=cap, mask=mask, ids=ids)
    rows, columns = torch.arange(n)[:, None], torch.arange(m)[None, :]

    def run(case, attention, hkv=heads, keys=m, **parameters):
        operands = [double(x).requires_grad_() for x in (q, k[:keys, : hkv * d], v[:keys, : hkv * dv])]
        given = {name: double(x).requires_grad_() for name, x in parameters.items()}
        out = attention(*(to_heads(x, h) for x, h in zip(operands, (heads, hkv, hkv))), **given)
        out.backward(to_heads(double(d_output), heads))
        gradients = {f"d_{name}": x.grad.numpy() for name, x in given.items()}
        dq, dk, dv_ = (x.grad.numpy() for x in operands)
        fixture.save(case, output=from_heads(out.detach()), dq=dq, dk=dk, dv=dv_, **gradients)

    fused = torch.nn.functional.scaled_dot_product_attention
    run("plain", fused)
    run("causal", lambda *x: fused(*x, is_causal=True))
    run("masked", lambda *x: fused(*x, attn_mask=torch.from_numpy(mask)))
    run("biased", lambda *x, bias: fused(*x, attn_mask=bias), bias=bias)
    run("grouped", lambda *x: fused(*x, enable_gqa=True), hkv=2)

    def weighted(change, normalize=lambda s: s.softmax(-1), mask=None):
        def attention(q, k, v, **parameters):
            s = change(q @ k.transpose(-1, -2) / d**0.5, **parameters)
            return normalize(s if mask is None else s.masked_fill(~mask, -torch.inf)) @ v

        return attention

    run("alibi", weighted(lambda s, slopes: s - slopes[:, None, None] * (rows - columns).abs()), slopes=slopes)
    run("softcap", weighted(lambda s, cap: cap * torch.tanh(s / cap)), cap=cap)
    clamped = (columns - rows + reach).clamp(0, 2 * reach)
    run("relative_bias", weighted(lambda s, table: s + table[clamped]), table=table)
    document = torch.from_numpy(ids)
    run("documents", weighted(lambda s: s, mask=document[:, None] == document[None, :]), keys=n)
    causal = columns <= rows
    for name in ("sparsemax", "entmax15"):
        run(name, weighted(lambda s: s, lambda s: getattr(entmax, name)(s, dim=-1), causal))
