# SPDX-License-Identifier: MIT
"""the TopK autoencoder of Gao et al., arXiv:2406.04093, section 2.3, by torch and its autograd

Seed 21; 12 samples x of width 10, 24 latents, rows of w_dec with unit norm (as floats). z = (x - b_pre) w_enc + b_enc.
`codes` are a = relu(z for the k largest z of a row, else 0), `output` is a w_dec + b_pre, and `loss` is the mean over
samples of |x - output|². `grad_w_enc` and similar names are its gradients. Cases: `k_4`, `k_16` (some of the 16 are
negative and become 0), `k_24` (all latents: a ReLU autoencoder).

`auxiliary` is the AuxK term of appendix A.2 alone. Its loss and gradients are added to those of `k_4`. The k_aux = 5
largest z of each row are selected among the latents with `dead` = 1; `codes` is their relu. The target e is x minus the
output of `k_4`, a constant. `output` is codes w_dec, without a bias. `loss` is 1/32 times the mean over samples of
|e - output|². Its gradient with respect to b_pre comes only from z.

`loss_normalized` is the form in the authors' code, 1/32 sum |e - output|² / sum |e - mean e|², with sums and mean over
samples. Since e is a constant, its gradients are those of `loss` times loss_normalized / loss. (The authors' code adds
b_pre to the output and a constant copy of b_pre to e. The value is the same, but the output then contributes to the
gradient of b_pre. Here it does not.)
"""

import numpy as np
import torch

from references import autoencoder
from references.autoencoder import apart, largest, save, squared_error


def write(fixture):
    rng = np.random.default_rng(21)
    arrays = autoencoder.arrays(rng, "b_pre")
    dead = np.isin(np.arange(autoencoder.latents), rng.choice(autoencoder.latents, 9, replace=False))
    fixture.save(dead=dead, **arrays)
    x, parameters = autoencoder.tensors(arrays)
    w_enc, b_enc, w_dec, b_pre = parameters.values()
    z = (x - b_pre) @ w_enc + b_enc
    apart(z)  # from 0, where relu is not differentiable
    for k in (16, 24, 4):
        codes = torch.relu(largest(z, k))
        output = codes @ w_dec + b_pre
        save(fixture, f"k_{k}", parameters, squared_error(x - output), k=k, codes=codes, output=output)

    e = (x - output).detach()
    among = torch.where(torch.from_numpy(dead), z, -100)  # -100 is never selected, since more than 5 latents are dead
    codes = torch.relu(largest(among, 5))
    output = codes @ w_dec
    loss = squared_error(e - output) / 32
    normalized = loss / squared_error(e - e.mean(0))
    save(
        fixture, "auxiliary", parameters, loss, k=4, k_aux=5, codes=codes, output=output, loss_normalized=normalized
    )
