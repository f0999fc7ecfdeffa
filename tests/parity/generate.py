# SPDX-License-Identifier: MIT
"""Runs public implementations, or published formulas, on small seeded inputs and writes their results into data/.

Each module in references/ is one of them. Its docstring becomes a section of data/README.md, and its `write(fixture)`
saves the arrays. The C++ tests read only these files.
"""

import argparse
import importlib
import importlib.metadata
import pathlib
import shutil

import numpy as np
import torch

here = pathlib.Path(__file__).parent
names = ("longformer", "big_bird", "sparse_transformer", "neighborhood", "simplex", "flex_attention")
names += ("scaled_dot_product", "reformer", "informer_huggingface", "informer_original")
names += ("top_k_autoencoder", "batch_top_k_autoencoder", "jump_relu_autoencoder", "gated_autoencoder")
names += ("attention_gradients", "matryoshka_autoencoder", "io_files", "sae_lens", "sparsify", "training", "bert")
names += ("encoder_layer", "decoder_layers", "sparse_self_attention", "sparse_coding", "cross_attention")
names += ("longformer_layer", "longformer_model", "sparse_head")

head = """# Results of public implementations

`./dev parity` writes this folder, including this page, from the modules in [../references](../references). With the
same packages on the same processor it writes the same files. On another processor the last bits may differ.

Inputs and weights are seeded and exact in float. They are stored as float32, results as float64, and integers as int64
(a single integer as an array of size 1). Unless stated otherwise, a matrix has shape (rows, heads × width) with the
columns of the heads next to each other, and the reference ran in double.

Packages: """


class Fixture:
    """A folder of arrays."""

    def __init__(self, name):
        self.folder = here / "data" / name
        shutil.rmtree(self.folder, ignore_errors=True)

    def save(self, case="", **arrays):
        """Saves arrays: inputs (float32) as they are, integers as int64, all other arrays as float64."""
        folder = self.folder / case
        folder.mkdir(parents=True, exist_ok=True)
        for name, array in arrays.items():
            array = np.ascontiguousarray(array)
            if array.dtype != np.float32:
                array = array.astype("<i8" if array.dtype.kind in "iub" else "<f8")
            np.save(folder / f"{name}.npy", array)


def contents(folder):
    """Yields a line for the folder and for each case in it: arrays with their shapes, and the names of other files."""
    for case in [folder, *sorted(path for path in folder.iterdir() if path.is_dir())]:
        shapes = {path.stem: np.load(path) for path in sorted(case.glob("*.npy"))}
        if shapes:
            arrays = ", ".join(f"{name} {'×'.join(map(str, array.shape))}" for name, array in shapes.items())
            others = (path.name for path in sorted(case.iterdir()) if path.suffix in (".npz", ".safetensors", ".json"))
            arrays += "".join(f", {name}" for name in others)
            yield f"- {'all cases' if case == folder else case.name}: {arrays}"


def provenance():
    pins = (here / "requirements.txt").read_text().split()
    packages = (name.partition("==")[0] for name in pins)
    parts = [head + ", ".join(f"{name} {importlib.metadata.version(name)}" for name in packages) + ".\n"]
    for name in names:
        text = importlib.import_module(f"references.{name}").__doc__.strip()
        title, _, body = text.partition("\n")
        parts.append(f"\n## {name}: {title}\n{body}\n\n" + "\n".join(contents(here / "data" / name)) + "\n")
    (here / "data" / "README.md").write_text("".join(parts))


parser = argparse.ArgumentParser(description=__doc__)
parser.add_argument("names", nargs="*", help="the references to run; all if none is named")
torch.set_num_threads(1)
for name in parser.parse_args().names or names:
    print(name, flush=True)
    importlib.import_module(f"references.{name}").write(Fixture(name))
provenance()
