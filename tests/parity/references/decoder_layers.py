# SPDX-License-Identifier: MIT
"""transformers, the layers of Llama, GPT-J and GPT-2

Seed 32; d = 8, sequences of the lengths in `lengths`, one after another in `tokens`. Each ran alone, with a causal mask.
The parameters are those of the module, with `_` for `.`; weights are stored as (out, in), those of Conv1D in `gpt2` as
(in, out). Cases: `rms_norm` (LlamaRMSNorm), `mlp` (LlamaMLP, 12 hidden features), `attention` (LlamaAttention, 4 heads
of width 6 for queries and 2 for keys and values, rope_theta = 500), `llama` (LlamaDecoderLayer of the same sizes), all
with rms_norm_eps = 0.01; `gptj` (GPTJAttention, 2 heads of width 4, rotary_dim = 2), `gpt2` (GPT2Block, 2 heads, 12
hidden features, gelu_new).

Llama and GPT-J convert norms, angles and scores to float32 for every scalar. `output` is the result in double without
these conversions. `output_as_it_is` is the result of the unmodified module. torch.autograd computed the gradients of L =
mean(sum((output - target)², axis=1)) over all tokens, by the tokens (`d_tokens`) and by each parameter (`d_` and its
name), also without the conversions.
"""

from unittest import mock

import numpy as np
import torch
from transformers import GPT2Config, GPTJConfig, LlamaConfig
from transformers.models.gpt2.modeling_gpt2 import GPT2Block
from transformers.models.gptj.modeling_gptj import GPTJAttention, create_sinusoidal_positions
from transformers.models.llama import modeling_llama as llama

from references.common import double, normal
from references.layers import additive_causal_mask, apart, lengths, randomize, save

d = 8


def without_conversions():
    return mock.patch.multiple(torch, float=torch.double, float32=torch.double)


def write(fixture):
    rng = np.random.default_rng(32)
    tokens, target = normal(rng, lengths.sum(), d), normal(rng, lengths.sum(), d)
    fixture.save(lengths=lengths, tokens=tokens, target=target)

    def compare(case, module, run, precise=None):
        module = module.double().eval()
        parameters = randomize(rng, module)
        as_it_is = apart(run, double(tokens)).detach()
        with without_conversions():
            save(fixture, case, module, precise or run, tokens, target, output_as_it_is=as_it_is, **parameters)

    config = LlamaConfig(
        hidden_size=d,
        num_attention_heads=4,
        num_key_value_heads=2,
        head_dim=6,
        intermediate_size=12,
        rms_norm_eps=0.01,
        rope_parameters={"rope_type": "default", "rope_theta": 500.0},
        attn_implementation="eager",
    )

    def positioned(module):
        def run(x):
            positions = torch.arange(x.shape[1])[None]
            rotary = llama.LlamaRotaryEmbedding(config)(x, positions)
            y = module(x, position_embeddings=rotary, attention_mask=additive_causal_mask(x.shape[1]))
            return y[0] if isinstance(y, tuple) else y

        return run

    norm, mlp = llama.LlamaRMSNorm(d, eps=0.01), llama.LlamaMLP(config)
    attention, layer = llama.LlamaAttention(config, 0), llama.LlamaDecoderLayer(config, 0)
    compare("rms_norm", norm, norm)
    compare("mlp", mlp, mlp)
    compare("attention", attention, positioned(attention))
    compare("llama", layer, positioned(layer))

    gptj = GPTJAttention(GPTJConfig(n_embd=d, n_head=2, rotary_dim=2, n_positions=128, attn_pdrop=0, resid_pdrop=0), 0)

    def rotated(x):
        n = x.shape[1]
        return gptj(x, position_ids=torch.arange(n)[None], attention_mask=additive_causal_mask(n))[0]

    default = torch.get_default_dtype()

    def rotated_in_double(x):
        torch.set_default_dtype(torch.double)  # create_sinusoidal_positions() takes the default
        gptj.embed_positions = create_sinusoidal_positions(128, 2)
        torch.set_default_dtype(default)
        return rotated(x)

    compare("gptj", gptj, rotated, rotated_in_double)

    config = GPT2Config(n_embd=d, n_head=2, n_inner=12, activation_function="gelu_new", attn_implementation="eager")
    gpt2 = GPT2Block(config, 0)
    compare("gpt2", gpt2, lambda x: gpt2(x, attention_mask=additive_causal_mask(x.shape[1])))
