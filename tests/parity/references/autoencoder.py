# SPDX-License-Identifier: MIT
"""Common functions of the references of sparse autoencoders: samples, parameters, selection, and gradients by torch."""

import numpy as np
import torch

from references.common import double, normal

samples, width, latents = 12, 10, 24


def arrays(rng, bias):
    """Returns x (samples, width), w_enc (width, latents), b_enc (latents), w_dec (latents, width) with rows of unit
    norm, and a bias of the given name (width)."""
    w_dec = normal(rng, latents, width)
    return {
        "x": normal(rng, samples, width) + normal(rng, width, scale=0.5),
        "w_enc": normal(rng, width, latents, scale=width**-0.5),
        "b_enc": normal(rng, latents, scale=0.2),
        "w_dec": w_dec / np.linalg.norm(w_dec, axis=1, keepdims=True),
        bias: normal(rng, width, scale=0.5),
    }


def tensors(arrays):
    """Returns x, and the parameters by name, as leaf tensors in double."""
    parameters = {name: double(array) for name, array in arrays.items()}
    x = parameters.pop("x")
    return x, {name: tensor.requires_grad_() for name, tensor in parameters.items()}


def largest(z, k):
    """Returns z with all but the k largest entries of each row set to 0. The k-th and next entry must not be close."""
    best = z.topk(k, dim=1)
    if k < z.shape[1]:
        ranked = z.detach().topk(k + 1, dim=1).values
        apart(ranked[:, k - 1] - ranked[:, k])
    return torch.zeros_like(z).scatter(1, best.indices, best.values)


def apart(distances):
    """Checks that rounding to float cannot change a selection."""
    assert distances.detach().abs().min() > 1e-4, "choose another seed"


def squared_error(residual):
    """Returns the mean over samples of the squared norm."""
    return residual.square().sum(1).mean()


def save(fixture, case, parameters, loss, **arrays):
    """Saves the loss, its gradient with respect to each parameter as grad_<name>, and more arrays."""
    gradients = torch.autograd.grad(loss, list(parameters.values()), retain_graph=True, materialize_grads=True)
    arrays |= {f"grad_{name}": gradient for name, gradient in zip(parameters, gradients)}
    arrays["loss"] = loss
    fixture.save(case, **{name: torch.as_tensor(array).detach().numpy() for name, array in arrays.items()})
