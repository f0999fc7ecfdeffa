# SPDX-License-Identifier: MIT
"""Compares transformers by PyTorch and Filigree: an encoder of transformers, and a training step with its memory.

The encoder has the sizes of all-MiniLM-L6-v2 and random weights, which Filigree reads from the files of transformers.
The training step is forward, backward and Adam (fused in PyTorch), of a causal transformer whose tokens attend to
themselves and the 128 tokens before. Each program of the training runs in a process of its own. flex_attention of
PyTorch 2.13 has no backward pass on a CPU.

The implementations run alternately. Each figure is the median of the repetitions: CPU time with one thread,
otherwise wall-clock time. Memory is the peak above that of the operands. The last two columns are the time and the
memory of Filigree relative to those of the row.
"""

from common import Program, options, timed

import pathlib
import statistics
import sys

import numpy as np
import torch
from transformers import BertConfig, BertModel
import transformers


def measure_encoder():
    config = BertConfig(
        vocab_size=30522, hidden_size=384, num_hidden_layers=6, num_attention_heads=12, intermediate_size=1536
    )
    torch.manual_seed(2026)
    model = BertModel(config, add_pooling_layer=False).eval()
    folder = options.folder / "encoder"
    model.save_pretrained(folder)
    program = Program(options.transformers, folder, {}, ("encoder", options.threads))
    print(f"\nBERT of 6 layers, d = 384, {options.threads} thread(s): milliseconds")
    print(f"{'':28}{'Filigree':>12}{'transformers':>14}{'ratio':>8}")
    for texts, tokens, calls in ((64, 128, 1), (1, 16, 20)):
        words = np.random.default_rng(2026).integers(0, config.vocab_size, (texts, tokens), dtype=np.int32)
        words.tofile(folder / "words")
        ids = torch.from_numpy(words).long()

        def peer():
            with torch.inference_mode():
                for _ in range(calls):
                    hidden = model(ids).last_hidden_state
                return hidden

        ours, theirs = [], []
        for repetition in range(options.repetitions + 1):
            mine = program.ask(f"{texts} {tokens} {calls}")
            hidden, took = timed(peer)()
            if repetition > 0:
                ours.append(mine)
                theirs.append(took / calls)
        right = hidden.numpy()
        found = np.fromfile(folder / "hidden", np.float32).reshape(right.shape)
        error = np.abs(found - right).max() / np.abs(right).max()
        if not error <= 1e-4:
            raise SystemExit(f"off by {error}")
        mine, their = statistics.median(ours), statistics.median(theirs)
        print(f"{f'{texts} x {tokens} tokens':28}{1e3 * mine:12.2f}{1e3 * their:14.2f}{mine / their:8.2f}")
    program.close()


def measure_training():
    n, d, heads, hidden, layers, window = sizes = 2048, 256, 4, 1024, 4, 128
    rng = np.random.default_rng(2026)

    def linear(rows, cols):
        weights = rng.uniform(-1, 1, (rows, cols)) / np.sqrt(rows)
        return [weights.astype(np.float32), np.zeros(cols, np.float32)]

    def norm():
        return [np.ones(d, np.float32), np.zeros(d, np.float32)]

    parameters = []
    for _ in range(layers):
        parameters += norm()
        parameters += linear(d, 3 * d) + linear(d, d)
        parameters += norm()
        parameters += linear(d, hidden) + linear(hidden, d)
    arrays = {
        "x": rng.standard_normal((n, d), dtype=np.float32),
        "y": rng.standard_normal((n, d), dtype=np.float32),
        "parameters": np.concatenate([tensor.ravel() for tensor in parameters]),
    }
    script = pathlib.Path(__file__).parent / "transformer_training.py"
    peers = {
        "boolean": "torch sdpa, boolean mask",
        "blocks": "torch sdpa, blocks of queries",
        "causal": "torch sdpa, is_causal, all keys before",
    }
    programs = {
        mask: Program([sys.executable, script], options.folder / mask, arrays, (mask, options.threads, *sizes))
        for mask in peers
    }
    name, smaller = "Filigree", "Filigree, {.recompute = true}"
    for title, recompute in ((smaller, 1), (name, 0)):
        peers[title] = title
        arguments = ("training", options.threads, *sizes, recompute)
        programs[title] = Program(options.transformers, options.folder / f"filigree_{recompute}", arrays, arguments)

    def answer(program, file):
        return float(np.fromfile(program.folder / file, np.float64)[0])

    times = {mask: [] for mask in programs}
    for repetition in range(options.repetitions + 1):
        for mask, program in programs.items():
            took = program.ask("step")
            if repetition > 0:
                times[mask].append(took)
        losses = {mask: answer(program, "loss") for mask, program in programs.items()}
        for mask in ("boolean", "blocks", smaller):
            if not abs(losses[mask] / losses[name] - 1) <= (1e-5 if repetition == 0 else 1e-3):
                raise SystemExit(f"losses differ: {losses}")
    used = {mask: answer(program, "megabytes") for mask, program in programs.items()}
    seconds = {mask: statistics.median(took) for mask, took in times.items()}
    print(f"\nTraining step, {layers} layers, d = {d}, n = {n}, window({window}), {options.threads} thread(s)")
    print(f"{'':40}{'ms':>10}{'MB':>10}{'time of Filigree':>18}{'its memory':>12}")
    for mask, title in peers.items():
        print(
            f"{title:40}{1e3 * seconds[mask]:10.1f}{used[mask]:10.0f}"
            f"{seconds[name] / seconds[mask]:18.2f}{used[name] / used[mask]:12.2f}"
        )
    for program in programs.values():
        program.close()


print(f"\nPyTorch {torch.__version__}, transformers {transformers.__version__}, medians of {options.repetitions} runs")
measure_encoder()
measure_training()
