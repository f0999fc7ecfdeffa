# SPDX-License-Identifier: MIT
"""torch.nn.TransformerEncoderLayer

Seed 31; d = 8, 2 heads, 12 hidden features, sequences of the lengths in `lengths`, one after another in `tokens`. Each
ran alone. The parameters are those of the module, with `_` for `.`; weights are stored as (out, in), and
`self_attn_in_proj` are the queries, then the keys, then the values. Cases: `pre` (norm_first) and `post`, each with the
activation `relu` and `gelu`. torch.autograd computed the gradients of L = mean(sum((output - target)², axis=1)) over all
tokens, by the tokens (`d_tokens`) and by each parameter (`d_` and its name).
"""

import numpy as np
import torch

from references.common import normal
from references.layers import lengths, randomize, save

d, heads, hidden = 8, 2, 12


def write(fixture):
    rng = np.random.default_rng(31)
    tokens, target = normal(rng, lengths.sum(), d), normal(rng, lengths.sum(), d)
    for norm in ("pre", "post"):
        for activation in ("relu", "gelu"):
            layer = torch.nn.TransformerEncoderLayer(
                d, heads, hidden, 0.0, activation, batch_first=True, norm_first=norm == "pre", dtype=torch.double
            ).eval()
            parameters = randomize(np.random.default_rng(310), layer)
            save(fixture, f"{norm}_{activation}", layer, layer, tokens, target)
    fixture.save(lengths=lengths, tokens=tokens, target=target, **parameters)
