# SPDX-License-Identifier: MIT
"""transformers, LongformerModel

A model with random weights, exact in float, and its files as transformers writes them: `config.json` and
`model.safetensors`. 23 words, 1 type, 34 rows of positions, width 12, 2 layers, 3 heads, 20 hidden features, windows of
4 and 8 keys. `ids` are the words and types of three texts, one after another, of the given `lengths`; the first token
of each is global. `output` are the last hidden states, without the pooler, in double, and without the conversion of
scores to float32 that the model has for every scalar.
"""

from unittest import mock

import numpy as np
import torch
from transformers import LongformerConfig, LongformerModel


def write(fixture):
    rng = np.random.default_rng(35)
    config = LongformerConfig(
        vocab_size=23,
        type_vocab_size=1,
        hidden_size=12,
        num_hidden_layers=2,
        num_attention_heads=3,
        intermediate_size=20,
        max_position_embeddings=34,
        attention_window=[4, 8],
        pad_token_id=1,
        layer_norm_eps=1e-5,
    )
    model = LongformerModel(config).eval()
    for parameter in model.parameters():
        parameter.data = torch.from_numpy((0.5 * rng.standard_normal(parameter.shape)).astype(np.float32))
    model.save_pretrained(fixture.folder)
    model = model.double()
    lengths = [32, 1, 19]
    ids = np.stack([rng.integers(2, 23, sum(lengths)), np.zeros(sum(lengths), np.int64)], axis=1)
    softmax = torch.nn.functional.softmax
    outputs, first = [], 0
    for length in lengths:
        words = torch.from_numpy(ids[first : first + length, 0])[None]
        is_global = torch.zeros_like(words)
        is_global[0, 0] = 1
        with (
            torch.no_grad(),
            mock.patch.object(torch.nn.functional, "softmax", lambda x, dim, dtype=None: softmax(x, dim=dim)),
        ):
            states = model(words, global_attention_mask=is_global).last_hidden_state[0]
        outputs.append(states[:length].numpy())
        first += length
    fixture.save(ids=ids, lengths=np.array(lengths), output=np.concatenate(outputs))
