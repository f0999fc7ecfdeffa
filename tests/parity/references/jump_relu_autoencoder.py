# SPDX-License-Identifier: MIT
"""the JumpReLU autoencoder of Rajamanoharan et al., arXiv:2407.14435, sections 3 and 4, by torch and its autograd

Seed 23; 12 samples x of width 10, 24 latents, rows of w_dec with unit norm (as floats). z = x w_enc + b_enc, theta =
exp(log_theta). `codes` are a = z if z > theta, else 0; `output` is a w_dec + b_dec. There is no relu before the
threshold, which is positive. Each case is one term of the loss alone, with its gradients `grad_w_enc` and similar
names. The whole loss is the sum of the terms.

- `wide` (eps = 0.6), `narrow` (eps = 0.1): `loss` is the mean over samples of |x - output|². The derivative of a with
  respect to z is 1 if z > theta, else 0; with respect to theta it is -(theta / eps) if |z - theta| < eps / 2, else 0,
  summed over samples.
- `wide_l0`, `narrow_l0`: `loss` is 0.05 times the mean over samples of the number of z > theta. The derivative of
  [z > theta] with respect to z is 0; with respect to theta it is -1 / eps if |z - theta| < eps / 2, else 0. All
  gradients except that of log_theta are therefore 0 and not stored.

`bandwidth` is eps, `weight` is 0.05. The gradient of log_theta includes the factor d theta / d log_theta = theta.
"""

import numpy as np
import torch

from references import autoencoder
from references.autoencoder import apart, save, squared_error
from references.common import normal


def box(z, theta, eps):
    """Returns the kernel K((z - theta) / eps): 1 on an interval of length 1 around 0, else 0."""
    return ((z - theta).abs() < eps / 2).to(z.dtype)


class JumpReLU(torch.autograd.Function):
    @staticmethod
    def forward(ctx, z, theta, eps):
        ctx.save_for_backward(z, theta)
        ctx.eps = eps
        return torch.where(z > theta, z, 0)

    @staticmethod
    def backward(ctx, gradient):
        z, theta = ctx.saved_tensors
        by_theta = -(theta / ctx.eps) * box(z, theta, ctx.eps) * gradient
        return (z > theta) * gradient, by_theta.sum(0), None


class Active(torch.autograd.Function):
    @staticmethod
    def forward(ctx, z, theta, eps):
        ctx.save_for_backward(z, theta)
        ctx.eps = eps
        return (z > theta).to(z.dtype)

    @staticmethod
    def backward(ctx, gradient):
        z, theta = ctx.saved_tensors
        by_theta = -(1 / ctx.eps) * box(z, theta, ctx.eps) * gradient
        return torch.zeros_like(z), by_theta.sum(0), None


def write(fixture):
    rng = np.random.default_rng(23)
    arrays = autoencoder.arrays(rng, "b_dec")
    arrays["log_theta"] = normal(rng, autoencoder.latents, scale=0.3) - np.float32(0.7)
    weight = np.float32(0.05)
    fixture.save(weight=weight, **arrays)
    x, parameters = autoencoder.tensors(arrays)
    w_enc, b_enc, w_dec, b_dec, log_theta = parameters.values()
    z = x @ w_enc + b_enc
    theta = log_theta.exp()
    for case, eps in {"wide": np.float32(0.6), "narrow": np.float32(0.1)}.items():
        eps_double = float(eps)
        for edge in (-eps_double / 2, 0, eps_double / 2):
            apart(z - theta - edge)
        codes = JumpReLU.apply(z, theta, eps_double)
        output = codes @ w_dec + b_dec
        save(fixture, case, parameters, squared_error(x - output), bandwidth=eps, codes=codes, output=output)
        l0 = Active.apply(z, theta, eps_double).sum(1).mean()
        save(fixture, f"{case}_l0", {"log_theta": log_theta}, float(weight) * l0, bandwidth=eps)
