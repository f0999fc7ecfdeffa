# SPDX-License-Identifier: MIT
"""torch: gelu by tanh, cross entropy with its options, steps of optimizers

Seed 26. `gelu`: the values (`values`) and derivatives (`slopes`) of torch.nn.functional.gelu(x, approximate="tanh").

`cross_entropy`: `outputs` (9, 5) with the class of each sample in `classes`. Each case has the loss of
torch.nn.functional.cross_entropy and its gradient with respect to the outputs: `smoothed` (label_smoothing = 0.1),
`ignored` (ignore_index = 2), `both`. The targets of `probable` are the probabilities `chances`, with label smoothing.

Optimizers: `parameters` after each of 8 steps from `start`, with the rows of `gradients` as gradients: `nesterov` (SGD,
lr 0.05, momentum 0.9), `adam_amsgrad` (Adam, lr 0.05, betas 0.8 and 0.7, so that the second moments decrease soon),
`adamw_amsgrad` (AdamW, the same options, weight_decay 0.2).
"""

import torch
from torch.nn import functional

from references.common import double, normal

import numpy as np


def with_gradient(function, at):
    x = double(at).requires_grad_()
    value = function(x)
    value.sum().backward()
    return value.detach().numpy(), x.grad.numpy()


def gelu(fixture, rng):
    x = np.concatenate([normal(rng, 40, scale=2), np.array([0, -0.5, 5, -5, 12, -12, 60, -60], np.float32)])
    values, slopes = with_gradient(lambda t: functional.gelu(t, approximate="tanh"), x)
    fixture.save("gelu", x=x, values=values, slopes=slopes)


def cross_entropy(fixture, rng):
    outputs, classes = normal(rng, 9, 5, scale=2), np.array([0, 2, 4, 1, 2, 3, 2, 0, 4])
    chances = rng.random((9, 5)).astype(np.float32)
    chances = (chances / chances.sum(axis=1, keepdims=True)).astype(np.float32)
    fixture.save("cross_entropy", outputs=outputs, classes=classes, chances=chances)
    targets = torch.from_numpy(classes)
    for name, target, options in (
        ("smoothed", targets, {"label_smoothing": 0.1}),
        ("ignored", targets, {"ignore_index": 2}),
        ("both", targets, {"label_smoothing": 0.1, "ignore_index": 2}),
        ("probable", double(chances), {"label_smoothing": 0.1}),
    ):
        loss, gradient = with_gradient(lambda y: functional.cross_entropy(y, target, **options), outputs)
        fixture.save(f"cross_entropy/{name}", loss=[loss], gradient=gradient)


def optimizers(fixture, rng):
    start, gradients = normal(rng, 6), normal(rng, 8, 6) * np.float32([1, 1, 0, 3, 1, 1, 0.25, 2])[:, None]
    fixture.save("optimizers", start=start, gradients=gradients)
    for name, make in (
        ("nesterov", lambda p: torch.optim.SGD(p, lr=0.05, momentum=0.9, nesterov=True)),
        ("adam_amsgrad", lambda p: torch.optim.Adam(p, lr=0.05, betas=(0.8, 0.7), amsgrad=True)),
        ("adamw_amsgrad", lambda p: torch.optim.AdamW(p, lr=0.05, betas=(0.8, 0.7), weight_decay=0.2, amsgrad=True)),
    ):
        parameter = double(start).requires_grad_()
        optimizer, steps = make([parameter]), []
        for gradient in gradients:
            parameter.grad = double(gradient)
            optimizer.step()
            steps.append(parameter.detach().numpy().copy())
        fixture.save(f"optimizers/{name}", parameters=np.stack(steps))


def write(fixture):
    rng = np.random.default_rng(26)
    gelu(fixture, rng)
    cross_entropy(fixture, rng)
    optimizers(fixture, rng)
