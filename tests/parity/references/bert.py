# SPDX-License-Identifier: MIT
"""transformers, BertModel

A model with random weights, exact in float, and its files as transformers writes them: `config.json` and
`model.safetensors`. 23 words, 2 types, 9 positions, width 12, 2 layers, 3 heads, 20 hidden features. `ids` are the words
and types of three texts, one after another, of the given `lengths`; `output` are the last hidden states, without the
pooler, in double.
"""

import numpy as np
import torch
from transformers import BertConfig, BertModel


def write(fixture):
    rng = np.random.default_rng(29)
    config = BertConfig(
        vocab_size=23,
        hidden_size=12,
        num_hidden_layers=2,
        num_attention_heads=3,
        intermediate_size=20,
        max_position_embeddings=9,
        attn_implementation="eager",
    )
    model = BertModel(config).eval()
    for parameter in model.parameters():
        parameter.data = torch.from_numpy((0.5 * rng.standard_normal(parameter.shape)).astype(np.float32))
    model.save_pretrained(fixture.folder)
    model = model.double()
    lengths = [9, 1, 6]
    ids = np.stack([rng.integers(0, 23, sum(lengths)), rng.integers(0, 2, sum(lengths))], axis=1)
    outputs, first = [], 0
    for length in lengths:
        words, types = torch.from_numpy(ids[first : first + length]).T
        with torch.no_grad():
            outputs.append(model(words[None], token_type_ids=types[None]).last_hidden_state[0].numpy())
        first += length
    fixture.save(ids=ids, lengths=np.array(lengths), output=np.concatenate(outputs))
