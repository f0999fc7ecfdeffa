# SPDX-License-Identifier: MIT
"""torch.nn.MultiheadAttention and torch.nn.TransformerDecoderLayer

Seed 33; d = 8, 2 heads, sequences of the lengths in `lengths`, one after another in `tokens`, each with a memory of its
own, of the lengths in `memory_lengths`. Each pair of a sequence and a memory ran alone. The parameters are those of the
module, with `_` for `.`; weights are stored as (out, in), and `in_proj` are the queries, then the keys, then the
values. Cases: `multihead` (MultiheadAttention with kdim = vdim = 6, memory `narrow`), `pre` (norm_first) and `post`
(TransformerDecoderLayer, 12 hidden features, gelu, a causal mask for the tokens, memory `memory`). torch.autograd
computed the gradients of L = mean(sum((output - target)², axis=1)) over all tokens, by the tokens (`d_tokens`), the
memory (`d_memory`) and each parameter (`d_` and its name).
"""

import numpy as np
import torch

from references.common import double, normal
from references.layers import lengths, randomize

d, heads, hidden, kv = 8, 2, 12, 6
memory_lengths = np.array([3, 7, 2, 41])


def write(fixture):
    rng = np.random.default_rng(33)
    tokens, target = normal(rng, lengths.sum(), d), normal(rng, lengths.sum(), d)
    memory, narrow = normal(rng, memory_lengths.sum(), d), normal(rng, memory_lengths.sum(), kv)

    def compare(case, module, run, other):
        module = module.double().eval()
        parameters = randomize(rng, module)
        x, m, named = double(tokens).requires_grad_(), double(other).requires_grad_(), dict(module.named_parameters())
        pairs = zip(x.split(lengths.tolist()), m.split(memory_lengths.tolist()))
        output = torch.cat([run(module, a[None], b[None])[0] for a, b in pairs])
        loss = (output - double(target)).square().sum() / len(tokens)
        d_tokens, d_memory, *by = torch.autograd.grad(loss, [x, m, *named.values()])
        gradients = {f"d_{name.replace('.', '_')}": gradient for name, gradient in zip(named, by)}
        fixture.save(case, output=output.detach(), d_tokens=d_tokens, d_memory=d_memory, **parameters, **gradients)

    attention = torch.nn.MultiheadAttention(d, heads, kdim=kv, vdim=kv, batch_first=True)
    compare("multihead", attention, lambda module, a, b: module(a, b, b, need_weights=False)[0], narrow)

    def decode(module, a, b):
        return module(a, b, tgt_mask=torch.full((a.shape[1], a.shape[1]), -torch.inf, dtype=torch.double).triu(1))

    for norm in ("pre", "post"):
        layer = torch.nn.TransformerDecoderLayer(
            d, heads, hidden, 0.0, "gelu", batch_first=True, norm_first=norm == "pre"
        )
        compare(norm, layer, decode, memory)
    fixture.save(
        lengths=lengths, memory_lengths=memory_lengths, tokens=tokens, target=target, memory=memory, narrow=narrow
    )
