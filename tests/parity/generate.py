# SPDX-License-Identifier: MIT
"""Runs public implementations, or published formulas, on small seeded inputs and writes what they compute into data/.

Each module in references/ is one of them: its docstring becomes the provenance in data/README.md, `write(fixture)`
saves the arrays. The C++ tests read these files only.
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
names += ("matryoshka_autoencoder", "io_files", "sae_lens", "sparsify", "training")

head = """# What public implementations compute

`./dev parity` writes this folder, this page included, from the modules in [../references](../references). Run again
with the same packages on the same processor it changes nothing; on another one last bits may differ.

Inputs and weights are seeded and exact in float. They are stored as float32, what was computed from them as float64,
whole numbers as int64 (a single one as an array of one). Where nothing else is said, heads lie side by side in the
columns, a matrix of a head is (rows, heads × width), and the reference ran in double.

Packages: """


class Fixture:
    """A folder of arrays."""

    def __init__(self, name):
        self.folder = here / "data" / name
        shutil.rmtree(self.folder, ignore_errors=True)

    def save(self, case="", **arrays):
        """Inputs (float32) and integers keep their type; all else becomes float64."""
        folder = self.folder / case
        folder.mkdir(parents=True, exist_ok=True)
        for name, array in arrays.items():
            array = np.ascontiguousarray(array)
            if array.dtype != np.float32:
                array = array.astype("<i8" if array.dtype.kind in "iub" else "<f8")
            np.save(folder / f"{name}.npy", array)


def contents(folder):
    """A line for the folder and each case in it: the arrays and their shapes, and other files by name."""
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
parser.add_argument("names", nargs="*", help="which references to run; all when none is named")
torch.set_num_threads(1)
for name in parser.parse_args().names or names:
    print(name, flush=True)
    importlib.import_module(f"references.{name}").write(Fixture(name))
provenance()
