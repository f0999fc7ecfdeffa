# SPDX-License-Identifier: MIT
"""Compares Filigree's file readers with Python's libraries on 300 generated .npy, .csv and .safetensors files each.

If numpy.load, pandas.read_csv or safetensors reads a file without a warning, Filigree must read the same values, or
refuse the file for one of the reasons below, which docs/files.md lists. If the library refuses a file, Filigree must
refuse it, too. The script prints the number of files with each outcome and fails if a file is read differently.

    differential.py reads folder    `reads` is tests/parity/reads.cpp, compiled; the files are written into the folder
"""

import collections
import json
import pathlib
import re
import shutil
import struct
import subprocess
import sys
import warnings

import ml_dtypes
import numpy as np
import pandas
import safetensors

count = 300

reasons = {
    "npy": {
        "big-endian": r"'descr' must be little-endian, got",
        "unsupported types": r"'descr' must be one of .*, got",
        "records": r"'descr' must be one type, got a list: records are not supported",
        "bytes after the numbers": r"the numbers of shape \(.*\) need \d+ bytes, the file has \d+",
        "a key that occurs twice": r"byte \d+: key '.*' occurs twice",
        "headers that are not a plain dictionary": r"byte \d+: (must be '|a string has no end|a size must|'fortran_order' must|"
        r"only spaces and line ends)",
    },
    "csv": {
        "cells that are not a number": r'line \d+, column \d+: must be a number, got "',
        "numbers outside the range of double": r"line \d+, column \d+: must be within the range of the matrix's scalar",
        "rows of different length": r"line \d+: must have \d+ numbers as the first row, has \d+",
    },
    "safetensors": {
        "unknown keys": r'the header: ".*": a key must be "dtype", "shape" or "data_offsets", got',
        "a space before the header, which the format forbids": r"byte 8: the header must begin with \{",
        "unsupported types": r'the header: ".*": "dtype" must be one of .*, got',
        "a key that occurs twice": r'the header: .*the key ".*" occurs twice',
    },
}


# .npy


def npy(rng, path):
    kind = rng.integers(5)
    codes = ["?", "b", "B", "<i2", "<u2", "<i4", "<u4", "<i8", "<u8", "<f2", "<f4", "<f8"]
    others = [">i2", ">f4", ">f8", "<c8", "<c16", "<U3", "S4", "<M8[s]", "<f4,<i2", "O", ml_dtypes.bfloat16]
    dtype = np.dtype(others[rng.integers(len(others))] if kind == 0 else codes[rng.integers(len(codes))])
    shape = tuple(int(n) for n in rng.integers(0, 5, rng.integers(0, 4)))
    if dtype.kind == "O":
        array = np.full(shape, None)
    else:
        size = int(np.prod(shape)) * dtype.itemsize
        data = rng.integers(0, 2 if dtype.kind == "b" else 128, size, dtype=np.uint8).tobytes()
        array = np.frombuffer(data, dtype).reshape(shape)
    if rng.integers(3) == 0:
        array = np.asfortranarray(array)
    if kind < 3:
        version = [None, (1, 0), (2, 0), (3, 0)][rng.integers(4)]
        with open(path, "wb") as file:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                np.lib.format.write_array(file, array, version)
        if kind == 2:
            damage(rng, path)
        return
    path.write_bytes(npy_by_hand(rng, array))


def npy_by_hand(rng, array):
    """Returns a file with another spelling of the type, order of keys, spacing, padding or sizes than NumPy's."""

    def pick(*texts):
        return texts[rng.integers(len(texts))]

    code = array.dtype.str if array.dtype.names is None and array.dtype.kind != "O" else "<f4"
    names = [code, code[1:], code.replace("|", "<"), code.replace("|", "="), code.replace("<", "="), code.replace("<", "|")]
    names += [array.dtype.name, array.dtype.char, code.replace("f", "g"), code.upper(), " " + code, code + " ", ""]
    quote = pick("'", "'", '"')
    name = quote + names[int(rng.integers(len(names)) * (rng.integers(3) == 0))] + quote
    sizes = [pick("{}", "{}", "{}", "{}", "{}L", "0{}", "+{}", "{}.0", " {}", "0x{:x}", "-{}").format(n) if rng.integers(9) == 0 else str(n)
             for n in array.shape]
    inside = pick(", ", ",", " , ").join(sizes)
    shape = pick("({})", "({})", "({})", "({})", "({})\n", "[{}]").format(inside + ("," if len(sizes) == 1 or (sizes and rng.integers(4) == 0) else ""))
    order = pick("False", "False", "False", "True", "True", "False ", "0" if rng.integers(2) else "true")
    pairs = [("descr", name), ("fortran_order", order), ("shape", shape)]
    if rng.integers(12) == 0:
        pairs.append(pick(("descr", name), ("more", "1"), ("shape", shape)))
    if rng.integers(12) == 0:
        pairs.pop(rng.integers(len(pairs)))
    rng.shuffle(pairs)
    colon = pick(": ", ":", " : ")
    text = "{" + pick(", ", ",", ",\n ").join(f"{quote}{key}{quote}{colon}{value}" for key, value in pairs)
    text += pick("", ", ", ",") + "}" + pick("", " ", "\n", "   \n", "\n\n", "\t\n" if rng.integers(2) else "x")
    version = pick(1, 1, 1, 2, 3)
    length = 2 if version == 1 else 4
    if rng.integers(2):
        text += " " * (-(6 + 2 + length + len(text) + 1) % 64) + "\n"
    data = array.tobytes("F" if order.strip() == "True" else "C")
    data += pick(b"", b"", b"", b"", b"", b"more")
    size = len(text) + pick(0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, -1)
    return b"\x93NUMPY" + bytes([version, 0]) + size.to_bytes(length, "little") + text.encode("latin1") + data


def numpy_reads(path):
    array = np.load(path, allow_pickle=False)
    kinds = {"b": "bool", "V": "bfloat16"}
    name = kinds.get(array.dtype.kind, array.dtype.name) if array.dtype.names is None else "record"
    shape = ",".join(map(str, array.shape))
    return [f" {name} ({shape}) {array.tobytes().hex()}"]


# .csv


def csv(rng, path):
    def pick(*texts):
        return texts[rng.integers(len(texts))]

    strange = ["+1", "-0", ".5", "5.", "1E5", "1e+5", "1e-400", "1e400", "-1e400", "1e-46", "007", "inf", "-inf", "Infinity", "nan",
               "NaN", "NA", "", " 2", "2 ", '"3"', "1_0", "0x1", "1,5", "1e", "--1", "+-1", "#", "True", "1d5", "1e308", "4.9e-324",
               "9007199254740993", "0.1000000000000000055511151231257827", "\t4", "1 2", "-", "+", "e5", ".", "١", "+inf", "+nan"]

    def number():
        if rng.integers(25 if wild else 10**9) == 0:
            return strange[rng.integers(len(strange))]
        value = float(rng.standard_normal() * 10.0 ** rng.integers(-20, 20))
        return pick(repr(value), f"{value:.3e}", f"{value:.3f}", str(int(rng.integers(-100, 100))))

    wild = rng.integers(3) > 0
    rows, cols = int(rng.integers(1, 6)), int(rng.integers(1, 5))
    lines = [",".join(number() for _ in range(cols)) for _ in range(rows)]
    if wild:
        where = rng.integers(len(lines) + 1)
        extra = pick(None, None, None, None, "", " ", ",".join(["1"] * (cols + 1)), ",".join(["1"] * max(cols - 1, 1)), "# text")
        if extra is not None:
            lines.insert(where, extra)
    end = pick("\n", "\n", "\r\n")
    text = end.join(lines) + pick("", end, end, end + end, end + " " + end)
    path.write_bytes(pick(b"", b"", b"", b"\xef\xbb\xbf") + text.encode())


def pandas_reads(path):
    table = pandas.read_csv(path, header=None, dtype=np.float64)
    array = table.to_numpy(np.float64)
    return [f" float64 ({array.shape[0]},{array.shape[1]}) {array.tobytes().hex()}"]


# .safetensors


def tensors_file(rng, path):
    def pick(*texts):
        return texts[rng.integers(len(texts))]

    widths = {"BOOL": 1, "U8": 1, "I8": 1, "I16": 2, "U16": 2, "F16": 2, "BF16": 2, "I32": 4, "U32": 4, "F32": 4, "F64": 8,
              "I64": 8, "U64": 8, "F8_E4M3": 1, "F8_E5M2": 1, "C64": 8}
    names, place, header, data = ["W", "b", "", "a.b", "über", 'q"', "new\nline", "__meta__"], 0, {}, b""
    for name in rng.permutation(names)[: rng.integers(0, 5)]:
        dtype = pick(*list(widths)[:13]) if rng.integers(12) else pick("F8_E4M3", "F8_E5M2", "C64", "F4", "f32", "")
        shape = [int(n) for n in rng.integers(0, 4, rng.integers(0, 4))]
        size = int(np.prod(shape)) * widths.get(dtype, 4)
        header[str(name)] = {"dtype": dtype, "shape": shape, "data_offsets": [place, place + size]}
        place += size
        data += rng.integers(0, 2, size, dtype=np.uint8).tobytes()
    change = rng.integers(24)
    entries = list(header.values())
    if change == 0 and entries:
        entries[0]["data_offsets"][1] += 1
    if change == 1 and entries:
        entries[-1]["shape"].append(pick(1, 1, 2, -1, 1.0, "1", None))
    if change == 2 and entries:
        entries[-1].pop(pick("dtype", "shape", "data_offsets"))
    if change == 3 and entries:
        entries[-1][pick("more", "shape2")] = 1
    if change == 4:
        data += b"\0"
    if change == 5 and len(data) > 0:
        data = data[:-1]
    if change == 6 and entries:
        data, place = b"\0" + data, 1
        for entry in entries:
            entry["data_offsets"] = [n + 1 for n in entry["data_offsets"]]
    metadata = pick(None, None, {"format": "pt"}, {"a": "b", "c": ""}, {}) if rng.integers(9) else pick({"n": 1}, {"n": None}, [], "x")
    items = list(header.items())
    if rng.integers(2):
        rng.shuffle(items)
    if metadata is not None or rng.integers(8) == 0:
        items.insert(rng.integers(len(items) + 1), ("__metadata__", metadata))
    if change == 7 and items:
        items.append(items[0])
    colon, comma = pick((": ", ", "), (":", ","), (" :\n", "\t,"))
    text = "{" + comma.join(json.dumps(k, ensure_ascii=bool(rng.integers(2))) + colon + json.dumps(v) for k, v in items) + "}"
    text += pick("", "", " " * (-len(text) % 8), "\n") if rng.integers(12) else pick("x", "\0")
    text = pick("", "", "", "", " " if rng.integers(4) == 0 else "") + text
    encoded = text.encode()
    length = len(encoded) + (pick(1, -1, 2**40) if change == 8 else 0)
    path.write_bytes(struct.pack("<Q", length) + encoded + data)


def safetensors_reads(path):
    names = {"BOOL": "bool", "BF16": "bfloat16"}

    def name_of(dtype):
        kind = {"F": "float", "I": "int", "U": "uint"}.get(dtype[0], "")
        return names.get(dtype) or (kind + dtype[1:] if dtype[1:].isdigit() else dtype)

    data = path.read_bytes()
    result = []
    for name, tensor in safetensors.deserialize(data):
        shape = ",".join(map(str, tensor["shape"]))
        result.append(f"{name.encode().hex()} {name_of(tensor['dtype'])} ({shape}) {bytes(tensor['data']).hex()}")
    with safetensors.safe_open(path, "np") as file:
        for key, value in (file.metadata() or {}).items():
            result.append(f"metadata {key.encode().hex()} {value.encode().hex()}")
    return result


def damage(rng, path):
    """Truncates the file, or changes a byte of its header."""
    data = bytearray(path.read_bytes())
    if rng.integers(2):
        del data[rng.integers(len(data)) :]
    else:
        data[rng.integers(min(len(data), 80))] = rng.integers(256)
    path.write_bytes(data)


def expected(read, path):
    """Returns the values that a library reads, as sorted lines, or the text of its error; and True if it warns."""
    with warnings.catch_warnings(record=True) as warned:
        warnings.simplefilter("always")
        try:
            return sorted(line.strip() for line in read(path)), bool(warned)
        except Exception as error:  # any exception means that the library refuses the file
            return str(error).replace("\n", " "), bool(warned)


kinds = {
    "npy": (npy, numpy_reads, 101),
    "csv": (csv, pandas_reads, 102),
    "safetensors": (tensors_file, safetensors_reads, 103),
}


def main(reads, folder):
    failures = 0
    for kind, (write, read, seed) in kinds.items():
        target = pathlib.Path(folder) / kind
        shutil.rmtree(target, ignore_errors=True)
        target.mkdir(parents=True)
        rng = np.random.default_rng(seed)
        paths = [target / f"{number:03}.{kind}" for number in range(count)]
        for path in paths:
            write(rng, path)
        output = subprocess.run([reads, *paths], capture_output=True, check=True).stdout.decode(errors="replace")
        counts = collections.Counter()
        answers = [[]]
        for line in output.split("\n")[:-1]:
            answers[-1].append(line.strip()) if line != "." else answers.append([])
        for path, answer in zip(paths, answers[:-1], strict=True):
            ours = sorted(answer)
            theirs, warns = expected(read, path)
            refused = len(ours) == 1 and ours[0].startswith("error ")
            if isinstance(theirs, str):
                outcome = "refused by both" if refused else None
            elif ours == theirs:
                outcome = "same values"
            elif refused and warns:
                outcome = "refused by Filigree, a warning by Python"
            else:
                outcome = refused and next((f"refused by Filigree: {name}" for name, pattern in reasons[kind].items()
                                            if re.search(pattern, ours[0])), None)
            counts[outcome or "DIFFERENT"] += 1
            if not outcome:
                failures += 1
                print(f"{path}:\n  Filigree  {' | '.join(ours)[:400]}\n  Python    {str(theirs)[:400]}")
        print(f"{kind}, {len(paths)} files: " + "; ".join(f"{n} {what}" for what, n in counts.most_common()))
    return failures


if __name__ == "__main__":
    sys.exit(1 if main(*sys.argv[1:3]) else 0)
