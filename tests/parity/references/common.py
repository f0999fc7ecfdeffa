# SPDX-License-Identifier: MIT
"""Seeded random numbers, and conversions between arrays and torch tensors or modules."""

import numpy as np
import torch


def normal(rng, *shape, scale=1.0):
    """Returns normally distributed numbers that are exact in float."""
    return (scale * rng.standard_normal(shape)).astype(np.float32)


def double(array):
    return torch.from_numpy(np.asarray(array, np.float64))


def softmax(scores, keep=True):
    """Returns the softmax of the kept entries along the last axis. A row without a kept entry gives zeros."""
    scores = np.where(keep, scores, -np.inf)
    top = scores.max(axis=-1, keepdims=True)
    weights = np.where(keep, np.exp(scores - np.where(np.isfinite(top), top, 0)), 0)
    total = weights.sum(axis=-1, keepdims=True)
    return weights / np.where(total == 0, 1, total)


def linear_weights(rng, names, size, bias=True):
    """Returns square weight matrices, and biases, for linear layers of the given names."""
    arrays = {}
    for name in names:
        arrays[f"{name}_weight"] = normal(rng, size, size, scale=1.5 * size**-0.5)
        if bias:
            arrays[f"{name}_bias"] = normal(rng, size, scale=0.1)
    return arrays


def set_linears(module, arrays):
    for name, array in arrays.items():
        linear, part = name.rsplit("_", 1)
        getattr(getattr(module, linear), part).data = double(array)


def gradients(output, d_output, hidden, module, names):
    """Returns the gradients of sum(output * d_output) by hidden, and by weight and bias of the named linear layers."""
    layers = {name: getattr(module, name) for name in names}
    by = {"d_hidden": hidden, **{f"d_{name}_weight": layer.weight for name, layer in layers.items()}}
    by |= {f"d_{name}_bias": layer.bias for name, layer in layers.items() if layer.bias is not None}
    return {name: x.numpy() for name, x in zip(by, torch.autograd.grad(output, [*by.values()], double(d_output)))}


def to_heads(array, heads):
    """Converts (n, heads * d) to (1, heads, n, d)."""
    n, width = array.shape
    return double(array).view(n, heads, width // heads).transpose(0, 1)[None].contiguous()


def from_heads(tensor):
    """Converts (1, heads, n, d) to (n, heads * d)."""
    return tensor[0].transpose(0, 1).flatten(1).detach().numpy()
