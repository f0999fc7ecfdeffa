# SPDX-License-Identifier: MIT
"""Trains a causal transformer by PyTorch, as filigree_transformers does, in a process of its own.

transformer_training.py folder mask threads n d heads hidden layers window: computes one step for each line of its
input, writes the loss to folder/loss and the peak memory in MB above that of the operands to folder/megabytes, and
prints the time of the step. `mask` is "boolean", "causal" (all keys up to the query: other results, compared in time
only), or "blocks", in which blocks of queries attend to their own keys and to those before.
"""

import pathlib
import sys
import time

import numpy as np
import torch
from torch.nn.functional import gelu, layer_norm, linear, pad, scaled_dot_product_attention

folder, mask = pathlib.Path(sys.argv[1]), sys.argv[2]
threads, n, d, heads, hidden, layers, window = map(int, sys.argv[3:])
torch.set_num_threads(threads)
clock = time.process_time if threads == 1 else time.perf_counter


def peak():
    """Peak memory of this process in MB. getrusage would count that of the program that started this one."""
    for line in open("/proc/self/status"):
        if line.startswith("VmHWM:"):
            return int(line.split()[1]) / 1024


def parameters():
    """Returns a list of tensors for each layer, read from a file in the order of transformer_layer()."""
    flat = torch.from_numpy(np.fromfile(folder / "parameters", np.float32))
    shapes = [(d,), (d,), (d, 3 * d), (3 * d,), (d, d), (d,), (d,), (d,), (d, hidden), (hidden,), (hidden, d), (d,)]
    at, result = 0, []
    for _ in range(layers):
        tensors = []
        for shape in shapes:
            count = int(np.prod(shape))
            tensor = flat[at : at + count].view(shape)
            if tensor.ndim == 2:
                tensor = tensor.T
            tensors.append(tensor.clone(memory_format=torch.contiguous_format).requires_grad_())
            at += count
        result.append(tensors)
    return result


def attend(q, k, v):
    """Attention of heads x n x width."""
    if mask == "boolean":
        return scaled_dot_product_attention(q[None], k[None], v[None], attn_mask=keep)[0]
    if mask == "causal":
        return scaled_dot_product_attention(q[None], k[None], v[None], is_causal=True)[0]
    blocks = n // window

    def with_preceding(x):
        x = pad(x, (0, 0, window, 0)).view(heads, blocks + 1, window, -1)
        return torch.cat((x[:, :-1], x[:, 1:]), 2)

    q = q.reshape(heads, blocks, window, -1)
    return scaled_dot_product_attention(q, with_preceding(k), with_preceding(v), attn_mask=keep).view(heads, n, -1)


def forward(h):
    for g1, o1, w_qkv, b_qkv, w_o, b_o, g2, o2, w1, b1, w2, b2 in weights:
        q, k, v = linear(layer_norm(h, (d,), g1, o1), w_qkv, b_qkv).view(n, 3, heads, -1).permute(1, 2, 0, 3)
        h = h + linear(attend(q, k, v).transpose(0, 1).reshape(n, d), w_o, b_o)
        h = h + linear(gelu(linear(layer_norm(h, (d,), g2, o2), w1, b1)), w2, b2)
    return h


x, y = (torch.from_numpy(np.fromfile(folder / name, np.float32)).view(n, d) for name in ("x", "y"))
weights = parameters()
before = peak()
if mask == "blocks":
    distance = window + torch.arange(window)[:, None] - torch.arange(2 * window)[None, :]
    keep = ((distance >= 0) & (distance <= window)).repeat(n // window, 1, 1)
    keep[0, :, :window] = False  # before the first key
else:
    distance = torch.arange(n)[:, None] - torch.arange(n)[None, :]
    keep = (distance >= 0) & (distance <= window) if mask == "boolean" else None
adam = torch.optim.Adam([w for layer in weights for w in layer], lr=1e-4, fused=True)
for _ in sys.stdin:
    start = clock()
    adam.zero_grad(set_to_none=True)
    loss = (forward(x) - y).square().sum(1).mean()
    loss.backward()
    adam.step()
    took = clock() - start
    np.array([loss.item()]).tofile(folder / "loss")
    np.array([peak() - before]).tofile(folder / "megabytes")
    print(took, flush=True)
