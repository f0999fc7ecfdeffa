# SPDX-License-Identifier: MIT
"""Random parameters for the modules of transformer layers, and their results for sequences of different lengths."""

import numpy as np
import torch

from references.common import double, normal

lengths = np.array([5, 1, 67, 3])


def randomize(rng, module):
    """Sets all parameters to random numbers, exact in float. Returns the parameters by name."""
    arrays = {}
    for name, parameter in module.named_parameters():
        shape, gain = parameter.shape, parameter.ndim == 1 and name.endswith("weight")
        array = normal(rng, *shape, scale=0.3 if len(shape) == 1 else 1.2 * shape[-1] ** -0.5)
        arrays[name.replace(".", "_")] = (array + gain).astype(np.float32)
        parameter.data = double(arrays[name.replace(".", "_")])
    return arrays


def additive_causal_mask(n):
    return torch.full((n, n), -torch.inf, dtype=torch.double).triu(1)[None, None]


def apart(run, tokens):
    """Runs each sequence alone."""
    return torch.cat([run(sequence[None])[0] for sequence in tokens.split(lengths.tolist())])


def save(fixture, case, module, run, tokens, target, **more):
    """Saves the output, and the gradients of mean(sum((output - target)², axis=1)) by tokens and parameters."""
    x, named = double(tokens).requires_grad_(), dict(module.named_parameters())
    output = apart(run, x)
    loss = (output - double(target)).square().sum() / len(tokens)
    d_tokens, *by = torch.autograd.grad(loss, [x, *named.values()])
    gradients = {f"d_{name.replace('.', '_')}": gradient for name, gradient in zip(named, by)}
    fixture.save(case, output=output.detach(), d_tokens=d_tokens, **gradients, **more)
