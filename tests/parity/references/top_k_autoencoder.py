# SPDX-License-Identifier: MIT
"""the TopK autoencoder of Gao et al., arXiv:2406.04093, section 2.3, by torch and its autograd

Seed 21; 12 samples x of width 10, 24 latents, rows of w_dec of unit norm (as floats). z = (x - b_pre) w_enc + b_enc,
`codes` a = relu(the k largest z of a row, else 0), `output` a w_dec + b_pre, `loss` = mean over samples of |x -
output|²; `grad_w_enc` and so on are its derivatives. Cases `k_4`, `k_16` (some of the 16 are negative, and count 0),
`k_24` (all: a ReLU autoencoder).

`auxiliary` is the AuxK term of appendix A.2 by itself: its loss and its gradients are to be added to those of `k_4`.
Among the latents where `dead` is 1 the k_aux = 5 largest z of each row are chosen; `codes` is relu of them. The target e
is x less the output of `k_4`, a constant; `output` is codes w_dec, without a bias. `loss` is 1/32 times the mean over
samples of |e - output|². Its gradient reaches b_pre through z only.

`loss_normalized` is the form in the authors' code, 1/32 sum |e - output|² / sum |e - mean e|², where sums and mean are
over samples. Since e is a constant, its gradients are those of `loss` times loss_normalized / loss. (That code adds
b_pre to the output and a constant copy of it to e: the same value, but there the output moves b_pre, too. Not here.)
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
    apart(z)  # from 0, where relu bends
    for k in (16, 24, 4):
        codes = torch.relu(largest(z, k))
        output = codes @ w_dec + b_pre
        save(fixture, f"k_{k}", parameters, squared_error(x - output), k=k, codes=codes, output=output)

    e = (x - output).detach()
    among = torch.where(torch.from_numpy(dead), z, -100)  # never chosen, as there are more than 5
    codes = torch.relu(largest(among, 5))
    output = codes @ w_dec
    loss = squared_error(e - output) / 32
    normalized = loss / squared_error(e - e.mean(0))
    save(
        fixture, "auxiliary", parameters, loss, k=4, k_aux=5, codes=codes, output=output, loss_normalized=normalized
    )
