# SPDX-License-Identifier: MIT
"""transformers, LongformerLayer

Seed 34; width 12, 3 heads, 20 hidden features, attention_window 8, layer_norm_eps = 1e-5. Sequences of the lengths in
`lengths`, one after another in `tokens`, ran alone. The tokens with the positions `globals` are global in each sequence;
negative positions count from its end. The parameters are those of the module, with `_` for `.`; weights are stored as
(out, in).

The layer computes its softmax in float32 for every scalar. `output` is the result of the layer in double without this
conversion. torch.autograd computed the gradients of L = mean(sum((output - target)², axis=1)) over all tokens, by the
tokens (`d_tokens`) and by each parameter (`d_` and its name), also without the conversion.
"""

from unittest import mock

import numpy as np
import torch
from transformers import LongformerConfig
from transformers.models.longformer.modeling_longformer import LongformerLayer

from references.common import double, normal
from references.layers import randomize

heads, width = 3, 12
lengths, positions = np.array([48, 16, 24]), np.array([0, 5, -1])


def run(layer, x):
    """Returns the output for one sequence. The mask is 10000 for a global token, else 0."""
    mask = torch.zeros(1, len(x), dtype=torch.double)
    mask[0, positions] = 10000
    return layer(
        x[None],
        attention_mask=mask,
        is_index_masked=mask < 0,
        is_index_global_attn=mask > 0,
        is_global_attn=True,
    )[0][0]


def write(fixture):
    rng = np.random.default_rng(34)
    tokens, target = normal(rng, lengths.sum(), width), normal(rng, lengths.sum(), width)
    config = LongformerConfig(
        hidden_size=width,
        num_attention_heads=heads,
        intermediate_size=20,
        attention_window=[8],
        num_hidden_layers=1,
        layer_norm_eps=1e-5,
    )
    layer = LongformerLayer(config, 0).double().eval()
    parameters = randomize(rng, layer)
    x, named = double(tokens).requires_grad_(), dict(layer.named_parameters())
    softmax = torch.nn.functional.softmax
    with mock.patch.object(torch.nn.functional, "softmax", lambda x, dim, dtype=None: softmax(x, dim=dim)):
        output = torch.cat([run(layer, sequence) for sequence in x.split(lengths.tolist())])
        loss = (output - double(target)).square().sum() / len(tokens)
        d_tokens, *by = torch.autograd.grad(loss, [x, *named.values()])
    gradients = {f"d_{name.replace('.', '_')}": gradient for name, gradient in zip(named, by)}
    fixture.save(
        lengths=lengths, globals=positions, tokens=tokens, target=target, output=output.detach(), d_tokens=d_tokens,
        **parameters, **gradients
    )
