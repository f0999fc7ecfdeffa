# SPDX-License-Identifier: MIT
"""The topics of the reference. A header belongs to the first topic with a pattern that matches its path."""

from collections import namedtuple
from fnmatch import fnmatch

Topic = namedtuple("Topic", "name title text headers")

TOPICS = [
    Topic(
        "sources", "Sources",
        "A source is an n×m matrix, one row per query and one column per key, that a pipeline starts from. Any "
        "dense matrix or vector X is one too: `X | top_k(3)`. K and V may be stored in 16 bits, as `Eigen::half` "
        "or `Eigen::bfloat16`.",
        ["attention/scores.hpp", "attention/packed_keys.hpp", "attention/key_value_cache*.hpp", "stage/pipeline.hpp"],
    ),
    Topic(
        "patterns", "Patterns",
        "A pattern says by position which pairs of a query and a key there are: it keeps key j for query p if "
        "its formula is true. Patterns are combined by `&&`, `||` and `!`.",
        ["pattern/causal.hpp", "pattern/window.hpp", "pattern/[!a]*.hpp", "pattern/*"],
    ),
    Topic(
        "routers", "Routers",
        "A router looks at Q and K before the scores are computed, and chooses which pairs there are.",
        ["attention/block_top_k.hpp", "attention/block_scores.hpp", "attention/drop_smallest.hpp",
         "attention/lsh.hpp", "attention/prob_sparse.hpp",
         "attention/lazy_sum.hpp", "attention/route.hpp", "attention/sampled_measure.hpp"],
    ),
    Topic(
        "score_maps", "Score maps",
        "A score map changes each score s of a query at position p and a key at position j by itself. Those with "
        "a derivative are layers of networks too.",
        ["score_map/alibi.hpp", "score_map/*bias.hpp", "score_map/softcap.hpp", "score_map/map.hpp", "score_map/*"],
    ),
    Topic(
        "selectors", "Selectors",
        "A selector says by value which entries of a row, or of a whole dense matrix, stay. NaN is never dropped.",
        ["select/top_k.hpp", "select/top_p.hpp", "select/*"],
    ),
    Topic(
        "normalizers", "Normalizers",
        "A normalizer turns the scores s of a row into weights. A row without entries stays empty.",
        ["normalize/softmax.hpp", "normalize/[!d]*", "normalize/*"],
    ),
    Topic(
        "results", "Results",
        "What can be computed from weights A, which are a source and its stages. Nothing is computed before that.",
        ["pipe/weights.hpp", "pipe/product.hpp", "attention/attend.hpp", "attention/selected.hpp",
         "attention/multi_head.hpp", "attention/multi_head_cache.hpp", "attention/gradients.hpp",
         "attention/attention_gradients.hpp", "attention/forward.hpp", "run/engine_kind.hpp"],
    ),
    Topic(
        "layers", "Layers",
        "A network is a pipeline of layers and stages. Score maps with a derivative, selectors and `dropout` are "
        "layers too. Layers compose: a sequence of layers is a layer.",
        ["nn/network.hpp", "nn/sequence.hpp", "encoder/autoencoder.hpp", "nn/layer/sum.hpp", "nn/layer/multiply.hpp",
         "nn/layer/repeat.hpp", "nn/layer/linear.hpp", "nn/layer/layer_norm.hpp", "nn/layer/rms_norm.hpp",
         "nn/layer/jump_relu.hpp", "nn/layer/gated.hpp", "nn/layer/pre_bias.hpp", "nn/layer/penalize.hpp"],
    ),
    Topic(
        "transformers", "Transformers",
        "Layers of transformers, and sequences of tokens. A position counts from the begin of a sequence.",
        ["transformer/attention.hpp", "transformer/cross_attention.hpp", "transformer/transformer_layer.hpp",
         "transformer/longformer_attention.hpp", "transformer/encoder_decoder.hpp", "transformer/feed_forward.hpp",
         "transformer/embedding.hpp", "transformer/positions.hpp", "transformer/rotary.hpp", "nn/layer/pool.hpp",
         "transformer/tied_output.hpp", "transformer/sparse_transformer.hpp", "nn/batch.hpp",
         "transformer/decoder.hpp", "transformer/decoding_state.hpp", "transformer/bert.hpp",
         "transformer/longformer.hpp", "transformer/encoder_file.hpp",
         "transformer/tensor_file.hpp", "transformer/tensor_names.hpp"],
    ),
    Topic(
        "sparse_coding", "Sparse coding",
        "Samples as sums of few atoms of a dictionary, and dictionaries that are learned from samples. X has a row for "
        "each sample, the dictionary D one for each atom; c are the codes of a sample x.",
        ["coding/encode.hpp", "coding/methods.hpp", "coding/dictionary.hpp", "coding/dictionary_learning.hpp",
         "coding/online_dictionary_learning.hpp", "coding/k_svd.hpp", "coding/*"],
    ),
    Topic(
        "losses", "Losses",
        "Losses and penalties are scaled and added: `squared_error() + 0.1 * l1()`. Here y are outputs, t "
        "targets, a the activations of a layer and W its weights. The mean is over samples.",
        ["nn/loss/squared_error.hpp", "nn/loss/normalized_squared_error.hpp", "nn/loss/cross_entropy.hpp",
         "nn/loss/ranking_losses.hpp", "nn/loss/side_flops.hpp", "nn/penalty/weight_decay.hpp", "nn/loss/matryoshka.hpp", "nn/loss/aux_k.hpp", "nn/loss/gate_losses.hpp",
         "nn/penalty/l0_penalty.hpp", "nn/penalty/l1.hpp", "nn/penalty/kl.hpp", "nn/penalty/entropy.hpp",
         "nn/penalty/flops.hpp", "nn/penalty/hoyer_square.hpp", "nn/penalty/group_lasso.hpp", "nn/term.hpp"],
    ),
    Topic(
        "training", "Training",
        "`fit` moves the parameters of a network by the steps of an optimizer. Here g is the gradient and θ a "
        "parameter.",
        ["nn/train/fit.hpp", "nn/train/fit_options.hpp", "nn/train/loss_and_gradient.hpp", "nn/pass.hpp",
         "nn/predictor.hpp",
         "nn/optimizer/sgd.hpp", "nn/optimizer/adam.hpp", "nn/optimizer/adamw.hpp",
         "nn/optimizer/proximal_gradient.hpp", "nn/train/lbfgs.hpp", "nn/train/schedule.hpp",
         "nn/train/checkpoint.hpp", "nn/optimizer/optimizer.hpp", "nn/samples.hpp", "encoder/start.hpp",
         "encoder/resample.hpp", "encoder/calibrate.hpp"],
    ),
    Topic(
        "pruning", "Pruning",
        "Masks of the weights of linear layers, and functions that prune the weights of a network, once or in the course "
        "of training. W is in×out.",
        ["nn/prune/pruning.hpp", "nn/prune/linear_layers.hpp", "nn/prune/schedule.hpp", "nn/prune/masks.hpp",
         "nn/prune/sparse_gpt.hpp", "nn/prune/*"],
    ),
    Topic(
        "retrieval", "Sparse retrieval",
        "Documents and queries are sparse vectors over the same terms, one for each row. An inverted index finds the "
        "documents with the largest inner products.",
        ["retrieval/sparse_index.hpp", "retrieval/sparse_scores.hpp", "retrieval/bm25.hpp", "retrieval/measures.hpp",
         "retrieval/sparse_index_file.hpp", "retrieval/*"],
    ),
    Topic(
        "recommenders", "Recommenders",
        "Models of a sparse matrix X of interactions, with a row for each user and a column for each item. B and W are "
        "items x items: the scores of a user with interactions x are x B.",
        ["recommend/ease.hpp", "recommend/slim.hpp", "recommend/recommendations.hpp", "recommend/*"],
    ),
    Topic(
        "measures", "Measures",
        "Measures of codes, dense or sparse, with a row for each sample and a column for each latent; of "
        "reconstructions x̂ of x; of a vector v of n entries; of a dictionary.",
        ["encoder/measures/*"],
    ),
    Topic(
        "files", "Files",
        "Readers and writers of arrays, tables, pictures and trained autoencoders. Files are not trusted: sizes "
        "are checked before memory is taken.",
        ["io/npy.hpp", "io/npz.hpp", "io/safetensors.hpp", "io/csv.hpp", "io/*", "encoder/gemma_scope.hpp",
         "encoder/sae_lens.hpp", "encoder/sparsify.hpp", "encoder/sae_*", "encoder/sparsify_config.hpp"],
    ),
    Topic(
        "running", "Threads, memory, errors",
        "What serves all words: executors and their threads, memory that is used again, errors, random numbers, "
        "instruction sets. Results are the same bits for any number of threads.",
        ["run/workspace.hpp", "core/thread_pool.hpp", "core/executor.hpp", "core/check.hpp", "core/generator.hpp",
         "core/philox.hpp", "core/cache.hpp", "kernel/instruction_set.hpp"],
    ),
    Topic(
        "own", "For words of your own",
        "What a pattern, map, selector, normalizer or layer of your own is made of.",
        ["stage/category.hpp", "stage/pattern_traits.hpp", "pattern/verify.hpp", "stage/grid.hpp", "stage/row.hpp",
         "stage/dense_row.hpp", "stage/dense_matrix.hpp", "stage/score_tile.hpp", "stage/ranges.hpp",
         "nn/context.hpp",
         "nn/activations.hpp", "core/integers.hpp", "core/concepts.hpp", "core/operand.hpp", "core/lazy.hpp",
         "core/address_range.hpp"],
    ),
]


def place(header):
    """The topic of a header and its rank within it, or None."""
    for topic in TOPICS:
        for rank, pattern in enumerate(topic.headers):
            if fnmatch(header, pattern):
                return topic, rank
    return None
