# SPDX-License-Identifier: MIT
"""transformers, InformerProbSparseAttention

Seed 19; n = m = 40, 2 heads of width 4, sampling_factor c = 2, no dropout, identity as output projection. `query`,
`key` and `value` are the projections of random hidden states (`query` before its scale 1 / sqrt(4)). `sample` holds the
keys that the layer drew, `measure` (heads, n) the measure M, and `active` (heads, u) the active rows, largest M first.
The script computes `measure` and `active` from the other arrays in NumPy and checks that the output follows from them.
Cases: `encoder`, `decoder` (is_decoder with a causal mask).

Differences from the original formulas (next section):

- One sample is drawn for all queries, by torch.randint(0, m, (U,)), instead of one for each query.
- Its size is U = min(c n ceil(ln(1 + m)), m), with a factor n. Here, as for most sizes, U = m. The number of active rows
  is u = min(c ceil(ln(1 + n)), n).
- M is computed from scaled dot products, which does not change the order.
- The decoder's cumulative sum of values is computed in float32. Its lazy rows are accurate to about 1e-7.
"""

import math
from unittest import mock

import numpy as np
import torch
from transformers.models.informer.modeling_informer import InformerProbSparseAttention

from references.common import double, linear_weights, normal, set_linears, softmax

n, heads, width, c = 40, 2, 4, 2


def write(fixture):
    for case, causal in {"encoder": False, "decoder": True}.items():
        rng = np.random.default_rng(19)
        torch.manual_seed(19)
        layer = InformerProbSparseAttention(heads * width, heads, is_decoder=causal, sampling_factor=c).double().eval()
        hidden = normal(rng, n, heads * width)
        set_linears(layer, linear_weights(rng, ("q_proj", "k_proj", "v_proj"), heads * width))
        layer.out_proj.weight.data = torch.eye(heads * width, dtype=torch.double)
        layer.out_proj.bias.data.zero_()
        mask = torch.zeros(1, 1, n, n, dtype=torch.double)
        if causal:
            mask += torch.full((n, n), -math.inf, dtype=torch.double).triu(1)
        drawn = []
        randint = torch.randint

        def record(*arguments):
            drawn.append(randint(*arguments))
            return drawn[-1]

        with torch.no_grad(), mock.patch.object(torch, "randint", record):
            output = layer(double(hidden)[None], attention_mask=mask)[0][0].numpy()
            q, k, v = (getattr(layer, f"{name}_proj")(double(hidden)).numpy() for name in "qkv")
        (sample,) = (x.numpy() for x in drawn)
        assert len(sample) == min(c * n * math.ceil(math.log1p(n)), n)

        measures, actives = [], []
        for h in range(heads):
            part = slice(h * width, (h + 1) * width)
            scores = q[:, part] @ k[:, part].T / math.sqrt(width)
            measure = scores[:, sample].max(axis=1) - scores[:, sample].sum(axis=1) / n
            active = np.argsort(-measure, kind="stable")[: c * math.ceil(math.log1p(n))]
            expected = np.cumsum(v[:, part], axis=0) if causal else np.tile(v[:, part].mean(axis=0), (n, 1))
            expected[active] = softmax(scores + mask[0, 0].numpy())[active] @ v[:, part]
            assert np.abs(expected - output[:, part]).max() < (1e-5 if causal else 1e-12)
            measures.append(measure)
            actives.append(active)
        fixture.save(case, query=q, key=k, value=v, sample=sample, c=c, output=output)
        fixture.save(case, measure=np.stack(measures), active=np.stack(actives))
