# SPDX-License-Identifier: MIT
"""transformers, BigBirdBlockSparseAttention

Seed 12; 3 heads of width 4, linear layers y = x W' + b with W stored as (out, in). The inputs are the first n rows of
`hidden`. `draw` (heads, blocks, r) holds the random blocks that the layer drew for each head and block of queries. It
is -1 for the first and the last block, which attend to all keys. Cases, with r = 2: `regular` (12 blocks of 4; with
more than 2 r + 5 blocks, only the first 2 r + 5 are drawn), `short` (7 blocks of 4, drawn from all), `padded`
(`regular`, positions from `length` on are padding).

Two cases cover defects of the reference. `repeated` (8 blocks of 128): with 1024, 3072 and 4096 tokens the reference
draws from old tables, and its third and second last blocks may draw blocks of their window. `evaluation` (`short`):
outside of training the reference always draws block 0, which is already global. A key that occurs c times gets c times
the weight there, while BigBird is defined by a set of keys.

The first n rows of `d_output` are the gradient of L = sum(output * d_output) by `output`. For `short`, `padded` and
`evaluation`, torch.autograd computed the gradients of L by the hidden states (`d_hidden`) and by weight and bias of
each linear layer (`d_query_weight` and similar names).

Not covered: more than r + 5 and at most 2 r + 5 blocks. With small r the reference finds no block to draw and fails.
"""

from unittest import mock

import numpy as np
import torch
from transformers import BigBirdConfig
from transformers.models.big_bird.modeling_big_bird import BigBirdBlockSparseAttention, BigBirdModel

from references.common import double, gradients, linear_weights, normal, set_linears

heads, width = 3, 4
linears = ("query", "key", "value")


def run(layer, hidden, length):
    """Returns the output for hidden states, and the drawn blocks as (heads, blocks - 2, r)."""
    mask = torch.ones(1, len(hidden), dtype=torch.double)
    mask[0, length:] = 0
    blocked, band, rows, columns = BigBirdModel.create_masks_for_block_sparse_attn(mask, layer.block_size)
    draws = []
    mask_of = layer._create_rand_mask_from_inputs

    def record(from_mask, to_mask, draw, *rest):
        draws.append(draw[0].numpy())
        return mask_of(from_mask, to_mask, draw, *rest)

    with mock.patch.object(layer, "_create_rand_mask_from_inputs", record):
        out, _ = layer(hidden[None], band, rows, columns, blocked, blocked)
    return out[0], *draws


def write(fixture):
    rng = np.random.default_rng(12)
    cases = {
        "regular": (12, 4, 48, True),
        "short": (7, 4, 28, True),
        "padded": (12, 4, 41, True),
        "repeated": (8, 128, 1024, True),
        "evaluation": (7, 4, 28, False),
    }
    hidden = normal(rng, 1024, heads * width)
    weights = linear_weights(rng, linears, heads * width)
    d_output = normal(rng, 48, heads * width)
    for case, (blocks, block, length, training) in cases.items():
        config = BigBirdConfig(
            hidden_size=heads * width,
            num_attention_heads=heads,
            block_size=block,
            num_random_blocks=2,
            max_position_embeddings=1024,
            use_bias=True,
        )
        layer = BigBirdBlockSparseAttention(config, seed=12).double().train(training)
        set_linears(layer, weights)
        x = double(hidden[: blocks * block]).requires_grad_()
        output, inner = run(layer, x, length)
        with_gradients = case in ("short", "padded", "evaluation")
        by = gradients(output, d_output[: len(x)], x, layer, linears) if with_gradients else {}
        draw = np.full((heads, blocks, 2), -1)
        draw[:, 1:-1] = inner
        fixture.save(case, draw=draw, block=block, length=length, output=output.detach(), **by)
    fixture.save(hidden=hidden, d_output=d_output, **weights)
