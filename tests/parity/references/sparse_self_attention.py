# SPDX-License-Identifier: MIT
"""the class SparseSelfAttention of tutorials, in PyTorch

Seed 33; d = 12, 3 heads, sequences of the lengths in `lengths`, one after another in `tokens`. Each ran alone. The class
was written here from its description: one projection `qkv` to queries, keys and values, scores / sqrt(4), the
int(n * sparsity) smallest of all n² scores of a head set to -1e9, softmax, dropout, and the projection `out`. The stack
of 2 layers computes x = dropout(x + layer(x)). It ran without dropout (eval). The parameters are those of the stack, as
(out, in). Cases: the sparsities in percent. torch.autograd computed the gradients of L = mean(sum((output - target)²,
axis=1)) over all tokens, by the tokens (`d_tokens`) and by each parameter (`d_` and its name).
"""

import numpy as np
import torch

from references.common import normal
from references.layers import lengths, randomize, save

d, heads, depth = 12, 3, 2


class SparseSelfAttention(torch.nn.Module):
    def __init__(self, d_model, num_heads, sparsity, dropout):
        super().__init__()
        self.heads, self.depth, self.sparsity = num_heads, d_model // num_heads, sparsity
        self.qkv = torch.nn.Linear(d_model, 3 * d_model)
        self.out = torch.nn.Linear(d_model, d_model)
        self.dropout = torch.nn.Dropout(dropout)

    def forward(self, x):
        batch, n, d_model = x.shape
        q, k, v = self.qkv(x).view(batch, n, 3, self.heads, self.depth).permute(2, 0, 3, 1, 4)
        scores = (q @ k.transpose(-1, -2) / self.depth**0.5).flatten(-2)
        smallest = scores.topk(int(n * self.sparsity), largest=False).indices
        scores = scores.scatter(-1, smallest, -1e9).view(batch, self.heads, n, n)
        weights = self.dropout(scores.softmax(-1))
        return self.out((weights @ v).transpose(1, 2).reshape(batch, n, d_model))


class Stack(torch.nn.Module):
    def __init__(self, sparsity, dropout=0.1):
        super().__init__()
        self.layers = torch.nn.ModuleList(SparseSelfAttention(d, heads, sparsity, dropout) for _ in range(depth))
        self.dropout = torch.nn.Dropout(dropout)

    def forward(self, x):
        for layer in self.layers:
            x = self.dropout(x + layer(x))
        return x


def write(fixture):
    rng = np.random.default_rng(33)
    tokens, target = normal(rng, lengths.sum(), d), normal(rng, lengths.sum(), d)
    for percent in (0, 50, 90):
        stack = Stack(percent / 100).double().eval()
        parameters = randomize(np.random.default_rng(330), stack)
        save(fixture, f"sparsity_{percent}", stack, stack, tokens, target)
    fixture.save(lengths=lengths, tokens=tokens, target=target, **parameters)
