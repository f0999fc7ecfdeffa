# SPDX-License-Identifier: MIT
"""transformers, LongformerSelfAttention

Seed 11; n = 48, 3 heads of width 4. Linear layers y = x W' + b with W stored as (out, in). A local row attends to its
window and to the global tokens, with the projections query, key and value. A global row attends to all keys, with the
projections query_global, key_global and value_global. Both use the scale 1 / sqrt(4). Cases: `local` (w = 8, no global
token), `global` (w = 8), `wide` (w = 16, global tokens next to each other and at the end), `padded` (w = 8, positions
from `length` on are padding: no query attends to their keys, and their rows are 0).

The layer computes its softmax in float32 for every scalar. `output` is the result of the layer in double without this
conversion. `output_as_it_is` is the result of the unmodified layer.

`d_output` is the gradient of L = sum(output * d_output) by `output`. For `global` and `padded`, torch.autograd computed
the gradients of L by the hidden states (`d_hidden`) and by weight and bias of each linear layer (`d_query_weight` and
similar names), also without the conversion.
"""

from unittest import mock

import numpy as np
import torch
from transformers import LongformerConfig
from transformers.models.longformer.modeling_longformer import LongformerSelfAttention

from references.common import double, gradients, linear_weights, normal, set_linears

heads, width, n = 3, 4, 48
linears = ("query", "key", "value", "query_global", "key_global", "value_global")


def run(layer, hidden, ids, length):
    """Returns the output for hidden states. The mask is -10000 for padding, 10000 for a global token, else 0."""
    mask = torch.zeros(1, n, dtype=torch.double)
    mask[0, length:] = -10000
    mask[0, ids] = 10000
    out = layer(
        hidden[None],
        attention_mask=mask,
        is_index_masked=mask < 0,
        is_index_global_attn=mask > 0,
        is_global_attn=len(ids) > 0,
    )
    return out[0][0]


def write(fixture):
    rng = np.random.default_rng(11)
    hidden = normal(rng, n, heads * width)
    softmax = torch.nn.functional.softmax
    cases = {"local": (8, [], n), "global": (8, [0, 5, 30], n), "wide": (16, [7, 8, 47], n), "padded": (8, [0, 20], 41)}
    weights = linear_weights(rng, linears, heads * width)
    d_output = normal(rng, n, heads * width)
    for case, (window, ids, length) in cases.items():
        config = LongformerConfig(
            hidden_size=heads * width,
            num_attention_heads=heads,
            attention_window=[window],
            num_hidden_layers=1,
            attention_probs_dropout_prob=0.0,
        )
        layer = LongformerSelfAttention(config, 0).double().eval()
        set_linears(layer, weights)
        x = double(hidden).requires_grad_()
        as_it_is = run(layer, x, ids, length).detach()
        with mock.patch.object(torch.nn.functional, "softmax", lambda x, dim, dtype: softmax(x, dim=dim)):
            output = run(layer, x, ids, length)
        by = gradients(output, d_output, x, layer, linears) if case in ("global", "padded") else {}
        ids, output = np.array(ids, np.int64), output.detach()
        fixture.save(case, window=window, ids=ids, length=length, output=output, output_as_it_is=as_it_is, **by)
    fixture.save(hidden=hidden, d_output=d_output, **weights)
