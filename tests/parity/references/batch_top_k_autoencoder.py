# SPDX-License-Identifier: MIT
"""the BatchTopK autoencoder of Bussmann et al., arXiv:2412.06410, by torch and its autograd

Seed 22; 12 samples x of width 10, 24 latents, rows of w_dec with unit norm (as floats). z = (x - b_pre) w_enc + b_enc.
`codes` are a = relu(z for the k N largest z of the whole batch of N = 12, else 0), `output` is a w_dec + b_pre, and
`loss` is the mean over samples of |x - output|². `grad_w_enc` and similar names are its gradients. Cases: `k_1` (a
sample may have no active latent), `k_4`, `k_18` (some of the selected z are negative and become 0).
"""

import numpy as np
import torch

from references import autoencoder
from references.autoencoder import apart, largest, save, squared_error


def write(fixture):
    arrays = autoencoder.arrays(np.random.default_rng(22), "b_pre")
    fixture.save(**arrays)
    x, parameters = autoencoder.tensors(arrays)
    w_enc, b_enc, w_dec, b_pre = parameters.values()
    z = (x - b_pre) @ w_enc + b_enc
    apart(z)  # from 0, where relu is not differentiable
    for k in (1, 4, 18):
        codes = torch.relu(largest(z.view(1, -1), k * len(x)).view(z.shape))
        output = codes @ w_dec + b_pre
        save(fixture, f"k_{k}", parameters, squared_error(x - output), k=k, codes=codes, output=output)
