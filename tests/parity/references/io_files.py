# SPDX-License-Identifier: MIT
"""files that numpy, ml_dtypes and safetensors write

A 3×4 matrix in every type that Filigree reads. Floating-point types: fractions x(i, j) = (-1)^j / (1 + i + 3 j), except
x(2, 3) = 1 + 2^-11 + 2^-40, which is above the midpoint of two float16 numbers but is rounded to it in float32. Signed
integers: 7 i - 3 j. Unsigned integers: 7 i + 3 j. bool: (i + j) mod 3 = 0. Each matrix is an .npy file in C order and,
as `_columns`, in Fortran order. All of them are also in `matrices.safetensors` and `matrices.npz`. `box` is 0, 1, ...,
23 as 2×3×4 in float32, `scalar` is 7, `empty` is 0×3. `version_2` and `version_3` are the fractions with headers of
these versions, `big_endian` the fractions in big-endian byte order. `compressed.npz` holds x, 100 zeros and 7, deflated.
`zip64.npz` holds the same uncompressed, with all the 64-bit fields that large archives need.
"""

import zipfile

import ml_dtypes
import numpy as np
import safetensors.numpy

types = "bool int8 int16 int32 int64 uint8 uint16 uint32 uint64 float16 float32 float64".split()


def matrices():
    i, j = np.meshgrid(np.arange(3), np.arange(4), indexing="ij")
    x = (-1.0) ** j / (1 + i + 3 * j)
    x[2, 3] = 1 + 2**-11 + 2**-40
    for name in types:
        kind = np.dtype(name).kind
        values = {"b": (i + j) % 3 == 0, "i": 7 * i - 3 * j, "u": 7 * i + 3 * j, "f": x}[kind]
        yield name, values.astype(name)
    yield "bfloat16", x.astype(ml_dtypes.bfloat16)


def write(fixture):
    folder = fixture.folder
    folder.mkdir(parents=True, exist_ok=True)
    all_types = dict(matrices())
    for name, array in all_types.items():
        np.save(folder / f"{name}.npy", array)
        np.save(folder / f"{name}_columns.npy", np.asfortranarray(array))
    x = all_types["float64"]
    box = np.arange(24, dtype=np.float32).reshape(2, 3, 4)
    np.save(folder / "box.npy", box)
    np.save(folder / "box_columns.npy", np.asfortranarray(box))
    np.save(folder / "scalar.npy", np.int64(7))
    np.save(folder / "empty.npy", np.zeros((0, 3)))
    np.save(folder / "big_endian.npy", x.astype(">f8"))
    for major in 2, 3:
        with open(folder / f"version_{major}.npy", "wb") as file:
            np.lib.format.write_array(file, x, version=(major, 0))

    safetensors.numpy.save_file(all_types, folder / "matrices.safetensors", metadata={"writer": 'naïve "\n'})
    np.savez(folder / "matrices.npz", **all_types)
    arrays = {"x": x, "layer/zeros": np.zeros(100), "σ": np.int64(7)}
    np.savez_compressed(folder / "compressed.npz", **arrays)
    limits = zipfile.ZIP64_LIMIT, zipfile.ZIP_FILECOUNT_LIMIT
    zipfile.ZIP64_LIMIT, zipfile.ZIP_FILECOUNT_LIMIT = 100, 2
    np.savez(folder / "zip64.npz", **arrays)
    zipfile.ZIP64_LIMIT, zipfile.ZIP_FILECOUNT_LIMIT = limits
