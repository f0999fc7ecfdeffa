# SPDX-License-Identifier: MIT
"""the gated autoencoder of Rajamanoharan et al., arXiv:2404.16014, section 3.2, by torch and its autograd

Seed 24; 12 samples x of width 10, 24 latents, rows of w_dec with unit norm (as floats). p = (x - b_dec) w_gate. The
gate is g = p + b_gate, the magnitude m = relu(exp(r_mag) p + b_mag) with one r_mag per latent. `codes` are a = m if
g > 0, else 0; `output` is a w_dec + b_dec. Each case is one term of the loss alone, with its gradients `grad_w_gate` and
similar names. The whole loss is the sum of the terms.

- `reconstruction`: `loss` is the mean over samples of |x - output|². The condition g > 0 is treated as a constant, so
  the gradient of b_gate is 0.
- `sparsity`: `loss` is 0.1 times the mean over samples of the sum over latents of relu(g).
- `auxiliary`: `output` is relu(g) W + b with constant copies W and b of w_dec and b_dec; `loss` is the mean over samples
  of |x - output|². The gradient of w_dec is 0. The gradient of b_dec is not, since p depends on b_dec.

`weight` is 0.1.
"""

import numpy as np
import torch

from references import autoencoder
from references.autoencoder import apart, save, squared_error
from references.common import normal


def write(fixture):
    rng = np.random.default_rng(24)
    arrays = autoencoder.arrays(rng, "b_dec")
    arrays["w_gate"], arrays["b_gate"] = arrays.pop("w_enc"), arrays.pop("b_enc")
    arrays["r_mag"], arrays["b_mag"] = (normal(rng, autoencoder.latents, scale=0.3) for _ in range(2))
    weight = np.float32(0.1)
    fixture.save(weight=weight, **arrays)
    x, parameters = autoencoder.tensors(arrays)
    w_dec, b_dec, w_gate, b_gate, r_mag, b_mag = parameters.values()
    p = (x - b_dec) @ w_gate
    gate, magnitude = p + b_gate, r_mag.exp() * p + b_mag
    apart(gate)
    apart(magnitude)
    codes = torch.where(gate > 0, torch.relu(magnitude), 0)
    output = codes @ w_dec + b_dec
    save(fixture, "reconstruction", parameters, squared_error(x - output), codes=codes, output=output)
    save(fixture, "sparsity", parameters, float(weight) * torch.relu(gate).sum(1).mean())
    output = torch.relu(gate) @ w_dec.detach() + b_dec.detach()
    save(fixture, "auxiliary", parameters, squared_error(x - output), output=output)
