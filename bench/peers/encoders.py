# SPDX-License-Identifier: MIT
"""Compares loss and gradients of sparse autoencoders by PyTorch, NumPy and Filigree.

All use the same numbers and the same number of threads. A run is one forward and backward pass with the gradients of
all parameters, without an optimizer.

The implementations run alternately. Each figure is the median of the repetitions. With one thread it is CPU time, which
is less affected by other processes; with several threads it is wall-clock time. Loss and gradients are compared with
double precision.

Filigree is a program, `filigree_encoders folder case threads sizes...`, with these cases:

    top_k N d latents k                     float32: x N×d, w_enc d×latents, b_enc, w_dec latents×d, b_pre
        z = (x - b_pre) w_enc + b_enc, a = relu(the k largest z of a row), y = a w_dec + b_pre,
        loss = mean over samples of |y - x|²
    ufldl N visible hidden lambda beta rho  float64: x N×visible, w1 visible×hidden, b1, w2 hidden×visible, b2
        a = sigmoid(x w1 + b1), y = sigmoid(a w2 + b2), rho_hat = mean over samples of a,
        loss = 1/2 mean |y - x|² + lambda / 2 (|w1|² + |w2|²) + beta sum KL(rho || rho_hat)

The program first reads the arrays from files of these names in the folder, raw and row-major. Then, for each line of
its input, it computes once and writes loss (one float64) and grad_w_enc and so on (shape and type of w_enc) to the
folder. It prints the time of the computation in seconds: CPU time with one thread, otherwise wall-clock time.
"""

import os

from common import Program, compare, error_of, options, timed

import numpy as np
import torch
from torch.nn.functional import embedding_bag, linear


class Filigree(Program):
    """The program filigree_encoders, with one case."""

    def __init__(self, case, arrays, sizes):
        super().__init__(options.encoders, options.folder / case, arrays, (case, options.threads, *sizes))
        self.gradients = {name: array for name, array in arrays.items() if name != "x"}

    def run(self):
        seconds = self.ask("compute")
        out = {"loss": np.fromfile(self.folder / "loss")}
        for name, like in self.gradients.items():
            out[name] = np.fromfile(self.folder / f"grad_{name}", like.dtype).reshape(like.shape)
        return out, seconds


class Encode(torch.autograd.Function):
    """The k largest of x w' + b. The gradient costs N k d instead of N d latents operations."""

    @staticmethod
    def forward(ctx, x, w, b, k):
        values, columns = linear(x, w, b).topk(k, dim=1, sorted=False)
        ctx.save_for_backward(x, columns)
        ctx.latents = len(w)
        ctx.mark_non_differentiable(columns)
        return values, columns

    @staticmethod
    def backward(ctx, gradient, _):
        x, columns = ctx.saved_tensors
        k, columns, gradient = columns.shape[1], columns.flatten(), gradient.flatten()
        counts = columns.bincount(minlength=ctx.latents)
        order = columns.argsort()  # each latent is a bag of samples
        by_w = embedding_bag(
            order // k, x, counts.cumsum(0) - counts, per_sample_weights=gradient[order], mode="sum"
        )
        return None, by_w, torch.zeros(ctx.latents).index_add_(0, columns, gradient), None


class TopK:
    """A TopK autoencoder. Each method is one implementation. w_enc is latents × d, as in torch.nn.Linear."""

    def __init__(self, arrays, k):
        tensors = {name: torch.from_numpy(array) for name, array in arrays.items()}
        self.x, self.k = tensors["x"], k
        self.w_enc = tensors["w_enc"].T.contiguous().requires_grad_()
        self.b_enc, self.w_dec, self.b_pre = (tensors[name].requires_grad_() for name in ("b_enc", "w_dec", "b_pre"))

    def result(self, y):
        loss = (y - self.x).square().sum(1).mean()
        gradients = torch.autograd.grad(loss, (self.w_enc, self.b_enc, self.w_dec, self.b_pre))
        by_w_enc, by_b_enc, by_w_dec, by_b_pre = (gradient.numpy() for gradient in gradients)
        return dict(loss=loss.item(), w_enc=by_w_enc.T, b_enc=by_b_enc, w_dec=by_w_dec, b_pre=by_b_pre)

    def dense_codes(self):
        z = linear(self.x - self.b_pre, self.w_enc, self.b_enc)
        best = z.topk(self.k, dim=1, sorted=False)
        codes = torch.zeros_like(z).scatter(1, best.indices, best.values.relu())
        return self.result(codes @ self.w_dec + self.b_pre)

    def bias(self):
        """Folds b_pre into b_enc, so that forward and backward multiply a vector instead of a batch."""
        return self.b_enc - self.w_enc @ self.b_pre

    def decode(self, values, columns):
        return embedding_bag(columns, self.w_dec, per_sample_weights=values.relu(), mode="sum") + self.b_pre

    def bags(self):
        z = linear(self.x, self.w_enc, self.bias())
        return self.result(self.decode(*z.topk(self.k, dim=1, sorted=False)))

    def bags_both_ways(self):
        return self.result(self.decode(*Encode.apply(self.x, self.w_enc, self.bias(), self.k)))


def sigmoid(z):
    """Computes the logistic function in place."""
    np.exp(np.negative(z, out=z), out=z)
    z += 1
    return np.reciprocal(z, out=z)


class Ufldl:
    """The sparse autoencoder of the UFLDL notes. Batch-sized buffers are allocated here, outside of the timing."""

    def __init__(self, arrays, weights):
        self.arrays, self.weights = arrays, weights
        self.x, self.w1, self.b1, self.w2, self.b2 = arrays.values()
        self.a, self.d2 = (np.empty((len(self.x), len(self.b1))) for _ in range(2))
        self.y, self.d3 = (np.empty_like(self.x) for _ in range(2))

    def numpy(self):
        x, w1, w2, a, y, d2, d3 = self.x, self.w1, self.w2, self.a, self.y, self.d2, self.d3
        decay, beta, rho = self.weights
        n = len(x)
        np.matmul(x, w1, out=a)
        a += self.b1
        sigmoid(a)
        np.matmul(a, w2, out=y)
        y += self.b2
        sigmoid(y)
        hat = a.mean(axis=0)
        np.subtract(y, x, out=d3)
        loss = np.vdot(d3, d3) / (2 * n) + decay / 2 * (np.vdot(w1, w1) + np.vdot(w2, w2))
        loss += beta * (rho * np.log(rho / hat) + (1 - rho) * np.log((1 - rho) / (1 - hat))).sum()
        d3 *= y
        d3 *= np.subtract(1, y, out=y)
        np.matmul(d3, w2.T, out=d2)
        d2 += beta * (-rho / hat + (1 - rho) / (1 - hat))
        d2 *= a
        by_w2 = a.T @ d3 / n + decay * w2
        d2 *= np.subtract(1, a, out=a)
        by_w1 = x.T @ d2 / n + decay * w1
        return dict(loss=loss, w1=by_w1, b1=d2.mean(axis=0), w2=by_w2, b2=d3.mean(axis=0))

    def torch(self):
        decay, beta, rho = self.weights
        x, *parameters = (torch.from_numpy(array) for array in self.arrays.values())
        w1, b1, w2, b2 = (parameter.requires_grad_() for parameter in parameters)
        a = torch.addmm(b1, x, w1).sigmoid()
        y = torch.addmm(b2, a, w2).sigmoid()
        hat = a.mean(0)
        loss = (y - x).square().sum() / (2 * len(x)) + decay / 2 * (w1.square().sum() + w2.square().sum())
        loss = loss + beta * (rho * (rho / hat).log() + (1 - rho) * ((1 - rho) / (1 - hat)).log()).sum()
        gradients = torch.autograd.grad(loss, (w1, b1, w2, b2))
        return dict(loss=loss.item(), **dict(zip(("w1", "b1", "w2", "b2"), (g.numpy() for g in gradients))))


def measure(title, case, arrays, sizes, runs, right):
    filigree = None
    if os.access(options.encoders, os.X_OK):
        filigree = Filigree(case, arrays, sizes)
        runs["Filigree"] = filigree.run
    else:
        print(f"\n({options.encoders} does not exist: Filigree is not measured)")
    distances = {name: error_of(value) for name, value in right.items()}
    compare(title, runs, lambda out: max(distance(out[name]) for name, distance in distances.items()))
    if filigree:
        filigree.close()


def top_k(n=1024, d=512, latents=8192, k=32):
    rng = np.random.default_rng(2026)
    w_dec = rng.standard_normal((latents, d), dtype=np.float32)
    w_dec /= np.linalg.norm(w_dec, axis=1, keepdims=True)
    arrays = {
        "x": rng.standard_normal((n + n // 8, d), dtype=np.float32),
        "w_enc": w_dec.T + np.float32(0.01) * rng.standard_normal((d, latents), dtype=np.float32),
        "b_enc": np.float32(0.1) * rng.standard_normal(latents, dtype=np.float32),
        "w_dec": w_dec,
        "b_pre": np.float32(0.1) * rng.standard_normal(d, dtype=np.float32),
    }
    # Use only samples whose kept latents do not depend on rounding.
    x, w_enc, b_enc, _, b_pre = (torch.from_numpy(array).double() for array in arrays.values())
    best = torch.addmm(b_enc, x - b_pre, w_enc).topk(k + 1, dim=1).values
    certain = best[:, k - 1] - best[:, k] > 1e-5 * best[:, 0]
    arrays["x"] = np.ascontiguousarray(arrays["x"][certain.numpy()][:n])
    assert len(arrays["x"]) == n
    right = TopK({name: array.astype(np.float64) for name, array in arrays.items()}, k).dense_codes()
    peers = TopK(arrays, k)
    runs = {
        "torch, codes as a dense matrix": timed(peers.dense_codes),
        "torch, embedding_bag": timed(peers.bags),
        "torch, embedding_bag, encoder's gradient too": timed(peers.bags_both_ways),
    }
    title = f"TopK autoencoder, {n} samples, d = {d}, {latents} latents, k = {k}, float32"
    measure(title, "top_k", arrays, (n, d, latents, k), runs, right)


def ufldl(visible, hidden, weights, n=10000):
    rng = np.random.default_rng(2026)
    r = (6 / (hidden + visible + 1)) ** 0.5
    arrays = {
        "x": rng.uniform(0.1, 0.9, (n, visible)),
        "w1": rng.uniform(-r, r, (visible, hidden)),
        "b1": 0.1 * rng.standard_normal(hidden),
        "w2": rng.uniform(-r, r, (hidden, visible)),
        "b2": 0.1 * rng.standard_normal(visible),
    }
    peers = Ufldl(arrays, weights)
    runs = {"torch, autograd": timed(peers.torch), "NumPy": timed(peers.numpy)}
    title = f"UFLDL sparse autoencoder, {n} samples, {visible}/{hidden}, float64"
    measure(title, "ufldl", arrays, (n, visible, hidden, *weights), runs, peers.torch())


if __name__ == "__main__":
    print(
        f"\nAutoencoders: NumPy {np.__version__}, PyTorch {torch.__version__}, {options.threads} thread(s), "
        f"medians of {options.repetitions} repetitions"
    )
    top_k()
    ufldl(64, 25, (1e-4, 3, 0.01))
    ufldl(784, 196, (3e-3, 3, 0.1))
