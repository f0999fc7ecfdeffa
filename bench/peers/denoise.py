# SPDX-License-Identifier: MIT
"""Removes the noise of the picture of examples/denoise by scikit-learn's dictionary learning, with the same settings.

    denoise 512 15 1 noisy.npy
    python3 bench/peers/denoise.py noisy.npy [--penalty p] [--passes n]

prints the peak signal-to-noise ratios of the noisy picture and of the result. The dictionary has 256 atoms of 8 x 8 pixels and is learned from 40,000 noisy patches without their
means, by MiniBatchDictionaryLearning, whose codes have an l1 penalty. It has no tolerance, so the penalty is given for
patches that are divided by their standard deviation. The patches are then coded by orthogonal matching pursuit until
the residual has a norm of 1.15 sigma 8.
"""

import argparse
import pathlib
import time
import warnings

import numpy as np
from sklearn.decomposition import MiniBatchDictionaryLearning
from sklearn.exceptions import ConvergenceWarning
from sklearn.feature_extraction.image import extract_patches_2d, reconstruct_from_patches_2d
from sklearn.linear_model import orthogonal_mp_gram

SIDE, ATOMS, SIGMA, SAMPLES = 8, 256, 25, 40_000


def photograph(side):
    """Returns the middle side x side pixels."""
    path = pathlib.Path(__file__).parents[2] / "examples/data/images/camera.pgm"
    header, size, _, pixels = path.read_bytes().split(b"\n", 3)
    assert header == b"P5"
    width, height = map(int, size.split())
    image = np.frombuffer(pixels, np.uint8).reshape(height, width).astype(np.float64)
    skipped = (height - side) // 2
    return image[skipped : skipped + side, skipped : skipped + side]


def psnr(a, b):
    return 10 * np.log10(255**2 / np.mean((a - b) ** 2))


parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
parser.add_argument("noisy", help="the file that examples/denoise writes")
parser.add_argument("--penalty", type=float, default=1)
parser.add_argument("--passes", type=int, default=15)
arguments = parser.parse_args()

noisy = np.load(arguments.noisy).astype(np.float64)
clean = photograph(len(noisy))
patches = extract_patches_2d(noisy, (SIDE, SIDE)).reshape(-1, SIDE * SIDE)
means = patches.mean(axis=1, keepdims=True)
patches -= means
samples = patches[np.random.default_rng(1).permutation(len(patches))[:SAMPLES]]
start = time.perf_counter()
warnings.simplefilter("ignore", ConvergenceWarning)
learner = MiniBatchDictionaryLearning(
    ATOMS, alpha=arguments.penalty, max_iter=arguments.passes, batch_size=256, fit_algorithm="cd", random_state=1
)
atoms = learner.fit(samples / samples.std()).components_
learned = time.perf_counter()
atoms /= np.maximum(np.linalg.norm(atoms, axis=1, keepdims=True), 1e-12)
tolerance = (1.15 * SIGMA * SIDE) ** 2
codes = orthogonal_mp_gram(atoms @ atoms.T, atoms @ patches.T, tol=tolerance, norms_squared=(patches**2).sum(1)).T
coded = time.perf_counter()
restored = reconstruct_from_patches_2d((codes @ atoms + means).reshape(-1, SIDE, SIDE), clean.shape)
print(f"noisy {psnr(clean, noisy):.2f} dB, scikit-learn {psnr(clean, restored):.2f} dB")
print(f"learned in {learned - start:.1f} s, coded in {coded - learned:.1f} s, "
      f"{np.count_nonzero(codes) / len(codes):.2f} atoms per patch")
