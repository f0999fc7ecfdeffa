# SPDX-License-Identifier: MIT
"""the head of SPLADE, its losses and its regularizers, by torch and its autograd

Seed 46; 12 texts of 1 to 5 tokens x of width 6 (`lengths`), one after another, and a vocabulary of 20 terms. The vector
of a text is the maximum (cases `max_...`) or the sum (`sum_...`) of log1p(relu(x weights + biases)) over its tokens, of
which the largest 7 remain in the cases `..._top_k`. `vectors` are those of the texts. The texts are 4 queries, the
relevant document of each, and another document of each. The score of a document is the inner product of vectors.

The losses and regularizers, of B = 4 queries:
- `in_batch_negatives`: torch's cross entropy of 0.5 times the scores of all 8 documents, mean over the queries
- `margin_mse`: torch's mean squared error of the margins of the relevant and the other document from `margins`
- `distillation_kl`: torch's kl_div (batchmean) of the log softmax of the two scores of each query, from the log softmax
  of `teacher`
- `query_flops`: the sum over terms of the squared mean over the queries of the vectors; `document_flops` likewise
`loss_NAME` is the value, and `grad_NAME_x`, `grad_NAME_weights`, `grad_NAME_biases` are its gradients.
"""

import numpy as np
import torch
from torch.nn import functional

from references.common import double, normal

WIDTH, TERMS, QUERIES, KEPT = 6, 20, 4, 7
LENGTHS = [3, 1, 4, 2, 1, 5, 2, 3, 4, 1, 2, 3]


def largest(vectors, k):
    return torch.zeros_like(vectors).scatter(1, vectors.topk(k).indices, vectors.topk(k).values)


def losses(vectors, margins, teacher):
    queries, documents = vectors[:QUERIES], vectors[QUERIES:]
    scores = torch.stack([(queries * block).sum(1) for block in documents.split(QUERIES)], 1)
    yield "in_batch_negatives", functional.cross_entropy(0.5 * queries @ documents.T, torch.arange(QUERIES))
    yield "margin_mse", functional.mse_loss(scores[:, 0] - scores[:, 1], double(margins))
    yield "distillation_kl", functional.kl_div(
        scores.log_softmax(1), double(teacher).log_softmax(1), reduction="batchmean", log_target=True
    )
    yield "query_flops", queries.abs().mean(0).square().sum()
    yield "document_flops", documents.abs().mean(0).square().sum()


def write(fixture):
    rng = np.random.default_rng(46)
    x, weights = normal(rng, sum(LENGTHS), WIDTH), normal(rng, WIDTH, TERMS, scale=0.6)
    biases, margins, teacher = normal(rng, TERMS, scale=0.3), normal(rng, QUERIES), normal(rng, QUERIES, 2)
    fixture.save(
        x=x, weights=weights, biases=biases, margins=margins, teacher=teacher, lengths=np.array(LENGTHS), kept=KEPT
    )
    parameters = {"x": double(x), "weights": double(weights), "biases": double(biases)}
    for parameter in parameters.values():
        parameter.requires_grad_()
    terms = torch.log1p(torch.relu(parameters["x"] @ parameters["weights"] + parameters["biases"]))
    for pooling, pool in ("max", lambda text: text.amax(0)), ("sum", lambda text: text.sum(0)):
        pooled = torch.stack([pool(text) for text in terms.split(LENGTHS)])
        for case, vectors in (pooling, pooled), (f"{pooling}_top_k", largest(pooled, KEPT)):
            arrays = {"vectors": vectors.detach().numpy()}
            for name, loss in losses(vectors, margins, teacher):
                arrays[f"loss_{name}"] = loss.detach().numpy()
                gradients = torch.autograd.grad(loss, [*parameters.values()], retain_graph=True)
                arrays |= {f"grad_{name}_{of}": gradient.numpy() for of, gradient in zip(parameters, gradients)}
            fixture.save(case, **arrays)
