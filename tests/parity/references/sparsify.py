# SPDX-License-Identifier: MIT
"""directories that sparsify writes, and its results for them

Seed 32; 12 samples x of width 10, 24 latents. Each case is a directory with `cfg.json` and `sae.safetensors`, as
sparsify saves it. `codes` and `output` are its results in double after it has loaded the directory. Cases: `topk`
(k = 4, number of latents given by num_latents), `many` (k = 16, more than the number of positive latents),
`skip_transcoder` (k = 4, with a skip connection, number of latents given by expansion_factor: 20), `groupmax` (k = 4).
"""

import numpy as np
import torch
from sparsify import SparseCoder, SparseCoderConfig

from references.autoencoder import apart, latents, samples, width
from references.common import double, normal


def results(folder, x):
    """Returns the codes and outputs that sparsify computes from a directory."""
    sae = SparseCoder.load_from_disk(folder).double()
    with torch.no_grad():
        encoded = sae.encode(x)
        codes = torch.zeros_like(encoded.pre_acts).scatter(1, encoded.top_indices.long(), encoded.top_acts)
        ranked = encoded.pre_acts.topk(sae.cfg.k + 1, dim=1).values
        apart(torch.where(ranked[:, -2] > 0, ranked[:, -2] - ranked[:, -1], 1))  # the order of zeros does not matter
        return {"codes": codes.numpy(), "output": sae(x).sae_out.numpy()}


def write(fixture):
    rng = np.random.default_rng(32)
    x = normal(rng, samples, width)
    fixture.save(x=x)
    cases = {
        "topk": {"num_latents": latents, "k": 4},
        "many": {"num_latents": latents, "k": 16},
        "skip_transcoder": {"expansion_factor": 2, "k": 4, "skip_connection": True, "transcode": True},
        "groupmax": {"num_latents": latents, "k": 4, "activation": "groupmax"},
    }
    for name, options in cases.items():
        sae = SparseCoder(width, SparseCoderConfig(**options))
        for parameter in sae.parameters():
            parameter.data = torch.from_numpy(normal(rng, *parameter.shape, scale=0.5))
        sae.save_to_disk(fixture.folder / name)
        fixture.save(name, **results(fixture.folder / name, double(x)))
