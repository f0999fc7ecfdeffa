# SPDX-License-Identifier: MIT
"""Compares searches of sparse documents by sparse queries by SciPy and Filigree.

The terms of documents and queries have frequencies as in Zipf's law, and weights as those of BM25 or as those of a
learned encoder, which do not depend on the frequency."""

from common import Program, options, timed

import statistics

import numpy as np
import scipy.sparse

DOCUMENTS, TERMS, LENGTH, QUERY_LENGTH = 100_000, 30_522, 120, 32
QUERIES, K = 100, 10


def rows(rng, n, length, weight_of_term):
    """Returns n sparse rows of `length` distinct terms, the term of rank r with a probability of about 1 / r."""
    ranks = np.arange(1, TERMS + 1)
    cumulative = np.cumsum(1 / ranks)
    columns = np.empty((n, length), np.int32)
    for i in range(n):
        found = np.empty(0, np.int64)
        while found.size < length:
            drawn = np.searchsorted(cumulative, rng.random(4 * length) * cumulative[-1])
            drawn = np.concatenate([found, drawn])
            _, first = np.unique(drawn, return_index=True)
            found = drawn[np.sort(first)]
        columns[i] = np.sort(found[:length])
    values = weight_of_term[columns] * np.exp(0.5 * rng.standard_normal(columns.shape))
    begins = np.arange(0, n * length + 1, length, dtype=np.int32)
    return scipy.sparse.csr_matrix((values.astype(np.float32).ravel(), columns.ravel(), begins), (n, TERMS))


class Filigree(Program):
    def __init__(self, documents, queries):
        arrays = {}
        for name, x in (("documents", documents), ("queries", queries)):
            arrays |= {f"{name}_begins": x.indptr, f"{name}_columns": x.indices, f"{name}_values": x.data}
        self.shape = (queries.shape[0], K)
        super().__init__(
            options.retrieval, options.folder, arrays, (DOCUMENTS, queries.shape[0], TERMS, options.threads)
        )

    def search(self):
        seconds = self.ask(str(K))
        read = lambda name, kind: np.fromfile(options.folder / name, kind).reshape(self.shape)
        return (read("found", np.int64), read("scores", np.float32)), seconds


def scipy_search(queries, by_terms):
    """The sparse product of one query after another, and the k largest of each."""
    found = np.empty((queries.shape[0], K), np.int64)
    scores = np.empty((queries.shape[0], K), np.float32)
    for i in range(queries.shape[0]):
        row = queries[i] @ by_terms
        best = np.argpartition(row.data, row.nnz - K)[-K:]
        best = best[np.lexsort((row.indices[best], -row.data[best]))]
        found[i], scores[i] = row.indices[best], row.data[best]
    return found, scores


def scipy_dense_search(queries, by_columns):
    """The sum of the columns of the query's terms in a dense vector, and its k largest entries."""
    found = np.empty((queries.shape[0], K), np.int64)
    scores = np.empty((queries.shape[0], K), np.float32)
    for i in range(queries.shape[0]):
        row = queries[i]
        sums = by_columns[:, row.indices] @ row.data
        best = np.argpartition(sums, DOCUMENTS - K)[-K:]
        best = best[np.lexsort((best, -sums[best]))]
        found[i], scores[i] = best, sums[best]
    return found, scores


def compare(title, weight_of_term):
    rng = np.random.default_rng(2026)
    documents = rows(rng, DOCUMENTS, LENGTH, weight_of_term)
    queries = rows(rng, QUERIES, QUERY_LENGTH, np.ones(TERMS))
    by_terms, by_columns = documents.T.tocsr(), documents.tocsc()
    filigree = Filigree(documents, queries)
    runs = {
        "SciPy, sparse product and argpartition": timed(lambda: scipy_search(queries, by_terms)),
        "SciPy, columns times vector and argpartition": timed(lambda: scipy_dense_search(queries, by_columns)),
        "Filigree, sparse_scores(queries, index) | top_k": filigree.search,
    }
    right = (queries.astype(np.float64) @ by_terms.astype(np.float64)).toarray()
    best = -np.sort(-np.partition(right, DOCUMENTS - K, axis=1)[:, -K:], axis=1)
    times = {name: [] for name in runs}
    for repetition in range(options.repetitions + 1):
        for name, run in runs.items():
            (found, scores), took = run()
            if repetition > 0:
                times[name].append(took)
                continue
            at = np.take_along_axis(right, found, axis=1)
            wrong = max(np.abs(at - best).max(), np.abs(scores - best).max()) / best.max()
            if not wrong <= 1e-5:
                raise SystemExit(f"{name}: off by {wrong}")
    ours = statistics.median(times[list(runs)[-1]])
    print(f"\n{title}: {DOCUMENTS} documents of {LENGTH} terms, {QUERY_LENGTH} terms per query, k = {K}, "
          f"{options.threads} thread(s)")
    print(f"{'':52}{'ms per query':>14}{'over the last':>16}")
    for name, took in times.items():
        median = statistics.median(took)
        print(f"{name:52}{1e3 * median / QUERIES:14.3f}{median / ours:16.2f}")
    filigree.close()


frequency = 1 / np.arange(1, TERMS + 1)
compare("weights as of BM25", np.log(1 + 1 / np.minimum(LENGTH * frequency / frequency.sum(), 0.9)))
compare("weights that do not depend on the term", np.ones(TERMS))
