# SPDX-License-Identifier: MIT
"""transformers, LSHSelfAttention

Seed 18, hash_seed 18; n = 48, 2 heads of width 4, chunks of 8 tokens, one preceding chunk and none following, 6
buckets, no dropout, no padding. Cases: `rounds_1` and `rounds_4`, each also as `_causal` (is_decoder). `query_key` and
`value` are the two projections of random hidden states, with the columns of the heads next to each other. `rotations`
(heads, d, rounds, buckets / 2) holds the random rotations of the layer, `buckets` (heads, rounds, n) the bucket of each
token, `output` the result before the output projection. `hidden` and the weights of the projections, y = x W' with W
stored as (out, in), are those of all cases.

`d_output` is the gradient of L = sum(output * d_output) by `output`. torch.autograd computed the gradients of L by the
hidden states (`d_hidden`) and by the weights (`d_query_key_weight`, `d_value_weight`). The buckets count as constant.

The layer computes the following. The script repeats it from these arrays without torch and compares:

- bucket = argmax over [x R, -x R].
- All rounds form one list of rounds × n positions, sorted by round, bucket and token (stable). The list is divided into
  chunks. A chunk attends to itself and to the preceding chunk of the list, the first chunk to the last one. The first
  chunk of a round therefore attends to the last chunk of the preceding round, not to the last chunk of its own round.
- Keys are q / sqrt(mean(q²) + 1e-6) / sqrt(d), with unit norm except for the 1e-6 (`_len_and_dim_norm`). Queries are q,
  and the scores have no other scale. `key` holds these keys.
- A token's own key has the score -1e5. With a causal mask, a later key has the score -1e9. Both get weight 0 in double.
  If a row has no other key, it is the token's own value (only to 1e-11, since logsumexps near -1e5 are rounded).
- Rounds are merged with weights exp(lse_round - logsumexp over rounds). This is one softmax in which a key that occurs
  c times counts c times, also if it occurs twice in a round because the preceding chunk is from another round.
"""

from unittest import mock

import numpy as np
import torch
from transformers import ReformerConfig
from transformers.models.reformer.modeling_reformer import LSHSelfAttention

from references.common import double, from_heads, gradients, linear_weights, normal, set_linears

n, heads, width, chunk, buckets = 48, 2, 4, 8, 6
linears = ("query_key", "value")


def replay(q, k, v, bucket, causal):
    """Returns the output of one head, computed from its buckets (rounds, n)."""
    rounds = len(bucket)
    order = np.concatenate([np.argsort(row, kind="stable") for row in bucket]).reshape(-1, chunk)
    counts = np.zeros((n, n))
    for at, tokens in enumerate(order):
        np.add.at(counts, (tokens[:, None], np.concatenate([order[at - 1], tokens])[None, :]), 1)
    assert counts.sum() == rounds * n * 2 * chunk
    counts *= 1 - np.eye(n)
    if causal:
        counts = np.tril(counts)
    alone = counts.sum(axis=1) == 0
    counts[alone, alone.nonzero()[0]] = 1
    weights = counts * np.exp(q @ k.T)
    return weights / weights.sum(axis=1, keepdims=True) @ v


def write(fixture):
    for rounds in (1, 4):
        for causal in (False, True):
            rng = np.random.default_rng(18)
            config = ReformerConfig(
                hidden_size=heads * width,
                attention_head_size=width,
                num_attention_heads=heads,
                lsh_attn_chunk_length=chunk,
                lsh_num_chunks_before=1,
                lsh_num_chunks_after=0,
                num_hashes=rounds,
                num_buckets=buckets,
                hash_seed=18,
                is_decoder=causal,
                lsh_attention_probs_dropout_prob=0.0,
            )
            layer = LSHSelfAttention(config).double().eval()
            hidden = normal(rng, n, heads * width)
            weights = linear_weights(rng, linears, heads * width, bias=False)
            d_output = normal(rng, n, heads * width)
            set_linears(layer, weights)
            drawn = []
            randn = torch.randn

            def record(*shape, **options):
                drawn.append(randn(*shape, **options))
                return drawn[-1]

            x = double(hidden).requires_grad_()
            with mock.patch.object(torch, "randn", record):
                out = layer(x[None])
            with torch.no_grad():
                query_key, value = layer.query_key(double(hidden)).numpy(), layer.value(double(hidden)).numpy()
                keys = layer.query_key(double(hidden)).view(1, n, heads, width).transpose(1, 2)
                keys = from_heads(layer._len_and_dim_norm(keys, width**0.5))
            (rotations,) = drawn
            bucket = out.buckets[0].view(heads, rounds, n).numpy() % buckets
            output = out.hidden_states[0].detach().numpy()
            for h in range(heads):
                part = slice(h * width, (h + 1) * width)
                rotated = np.einsum("td,drb->rtb", query_key[:, part], rotations[h].numpy())
                assert (np.concatenate([rotated, -rotated], axis=-1).argmax(axis=-1) == bucket[h]).all()
                ours = replay(query_key[:, part], keys[:, part], value[:, part], bucket[h], causal)
                assert np.abs(ours - output[:, part]).max() < 1e-10
            fixture.save(
                f"rounds_{rounds}{'_causal' if causal else ''}",
                query_key=query_key,
                key=keys,
                value=value,
                rotations=rotations.numpy(),
                buckets=bucket,
                chunk=chunk,
                num_buckets=buckets,
                output=output,
                **gradients(out.hidden_states[0], d_output, x, layer, linears),
            )
    fixture.save(hidden=hidden, d_output=d_output, **weights)
