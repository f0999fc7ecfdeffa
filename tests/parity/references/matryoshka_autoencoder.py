# SPDX-License-Identifier: MIT
"""the nested loss of the Matryoshka autoencoder of Bussmann et al., arXiv:2503.17547, by torch and its autograd

Seed 25; 12 samples x of width 10, 24 latents, rows of w_dec with unit norm (as floats). z = (x - b_pre) w_enc + b_enc.
`codes` are a = relu(z for the 5 largest z of a row, else 0), selected once among all latents. `prefixes` are sizes p;
the output of a prefix is a[:, :p] w_dec[:p] + b_pre. `losses` are the means over samples of |x - output|² for each
prefix, `loss` is their unweighted sum, and `grad_w_enc` and similar names are its gradients. `output` is the output of
all latents. Cases: `nested` (prefixes 4, 10, 24), `halves` (12, 24), `first` (3: the other latents only take part in
the selection).

(The paper uses BatchTopK codes; the loss does not depend on this.)
"""

import numpy as np
import torch

from references import autoencoder
from references.autoencoder import apart, largest, save, squared_error


def write(fixture):
    arrays = autoencoder.arrays(np.random.default_rng(25), "b_pre")
    fixture.save(**arrays)
    x, parameters = autoencoder.tensors(arrays)
    w_enc, b_enc, w_dec, b_pre = parameters.values()
    z = (x - b_pre) @ w_enc + b_enc
    apart(z)  # from 0, where relu is not differentiable
    codes = torch.relu(largest(z, 5))
    output = codes @ w_dec + b_pre
    fixture.save(k=5, codes=codes.detach(), output=output.detach())
    for case, prefixes in {"nested": (4, 10, 24), "halves": (12, 24), "first": (3,)}.items():
        losses = torch.stack([squared_error(x - (codes[:, :p] @ w_dec[:p] + b_pre)) for p in prefixes])
        save(fixture, case, parameters, losses.sum(), losses=losses, prefixes=prefixes)
